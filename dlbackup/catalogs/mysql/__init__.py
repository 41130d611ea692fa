"""
A catalog in MySQL: read, so that a lake can get away from it, and never written.

It is copied in one transaction of the server's into a scratch SQLite file, as DuckDB would have stored the rows there,
and all reading is of that file. DuckLake itself advises against MySQL: engines fail at most that they write there.
"""
