"""Benchmarks; a package, for another distribution has one of that name."""
