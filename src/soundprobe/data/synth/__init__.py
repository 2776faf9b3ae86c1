"""Generated sounds, so that the whole way can be walked offline."""
