"""
PostgreSQL servers that come and go with whoever needs one: the demo, and tests.

No catalog's server is ever started here, and nothing here knows what a lake is.
"""
