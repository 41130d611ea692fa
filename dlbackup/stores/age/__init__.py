"""
Files of age, version 1 (https://c2sp.org/age): written as a stream, read anywhere.

A header holds the file's key for each recipient, wrapped so that only that recipient opens it. Behind it stands the
payload in chunks of 64 KiB, each authenticated with its number and whether it is the last: so a chunk can be read
without the others, and nothing can be cut off, added or exchanged. What a backup is, nobody here knows.
"""
