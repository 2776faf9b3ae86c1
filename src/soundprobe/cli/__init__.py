"""The command line: thin verbs around the functions of the same names. Importing it imports no torch."""
