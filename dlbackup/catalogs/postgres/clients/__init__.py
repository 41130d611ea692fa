"""
Who else is connected, and how they are kept out: advisory lock, guard, bars.
"""
