"""Plain JSON, and what it can hold."""

from __future__ import annotations

from typing import Any

# Any, not a recursive type: type checkers would ask for a cast at every look into what was read,
# and what it has to be is checked where it becomes a record
Json = dict[str, Any]
"""A JSON object: settings, facts, answers of other programs."""


def is_utf8(text: str) -> bool:
    """Whether JSON can hold it: a file's name in other bytes has halves of characters in it."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)
