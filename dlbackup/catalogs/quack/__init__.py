"""
A catalog behind a Quack server, which is a DuckDB served over HTTP: read, and never written.

A process of ours copies it out in one transaction of the server's, into a scratch DuckDB file, and all reading is of
that file. So the server is busy as short as can be, and what is read is one committed state.
"""
