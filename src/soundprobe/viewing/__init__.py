"""Clips to look at and to hear: spectrograms with a moving playhead, inside pages that need no network."""
