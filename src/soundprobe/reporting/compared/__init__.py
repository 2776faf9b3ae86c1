"""Rows, pairs and standings: what the runs say of each other."""
