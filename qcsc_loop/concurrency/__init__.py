"""Threads, processes and files: deadlines, workers, children that die with their driver."""
