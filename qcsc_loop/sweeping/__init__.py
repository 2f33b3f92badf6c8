"""Many runs as one: a grid, a list or seeds; a bound on all; one table, picture and page."""
