"""
The command line: parse, call one verb, print.

No decision is made here, and no work is done.
"""
