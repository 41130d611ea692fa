"""Random lakes that an engine reads rightly, to see whether `check` raises a false alarm."""
