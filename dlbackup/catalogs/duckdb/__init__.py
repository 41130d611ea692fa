"""
A catalog in a DuckDB file, which only processes of ours touch.

Every second opening of a file inside a process drops the lock that a DuckDB in it holds, also one that fails, and also
one that only looks at the first bytes. So `child` opens it, and nobody else.
"""
