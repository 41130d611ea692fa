"""
From one spec version to the next: plan, rehearsal, fence, losses, proof, undo, journal.

Decisions that need no server (`steps`, `comparison`, `outcome`) stand in modules of their own.
"""
