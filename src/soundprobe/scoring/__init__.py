"""Folds, metrics, intervals and tests on predictions, and the record of a run. numpy and scipy; never torch."""
