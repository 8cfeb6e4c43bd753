"""What a daemon says of itself to those who run it: counts, rates, whether it is well, and the port for it."""
