"""Parameters of which the default run takes the first ones, and CI all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def first(count: int, values: Iterable[Any]) -> list[Any]:
    """All of the values; those after the first ones show again what these show."""
    # pytest has no public name for the type of what `param` makes
    return [
        pytest.param(value, marks=[pytest.mark.thorough] if number >= count else [])
        for number, value in enumerate(values)
    ]


def first_rows(count: int, rows: Iterable[Iterable[Any]]) -> list[Any]:
    """The same of rows of several values each."""
    return [
        pytest.param(*row, marks=[pytest.mark.thorough] if number >= count else [])
        for number, row in enumerate(rows)
    ]
