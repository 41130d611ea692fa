"""
One table: its definition and its rows, as records and as SQL text, and the proof that a text is nothing else.

Words, used alike in every room:

- *row*: the text between the parentheses of one tuple of a VALUES list, which is also one line of COPY's CSV.
- *block*: some rows of one table as they arrive, in a list; of any size.
- *body*: the inside of one VALUES list, rows joined by the separator `),(` on a line of its own.
- *statement*: one INSERT with its body, or one statement of a definition.
- *piece*: the rows of 2,048 pages of a table, read and packed by one process.
- *frame*: statements compressed together, about 2 MiB of text; see `backupfile.frames`.
- *skeleton*: a row without the inside of its string literals.
- *shape*: a skeleton with its digits made alike; parsed by sqlglot once.
- *digest*: of rows, the sum of their xxh3-64 modulo 2^64: a set's, whatever the order.
- *part*: one table's share in a fingerprint; see `lake.fingerprint`.

What DuckLake means by a table is `lake`'s; where it stands is `catalogs`'s.
"""
