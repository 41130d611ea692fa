"""
What a user can say: one module for each command, with its options and its result.

Verbs don't know each other; what several of them need lives below.
"""
