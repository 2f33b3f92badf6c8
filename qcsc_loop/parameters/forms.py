"""How parameters look in a form."""

from __future__ import annotations

from typing import Any


def in_short(schema: dict[str, Any]) -> None:
    """Leaves of a description what a docstring's first paragraph says."""
    if "description" in schema:
        schema["description"] = schema["description"].partition("\n\n")[0]
