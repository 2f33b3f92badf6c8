"""Amounts and times as people read them."""

from __future__ import annotations

import json

from qcsc_loop.plain import Json

_ASCII = str.maketrans({"▸": ">", "·": "-", "✓": "+", "…": "~"})


def amount(name: str, value: float) -> str:
    """What a run has spent, of something that a budget may limit."""
    match name:
        case "shots":
            return f"{value:,.0f} shots"
        case "qpu_seconds":
            return f"{value:,.1f} QPU s"
        case "node_hours":
            return f"{value:,.3g} node h"
        case _:
            return f"{value:,.6g} {name.replace('_', ' ')}"


_RULES = {
    "max-iterations": ("iterations", "iteration {:g}", 1.0),
    "wall-time": ("seconds", "{:g} h of a driver", 3600.0),
    "shots": ("limit", "{:,.12g} shots", 1.0),
    "qpu-seconds": ("limit", "{:,.12g} QPU s", 1.0),
    "node-hours": ("limit", "{:,.12g} node h", 1.0),
}


def rule_in_words(rule: Json) -> str:
    """A stop rule: 'at iteration 100 or 4,500 shots', as JSON where it is more than a bound."""
    several = rule.get("rules") if rule.get("type") == "any" else None
    each = several if isinstance(several, list) else [rule]
    return f"at {' or '.join(_bound(one) for one in each)}, or when it has converged"


def _bound(rule: Json) -> str:
    field, words, unit = _RULES.get(str(rule.get("type")), ("", "", 1.0))
    value = rule.get(field)
    return words.format(value / unit) if isinstance(value, int | float) else json.dumps(rule)


def in_letters(text: str) -> str:
    """Our own signs for a terminal that has no others than ASCII's."""
    return text.translate(_ASCII)
