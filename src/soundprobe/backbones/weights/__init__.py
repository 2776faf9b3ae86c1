"""Files of pretrained weights: found, fetched, verified, read without running code that is in them."""
