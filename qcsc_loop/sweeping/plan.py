"""What a sweep is: its members, each an ordinary run, and what bounds all of them together."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from qcsc_loop.parameters.compare import flat
from qcsc_loop.plain import Json
from qcsc_loop.rules.limits import Limits
from qcsc_loop.rules.stop import AnyOf, MaxIterations, StopRule
from qcsc_loop.store.records import RunId, now

SWEEP_NAME = r"^[a-z0-9][a-z0-9-]{0,31}$"
SweepName = Annotated[str, StringConstraints(pattern=SWEEP_NAME)]
AMOUNTS = ("shots", "qpu_seconds", "node_hours")
AT_ONCE = 4
MOST_MEMBERS = 10_000
MOST_COST = 1e15  # of a first rung: that of the last one is a whole number still
_SLUG = 24  # letters of a run's id that tell its setting


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


Above = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Amounts(_Part):
    """What can be spent; None: it is not bounded."""

    shots: Above | None = None
    qpu_seconds: Above | None = None
    node_hours: Above | None = None

    def known(self) -> dict[str, float]:
        """Those that are given, by name."""
        return {name: v for name in AMOUNTS if (v := getattr(self, name)) is not None}


Bound = Above | str


class Bounds(_Part):
    """What an iteration costs at most: a number, or a product such as `"population * shots"`, whose
    names are parameters of the member.

    Attributes:
        shots, qpu_seconds, node_hours: a number or a product; empty: nobody says.
    """

    shots: Bound | None = None
    qpu_seconds: Bound | None = None
    node_hours: Bound | None = None

    def known(self) -> dict[str, float | str]:
        """Those that are given, by name."""
        return {name: v for name in AMOUNTS if (v := getattr(self, name)) is not None}


class Halving(_Part):
    """Successive halving: at rising equal costs, the settings whose headline is worse are stopped.

    A setting is all members that differ in their seed alone, and has the median of their headlines:
    the best one so far where the chart says which way is better, else the last.

    Attributes:
        first: the cost at which the first are stopped.
        factor: of so many settings one goes on, to so many times the cost.
        cost: what is equal: `iterations`, or an amount of each member.
    """

    first: float = Field(gt=0, le=MOST_COST, allow_inf_nan=False)
    factor: int = Field(default=2, ge=2, strict=True)
    cost: Literal["iterations", "shots", "qpu_seconds"] = "iterations"

    def rule(self, rung: int) -> StopRule:
        """Where a member waits for the others at a rung, counted from 0."""
        bound = self.first * self.factor**rung
        if self.cost == "iterations":
            return MaxIterations(math.floor(bound))
        found = Limits.model_validate({f"max_{self.cost}": bound}).stop_rule()
        assert isinstance(found, AnyOf)
        return found.rules[1]  # without the iterations that every limit comes with

    def rungs(self, settings: int) -> int:
        """How often some are stopped, until one is left."""
        count, left = 0, settings
        while left > 1:
            left, count = math.ceil(left / self.factor), count + 1
        return count


class Member(_Part):
    """A run of a sweep.

    Attributes:
        group: what is compared with one another is of one group.
        setting: its parameters' label; members of one setting differ in their seed.
        algorithm: how its class is found again.
        parameters: all of them, as plain JSON.
        stop: its own rule, as JSON.
        iteration: what an iteration of it costs at most, where there is a budget.
        deployment: whose flow runs drive it; empty: this process.
    """

    run_id: RunId
    group: str
    setting: str
    seed: int
    algorithm: str
    parameters: Json
    stop: Json
    iteration: dict[str, float] = {}
    deployment: str = ""

    @property
    def key(self) -> tuple[str, str, int]:
        """What it is in its sweep."""
        return self.group, self.setting, self.seed

    def rule(self) -> StopRule:
        """Its own stop rule."""
        return StopRule.model_validate_json(json.dumps(self.stop))


class Plan(BaseModel):
    """A sweep as it was asked for.

    Attributes:
        at_once: how many members go at once.
        budget: of all members together, by amount.
        baselines: group to the setting with which its others are compared.
        source: the file that it came from; empty: Python.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="strings")

    name: SweepName
    members: tuple[Member, ...]
    at_once: int = Field(default=AT_ONCE, ge=1)
    budget: dict[str, float] = {}
    halving: Halving | None = None
    baselines: dict[str, str] = {}
    source: str = ""
    created: datetime = Field(default_factory=now)

    @property
    def groups(self) -> list[str]:
        """In their order."""
        return list(dict.fromkeys(member.group for member in self.members))

    def of(self, group: str) -> list[Member]:
        """The members of a group, in their order."""
        return [member for member in self.members if member.group == group]

    def settings(self, group: str) -> list[str]:
        """What a group tries, in its order."""
        return list(dict.fromkeys(member.setting for member in self.of(group)))


