"""Parameters: read, compared, resolved; what the environment says."""
