"""The terminal: commands, live progress, signals. Heavy things are imported in functions only."""
