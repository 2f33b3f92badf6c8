"""What runs on ranks."""
