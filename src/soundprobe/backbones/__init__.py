"""Backbones: networks that turn a clip's wave into an embedding, one file a family, all in one table."""
