"""
What a store knows of its backups (`record`, `listing`), and what may go (`retention`, `horizon`).

The listing is the catalogue: every file is written once and never changed, so there is no index that could be wrong.
How a backup is made and proved is `transfer`'s and `backupfile`'s.
"""
