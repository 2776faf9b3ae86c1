"""What is wrong with a data set's folds: leaks, copies, unbalanced classes."""
