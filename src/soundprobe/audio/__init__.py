"""Encoded bytes to waves: (T,) float32 in [-1, 1]."""
