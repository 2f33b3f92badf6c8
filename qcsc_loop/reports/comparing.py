"""Two runs side by side: only what differs, from which iteration on, and what each has cost."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field

from qcsc_loop.plain import Json
from qcsc_loop.reports.phrases import exact, span
from qcsc_loop.reports.view import View
from qcsc_loop.reports.words import rule_in_words
from qcsc_loop.rules.going_on import simplest
from qcsc_loop.store.journal import Journal
from qcsc_loop.store.records import Commit

_AMOUNTS = {"shots": "shots", "qpu_seconds": "QPU seconds", "node_hours": "node hours"}
_PROVENANCE = ("versions", "host", "machine", "threads", "python", "source_sha256", "revision")


@dataclass(frozen=True)
class Row:
    """Something that is one way in one run, and another in the other.

    Attributes:
        note: what that means.
    """

    name: str
    one: str
    other: str
    note: str = ""


@dataclass(frozen=True)
class Comparison:
    """How two runs differ.

    Attributes:
        rows: what differs, in the order in which people ask.
        equal: what was looked at and is the same, in words.
        states_from: the first iteration whose states differ; None: none that both have.
        scalars_from: the first whose scalars do.
        common: how many iterations both have.
    """

    one: str
    other: str
    rows: Sequence[Row] = ()
    equal: Sequence[str] = field(default_factory=list[str])
    states_from: int | None = None
    scalars_from: int | None = None
    common: int = 0

    def facts(self) -> Json:
        """As plain JSON."""
        return asdict(self)

    @property
    def last_line(self) -> str:
        """From where on they differ, and in what they do not."""
        if not self.common:
            said = "no iteration is in both"
        elif self.states_from is None:
            said = f"the states of all {self.common} iterations that both have are equal"
        elif self.scalars_from is None:
            said = f"states differ from iteration {self.states_from}, and no scalar does"
        elif self.scalars_from == self.states_from:
            said = f"states differ from iteration {self.states_from}"
        else:
            said = (
                f"states differ from iteration {self.states_from}, scalars from {self.scalars_from}"
            )
        return f"{said};  equal: {', '.join(self.equal)}" if self.equal else said


def compare_runs(one: View, other: View, journals: tuple[Journal, Journal]) -> Comparison:
    """How two runs differ.

    Raises:
        StoreError: one of them cannot be read.
    """
    rows, equal = list[Row](), list[str]()
    for name, found in _parts(one, other):
        if found:
            rows += found
        elif name:
            equal.append(name)
    before, after = ({c.iteration: c for c in journal.history()} for journal in journals)
    common = sorted(before.keys() & after.keys())
    return Comparison(
        one=one.run_id,
        other=other.run_id,
        rows=rows,
        equal=equal,
        states_from=next((k for k in common if _states_differ(before[k], after[k])), None),
        scalars_from=next((k for k in common if _scalars_differ(before[k], after[k])), None),
        common=len(common),
    )


def _parts(one: View, other: View) -> Iterator[tuple[str, list[Row]]]:
    yield "", [*_lineage(one, other), *_lineage(other, one)]
    algorithms = _differing("algorithm", one.algorithm, other.algorithm)
    yield "algorithm", algorithms
    yield "seed", _differing("seed", *_seeds(one, other))
    if not algorithms:  # two classes have no parameters in common
        yield "parameters", _parameters(one, other)
    yield "stop rule", _stop_rules(one, other)
    yield from _provenance(one, other)
    yield "headline", _headlines(one, other)
    yield "cost", _costs(one, other)


def _lineage(one: View, other: View) -> list[Row]:
    """That one begins with a state of the other."""
    parent = one.record.forked_from if one.record is not None else None
    if parent is None or other.record is None or parent.uid != other.record.uid:
        return []
    words = f"{one.run_id} begins with the state of {other.run_id} after {parent.iteration}"
    return [Row("fork", "", "", words)]


def _seeds(*views: View) -> list[object]:
    return [view.record.seed if view.record is not None else "?" for view in views]


def _parameters(one: View, other: View) -> list[Row]:
    mine, theirs = (view.settings.resolved if view.settings else {} for view in (one, other))
    return list(_differences(mine, theirs, ""))


def _stop_rules(one: View, other: View) -> list[Row]:
    """By what the rules say: one may be written in several ways, as a bound or as any of one bound."""
    rules = [simplest(view.settings.stop) if view.settings else {} for view in (one, other)]
    mine, theirs = rules
    if mine == theirs:
        return []
    if mine.get("type") == theirs.get("type") and not any("rules" in rule for rule in rules):
        return list(_differences(mine, theirs, "stop"))
    return [Row("stop", *(rule_in_words(rule) if rule else "-" for rule in rules))]


def _provenance(one: View, other: View) -> Iterator[tuple[str, list[Row]]]:
    if one.driver is None or other.driver is None:  # a fork that nobody has gone on with yet
        return
    mine, theirs = one.driver.provenance, other.driver.provenance
    for name in _PROVENANCE:
        if name in mine or name in theirs:
            words = name.replace("_", " ")
            yield words, list(_differences(mine.get(name), theirs.get(name), words))


def _differences(one: object, other: object, name: str) -> Iterator[Row]:
    """A row for each leaf that differs, under its dotted name."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in dict.fromkeys([*one, *other]):
            below = f"{name}.{key}" if name else str(key)
            yield from _differences(one.get(key), other.get(key), below)
    elif one != other:
        yield Row(name, _short(one), _short(other))


