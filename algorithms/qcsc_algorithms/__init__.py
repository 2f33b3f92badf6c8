"""Algorithms that come with the framework."""
