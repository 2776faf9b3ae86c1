"""Several verbs and a report in a row."""