def _differing(name: str, one: object, other: object) -> list[Row]:
    return [] if one == other else [Row(name, str(one), str(other))]


def _short(value: object) -> str:
    text = "-" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _headlines(one: View, other: View) -> list[Row]:
    name = one.chart.headline
    mine, theirs = one.headline, other.headline
    if one.best is not None and other.best is not None:
        mine, theirs = one.best.value, other.best.value
    if name != other.chart.headline:
        return _differing("headline", name, other.chart.headline)
    if mine == theirs:
        return []
    return [Row(name, exact(mine), exact(theirs), _who_is_better(one, other, mine, theirs))]


def _who_is_better(one: View, other: View, mine: float, theirs: float) -> str:
    apart = abs(mine - theirs)
    if not math.isfinite(apart):
        return ""
    unit = one.chart.unit
    lower = other.run_id if theirs < mine else one.run_id
    words = f"{lower} is lower by {_distance(apart, unit)}"
    better = {"lower": lower, "higher": one.run_id if lower == other.run_id else other.run_id}
    return f"{words}, and better" if better.get(one.chart.better) == lower else words


def _distance(apart: float, unit: str) -> str:
    if unit == "hartree" and apart < 0.1:
        return f"{1000 * apart:.4g} mHa"
    return f"{apart:.4g} {unit}".rstrip()


def _costs(one: View, other: View) -> list[Row]:
    rows = list[Row]()
    mine, theirs = one.spent, other.spent
    for name, words in _AMOUNTS.items():
        if (a := mine.get(name, 0.0)) != (b := theirs.get(name, 0.0)):
            rows.append(Row(words, f"{a:,.6g}", f"{b:,.6g}"))
    rows += _differing("iterations", one.iteration, other.iteration)
    walls = [sum(t for t in view.history.took if math.isfinite(t)) for view in (one, other)]
    return [*rows, Row("time of work", span(walls[0]), span(walls[1]))] if any(walls) else rows


def _states_differ(one: Commit, other: Commit) -> bool:
    return one.state_sha256 != other.state_sha256


def _scalars_differ(one: Commit, other: Commit) -> bool:
    def same(a: float, b: float) -> bool:
        return a == b or (math.isnan(a) and math.isnan(b))

    if one.scalars.keys() != other.scalars.keys():
        return True
    return not all(same(value, other.scalars[name]) for name, value in one.scalars.items())
