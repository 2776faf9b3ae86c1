"""One file a verb: the rooms below wired together. No verb imports a verb."""
