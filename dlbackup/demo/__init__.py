"""
The demo, `python -m dlbackup.demo`: the main job on a real PostgreSQL that comes and goes with it.

`servers.embedded` runs that PostgreSQL out of a wheel, `lake/` holds a small lake as an old engine wrote it, and
`__main__` walks through the commands.
"""
