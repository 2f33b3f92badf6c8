"""Commands and checks that machines add to the terminal."""
