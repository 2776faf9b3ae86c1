"""Runs as they are read from disk."""
