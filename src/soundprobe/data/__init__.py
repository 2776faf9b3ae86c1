"""Data sets: a name or a path to `Clips`."""
