"""
Where backups and journals are kept: a file appears whole or not at all, and never over another.

Bytes only: what a backup is made of is `backupfile`'s.
"""
