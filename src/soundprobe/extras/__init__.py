"""What else is measured after a run: learning curves, and what peeking at the test set would have gained."""
