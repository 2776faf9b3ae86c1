"""Classifiers on frozen embeddings that choose their own settings, from the rows that they are fitted on alone."""
