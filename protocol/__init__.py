"""Bytes to meaning and back: records, identity, wire format. Pure: no I/O, no clock, no randomness."""
