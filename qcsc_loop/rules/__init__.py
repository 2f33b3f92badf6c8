"""When a run stops or tries again, and why."""
