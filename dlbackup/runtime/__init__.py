"""
What any long job needs while it runs: processes of our own, workers, pace, progress, signals, memory.

Nothing here knows of lakes, backups or servers.
"""
