"""Functions that jobs run."""

from __future__ import annotations


def averaged(file: str, numbers: list[float]) -> float:
    """The mean; each call leaves a line in a file."""
    with open(file, "a") as calls:
        calls.write("called\n")
    return sum(numbers) / len(numbers)
