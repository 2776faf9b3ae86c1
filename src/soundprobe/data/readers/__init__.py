"""One reader a layout: a path in, `Clips` out, or one line that says what is wrong."""
