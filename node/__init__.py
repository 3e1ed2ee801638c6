"""One shop's node: import, store, rank, command line."""
