"""Random histories of a lake, told by a seed."""
