"""
What holds a catalog: the contract of every backend (`contract`), the way to one (`open`), and each backend's room.

`postgres/` holds everything that speaks PostgreSQL; `loaded_backup` makes a backup's rows answer SQL, and `reading`
reads all rows of any snapshot.
What is done with a catalog is decided above: `transfer`, `health`, `migration`.
"""
