"""The loop: hooks, a run and its iterations, and how it is driven."""
