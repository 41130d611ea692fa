"""
The rules of a healthy lake (`rules`), and asking them (`checkup`).

A rule is SQL over a catalog's tables, whatever answers it; a finding says what is wrong, where, and what mends it.
"""