@dataclass(frozen=True)
class Choice:
    """One of the settings that a group tries.

    Attributes:
        varied: what tells it from the others, by dotted name.
        label: its own name; empty: one is made of `varied`.
    """

    parameters: Json
    varied: Json = field(default_factory=dict)
    label: str = ""

    @property
    def setting(self) -> str:
        """For people: 'shots=100, sampler.method=stabilizer'."""
        return self.label or ", ".join(f"{name}={_short(v)}" for name, v in self.varied.items())


def grid_choices(grid: Mapping[str, Sequence[Any]]) -> Iterator[Choice]:
    """Every combination of the values of dotted names; one that varies nothing for an empty grid."""
    if not grid:
        yield Choice({})
        return
    (name, values), *others = grid.items()
    for value in values:
        for rest in grid_choices(dict(others)):
            varied = {name: value, **rest.varied}
            yield Choice(nested(varied), varied)


def list_choices(listed: Sequence[Json]) -> Iterator[Choice]:
    """A choice for each table of parameters; `label` names it."""
    for table in listed:
        parameters = nested({name: v for name, v in table.items() if name != "label"})
        yield Choice(parameters, flat(parameters), str(table.get("label", "")))


def nested(dotted: Mapping[str, Any]) -> Json:
    """Parameters by dotted name as nested ones."""
    found: Json = {}
    for name, value in dotted.items():
        *path, last = name.split(".")
        inner = found
        for part in path:
            below = inner.setdefault(part, {})
            inner = below if isinstance(below, dict) else inner
        inner[last] = nested(value) if isinstance(value, dict) else value
    return found


def lay_over(under: Mapping[str, Any], over: Mapping[str, Any]) -> Json:
    """Nested parameters laid over others; a setting of another type takes the whole one's place."""
    found = dict(under)
    for name, value in over.items():
        below = found.get(name)
        if isinstance(below, dict) and isinstance(value, dict):
            other = "type" in value and value["type"] != below.get("type")
            found[name] = value if other else lay_over(below, value)
        else:
            found[name] = value
    return found


def bound_of(bound: float | str, parameters: Json) -> float:
    """What a bound comes to for a member.

    Raises:
        ValueError: it is no product of numbers and of parameters that are numbers above 0.
    """
    if not isinstance(bound, str):
        return bound
    known, found = flat(parameters), 1.0
    for part in (word.strip() for word in bound.split("*")):
        value = known.get(part)
        try:
            factor = float(part) if value is None else float(value)
        except (TypeError, ValueError):
            raise ValueError(f"{part!r} is no number, and no parameter that is one") from None
        if not factor > 0 or math.isinf(factor):
            raise ValueError(f"{part!r} is no finite number above 0")
        found *= factor
    if not 0 < found < math.inf:
        raise ValueError(f"{bound!r} comes to {found:g}")
    return found


def run_ids(sweep: str, group: str, settings: Sequence[str], seeds: Sequence[int]) -> list[str]:
    """An id for each setting and seed, in their order: what can be read, as long as it tells apart.

    Args:
        group: empty where there is only one.
    """
    slugs = [_slug(setting) for setting in settings]
    often = Counter(slugs)
    told = [
        slug if often[slug] == 1 and len(slug) <= _SLUG else f"{slug[:_SLUG]}-{_digest(setting)}"
        for slug, setting in zip(slugs, settings, strict=True)
    ]
    head = "-".join(part for part in (sweep, _slug(group)[:16]) if part)
    return [
        "-".join(part for part in (head, slug.strip("-"), f"s{seed}") if part)
        for slug in told
        for seed in seeds
    ]


def _slug(text: str) -> str:
    """A setting's values alone: its names are those of all others."""
    values = re.sub(r"[\w.]+=", "", text.lower())
    return re.sub(r"[^a-z0-9]+", "-", values).strip("-")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:4]


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    return text if len(text) <= 40 else f"{text[:32]}…{_digest(text)}"
