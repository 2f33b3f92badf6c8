"""What is to be typed so that a run goes on which has ended."""

from __future__ import annotations

import math
from collections.abc import Mapping

from qcsc_loop.plain import Json
from qcsc_loop.rules.reason import Reason

# the field that bounds something in each rule of `rules.stop`, and what it bounds
_BOUNDS = {
    "max-iterations": ("iterations", "iterations"),
    "wall-time": ("seconds", "seconds"),
    "shots": ("limit", "shots"),
    "qpu-seconds": ("limit", "qpu_seconds"),
    "node-hours": ("limit", "node_hours"),
}


_JOINED = ("any", "all")
_AT_ONCE = {"type": "converged", "times": 1}

# the option of the command line that sets each bound, and what that counts in
_OPTIONS = {
    "iterations": ("--max-iterations", 1.0),
    "seconds": ("--max-hours", 3600.0),
    "shots": ("--max-shots", 1.0),
    "qpu_seconds": ("--max-qpu-seconds", 1.0),
    "node_hours": ("--max-node-hours", 1.0),
}
_DUST = 1e-6  # that a limit may be off what was spent: it was added up in another order
_AT_A_LIMIT = (Reason.MAX_ITERATIONS, Reason.BUDGET)
_AT_ITS_GOAL = (Reason.CONVERGED, Reason.PLATEAU, Reason.CUSTOM)
_WITH = {
    Reason.MAX_ITERATIONS: "a higher limit",
    Reason.PLATEAU: "a smaller tolerance or a longer window",
    Reason.BUDGET: "a larger budget",
}
_FIRST = {
    Reason.CONVERGED: "",
    Reason.CUSTOM: "",
    Reason.HANDED_OVER: "the next flow run goes on, or",
    Reason.FAILED: "after the fix",
}


def advice_on(run_id: str, reason: Reason, command: str, more: str = "") -> str:
    """'to go on: qcsc-loop resume RUN --max-iterations 20'; empty where nothing is left to do.

    Where no options of the command say with what, words do.

    Args:
        command: see `resume_command`; empty: there is none.
        more: what stands behind each command, as `--store DIR`.
    """
    first = _FIRST.get(reason, "to go on")
    if not first:
        return ""
    said = f"{command}{more}" if command else f"resume {run_id}"
    lacks = reason in _WITH and " --" not in command
    return f"{first}: {said}{f' with {_WITH[reason]}' if lacks else ''}"


def resume_command(
    run_id: str, reason: Reason, rule: Json | None, spent: Mapping[str, float]
) -> str:
    """The command, without `--store`; empty where nothing is left to do.

    Args:
        rule: by which the run stopped, as JSON; None: it is not known.
        spent: of what the rule may bound, by name.
    """
    if reason in _AT_ITS_GOAL:
        return ""
    further = _further(reason, rule, spent) if reason in _AT_A_LIMIT and rule is not None else ""
    return f"qcsc-loop resume {run_id}{further}"


def _further(reason: Reason, rule: Json, spent: Mapping[str, float]) -> str:
    """Options that let it go on: its limits, that to which it has come doubled."""
    if not says_all(rule):
        return ""  # it is more than options can say
    limits = limits_of(rule)
    nearest = {what: spent.get(what, 0.0) / limits[what] for what in limits if what in spent}
    reached = max(nearest, key=lambda what: nearest[what], default="")
    if reason is Reason.MAX_ITERATIONS:
        reached = "iterations"
    words: list[str] = []
    for what, limit in limits.items():
        option, unit = _OPTIONS[what]
        is_used_up = spent.get(what, 0.0) >= limit * (1 - _DUST)
        more = max(2 * limit, 1.0) if what == reached or is_used_up else limit
        words.append(f" {option} {more / unit:.12g}")
    return "".join(words)


def simplest(rule: Json) -> Json:
    """A stop rule, as JSON, in the one way in which all that say the same are written.

    Rules of one kind in each other are one, and one rule alone is itself. That a run ends as soon as
    it has converged is said by every rule that does not mention it: it is left out.
    """
    kind, several = rule.get("type"), rule.get("rules")
    if kind not in _JOINED or not isinstance(several, list):
        return rule
    parts: list[Json] = []
    for each in map(simplest, filter(_is_rule, several)):
        inner = each.get("rules")
        parts += inner if each.get("type") == kind and isinstance(inner, list) else [each]
    if kind == "any":
        parts = [part for part in parts if part != _AT_ONCE] or parts[:1]
    parts = [part for k, part in enumerate(parts) if part not in parts[:k]]
    return parts[0] if len(parts) == 1 else {**rule, "rules": parts}


def _is_rule(each: object) -> bool:
    return isinstance(each, dict)


def says_all(rule: Json) -> bool:
    """Whether a stop rule is nothing but its bounds."""
    several = rule.get("rules") if rule.get("type") == "any" else None
    each = several if isinstance(several, list) else [rule]
    return all(isinstance(one, dict) and one.get("type") in _BOUNDS for one in each)


def limits_of(rule: Json) -> dict[str, float]:
    """The bounds that a stop rule, as JSON, has by itself or as one of several that each end a run."""
    several = rule.get("rules") if rule.get("type") == "any" else None
    found: dict[str, float] = {}
    for each in several if isinstance(several, list) else [rule]:
        name, what = _BOUNDS.get(str(each.get("type")), ("", ""))
        if isinstance(value := each.get(name), int | float):
            found[what] = min(value, found.get(what, math.inf))
    return found
