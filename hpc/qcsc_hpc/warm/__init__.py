"""A warm job: ranks that wait for a run's next request."""
