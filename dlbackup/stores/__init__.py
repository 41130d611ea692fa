"""
Where backups are kept: a file appears whole or not at all, and never over another.

`contract` says what a store does, `folder` and `in_memory` do it; `files` are local ones, of folders and of journals.
Bytes only: what a backup is made of is `backupfile`'s.
"""
