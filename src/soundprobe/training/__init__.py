"""Training networks on clips: recipes, inputs, the loop, and one fold from fresh weights to its test."""
