"""
Catalog to backup (`dumping`), backup to catalog (`loading`), and to a backup of another kind (`converting`).

How a backend reads and takes rows is `catalogs`'s, what the file looks like `backupfile`'s.
"""
