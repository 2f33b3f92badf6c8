"""A step of an iteration: its context, its randomness, its concurrent parts."""
