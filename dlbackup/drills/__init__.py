"""
A backup is restored for practice, in a place that is gone afterwards, and everything about it is tried.

Which backup, and where its result is written down, is the verb's.
"""
