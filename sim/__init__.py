"""Rendered shops, personas and the experiments run on them. Nobody imports this package but the command line's own demo."""
