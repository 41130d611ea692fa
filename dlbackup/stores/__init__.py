"""
Where backups are kept: a file appears whole or not at all, and never over another.

`contract` says what a store does, `folder`, `in_memory` and `objects` (object storage) do it; `named` finds the one
that a user names; `files` are local ones, of folders and of journals.
Bytes only: what a backup is made of is `backupfile`'s.
"""
