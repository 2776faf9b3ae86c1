"""Clips through a backbone to disk, and back as what heads are trained on."""
