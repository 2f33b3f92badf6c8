"""Stop rules of any depth, and histories for them to look at."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import and_, or_

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from qcsc_loop.rules.stop import (
    Committed,
    Converged,
    MaxIterations,
    NodeHours,
    Plateau,
    Progress,
    QpuSeconds,
    Shots,
    StopRule,
    WallTime,
)

AMOUNTS = ("shots", "qpu_seconds", "node_hours")
above_zero = st.floats(min_value=0, exclude_min=True)


def rules() -> SearchStrategy[StopRule]:
    """Of every kind, composed."""
    leaves: SearchStrategy[StopRule] = st.one_of(
        st.builds(MaxIterations, st.integers(0, 2**70)),
        st.builds(lambda times: Converged(times=times), st.integers(1, 4)),
        st.builds(
            lambda window, tolerance, scalar: Plateau(window, tolerance, scalar=scalar),
            st.integers(1, 4),
            st.floats(min_value=0),
            st.sampled_from([None, "energy", "norm"]),
        ),
        st.builds(WallTime, above_zero),
        st.builds(Shots, above_zero),
        st.builds(QpuSeconds, above_zero),
        st.builds(NodeHours, above_zero),
    )
    return st.recursive(leaves, _composed, max_leaves=6)


def _composed(inner: SearchStrategy[StopRule]) -> SearchStrategy[StopRule]:
    several = st.lists(inner, min_size=2, max_size=3)
    return st.one_of(several.map(lambda some: reduce(or_, some)), several.map(_all))


def _all(some: Sequence[StopRule]) -> StopRule:
    return reduce(and_, some)


@st.composite
def histories(draw: st.DrawFn) -> list[Committed]:
    """Committed iterations, from the first one on."""
    said = st.tuples(st.booleans(), st.floats(), st.sampled_from([1.0, 1.0 + 1e-9, 2.0]))
    rows = draw(st.lists(said, min_size=1, max_size=12))
    return [
        Committed(number, converged and number > 0, {"energy": energy, "norm": norm})
        for number, (converged, energy, norm) in enumerate(rows)
    ]


def progress(history: Sequence[Committed], amount: float, more: float, seconds: float) -> Progress:
    """How a run of that history stands, having spent so much of everything."""
    return Progress(history, seconds, dict.fromkeys(AMOUNTS, amount), dict.fromkeys(AMOUNTS, more))
