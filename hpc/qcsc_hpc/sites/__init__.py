"""Where jobs run: this machine, or a scheduler that is asked by its commands."""
