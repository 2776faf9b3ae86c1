"""The same numbers sooner: forms of the networks that give what the plain ones give, within rounding."""
