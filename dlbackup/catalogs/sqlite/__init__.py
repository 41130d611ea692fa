"""
A catalog in a SQLite file, which is never read inside a transaction that a writer could meet.

Under SQLite's default journal a reader keeps commits waiting, and a DuckLake client whose commit failed for it stays
stuck. So a process of ours copies the file, and all reading is of the copy. What is replaced is replaced
in the live file, in one transaction, so that other clients see it.
"""
