"""
Catalog to backup (`dumping`), backup to catalog (`loading`).

How a backend reads and takes rows is `catalogs`'s, what the file looks like `backupfile`'s.
"""
