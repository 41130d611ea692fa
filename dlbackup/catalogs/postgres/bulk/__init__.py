"""
Rows out of PostgreSQL and into it, by COPY.
"""
