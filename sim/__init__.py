"""Rendered shops, personas, and the experiments run on them. Nobody imports it; its commands join by plugin."""
