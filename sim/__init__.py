"""Rendered shops, personas, and the experiments run on them. Nobody imports this package; its commands join by plugin."""
