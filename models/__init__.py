"""Arrays in, arrays out: the encoder and the recommenders. No I/O beyond loading weights."""
