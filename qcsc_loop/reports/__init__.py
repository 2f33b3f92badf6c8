"""Runs and jobs in words and tables, for people."""
