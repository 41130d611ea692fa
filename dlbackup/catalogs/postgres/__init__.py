"""
Everything that speaks PostgreSQL: sessions, introspection, snapshots, places to restore into, locks, rights.

`bulk` moves rows, `clients` deals with who else is connected. psycopg is imported here and nowhere else.
"""
