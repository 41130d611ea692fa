"""Damages and scenes: what each rule of `check` has to find, and what it has to leave alone."""
