"""Trained heads on new audio: loading them, embedding what they hear, and what they say of it."""
