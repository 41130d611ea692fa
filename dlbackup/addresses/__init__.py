"""
How a user names a catalog, and how an address is printed without its secrets.

Text in, text out: nothing here connects to anything, and nothing here knows what a lake is.
"""
