"""A job's folder, its script, and what starts its ranks."""
