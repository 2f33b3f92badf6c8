"""How parameters look in a form."""

from __future__ import annotations

from qcsc_loop.plain import Json


def in_short(schema: Json) -> None:
    """Leaves of a description what a docstring's first paragraph says."""
    if "description" in schema:
        schema["description"] = schema["description"].partition("\n\n")[0]
