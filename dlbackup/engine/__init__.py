"""
DuckDB: its process, the one place that builds ATTACH, and a program's own connection.

What a migration is for, and what it loses, is `migration`'s.
"""
