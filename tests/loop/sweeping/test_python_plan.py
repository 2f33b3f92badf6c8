"""A sweep as a call describes it: what researchers pass first works, or is refused in a sentence."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any, cast

import anyio
import numpy as np
import pytest

from loop.sweeping.walks import Walk
from qcsc_loop.errors import InvalidParameters
from qcsc_loop.rules.stop import MaxIterations
from qcsc_loop.sweeping.plan import Halving
from qcsc_loop.sweeping.sweep import Sweep, sweep


def run(store: Path, algorithm: Any = None, **options: Any) -> Sweep:
    given: dict[str, Any] = {"name": "down", "stop": MaxIterations(1)} | options
    call: Any = partial(sweep, store=store, **given)
    return cast("Sweep", anyio.run(partial(call, Walk() if algorithm is None else algorithm)))


@pytest.mark.parametrize(
    "values",
    [
        np.array([5, 7]),
        [np.int64(5), np.int32(7)],
        (np.float64(5), 7),
        range(5, 8, 2),
        iter([5, 7]),
    ],
    ids=["array", "scalars", "floats", "range", "iterator"],
)
def test_values_of_numpy_are_plain_ones(tmp_path: Path, values: Any) -> None:
    found = run(tmp_path, grid={"shots": values})
    assert [each.member.parameters["shots"] for each in found.standing.members] == [5, 7]


@pytest.mark.parametrize("seeds", [np.arange(2), 2, np.int64(2), (0, 1), [np.uint8(0), 1]])
def test_seeds_of_numpy_are_seeds(tmp_path: Path, seeds: Any) -> None:
    found = run(tmp_path, seeds=seeds, at_once=np.int64(2), budget={"shots": np.float32(100)},
                iteration={"shots": np.int64(10)})  # fmt: skip
    assert [each.member.seed for each in found.standing.members] == [0, 1]


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "seeds in words": ({"seeds": "x"}, "seeds: 'x' is no whole number, and no list of such"),
    "half a seed": ({"seeds": 2.0}, "seeds: 2.0 is no whole number"),
    "a truth of seeds": ({"seeds": True}, "seeds: True is no whole number"),
    "a seed of half": ({"seeds": [0, 0.5]}, "seeds: 0.5 is no whole number from 0 to"),
    "a negative seed": ({"seeds": [-1]}, "seeds: -1 is no whole number from 0 to"),
    "a seed of many digits": ({"seeds": [10**80]}, "is no whole number from 0 to"),
    "no seeds": ({"seeds": []}, "seeds: a sweep of no members has nothing to run"),
    "seeds without end": ({"seeds": 10**30}, "members are more than a store's folder"),
    "a list without end": ({"seeds": range(10**12)}, "members are more than a store's folder"),
    "a grid without end": (
        {"grid": {f"p{k}": range(1000) for k in range(9)}},
        "grid: 1,000,000,000,000,000,000,000,000,000 members are more than",
    ),
    "no rule": ({"stop": 3}, "stop: 3 is no stop rule. Valid parameters: MaxIterations(3)"),
    "none at once": ({"at_once": 0}, "at_once: 0 members cannot go at once. Valid parameters: a whole"),
    "all at once": ({"at_once": math.inf}, "at_once: inf members cannot go at once"),
    "no grid": ({"grid": [1]}, "grid: [1] does not say which parameter takes which values"),
    "one value": ({"grid": {"shots": 5}}, "grid.shots: 5 is no list of values to try"),
    "a word of values": ({"grid": {"bill": "abc"}}, "grid.bill: 'abc' is no list of values to try"),
    "no value": ({"grid": {"shots": []}}, "grid.shots: it has no value to try"),
    "no name of a parameter": ({"grid": {5: [1]}}, "grid: 5 is no parameter's name"),
    "no JSON": ({"grid": {"rate": [1j]}}, "grid.rate: Object of type complex is not JSON"),
    "equal values": (
        {"grid": {"shots": [5, 5.0]}},
        "two members are the same: shots=5 and shots=5.0, seed 0",
    ),
    "no budget": ({"budget": 5}, "budget: 5 does not say of what"),
    "an unknown amount": (
        {"budget": {"shot": 5}},
        "budget: there is no amount 'shot' (did you mean 'shots'?)",
    ),
    "an endless budget": (
        {"budget": {"shots": math.inf}, "iteration": {"shots": 10}},
        "budget.shots: inf is no finite number above 0. Valid parameters: a number above 0.",
    ),
    "no number": (
        {"budget": {"shots": math.nan}, "iteration": {"shots": 10}},
        "budget.shots: nan is no finite number above 0",
    ),
    "an endless iteration": (
        {"budget": {"shots": 5}, "iteration": {"shots": math.inf}},
        "iteration.shots: inf is no finite number above 0",
    ),
    "an endless product": (
        {"budget": {"shots": 5}, "iteration": {"shots": "1e308 * shots"}},
        "budget.iteration.shots: '1e308 * shots' comes to inf",
    ),
    "no halving": ({"halving": 2}, "halving: 2 is no Halving. Valid parameters: Halving(first=2)"),
    "a name of two words": (
        {"name": "A B"},
        "name: 'A B' cannot be a sweep's name. Valid parameters: 1 to 32 lower-case letters",
    ),
    "no name": ({"name": 5}, "name: 5 cannot be a sweep's name"),
    "a path": ({"name": "../x"}, "name: '../x' cannot be a sweep's name"),
    "a line's end": ({"name": "down\n"}, "cannot be a sweep's name"),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_a_sentence_and_nothing_is_written(wrong: str, tmp_path: Path) -> None:
    options, said = WRONG[wrong]
    with pytest.raises(InvalidParameters) as raised:
        run(tmp_path / "s", **options)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value) and "none" not in str(raised.value)
    assert not (tmp_path / "s").exists()


NO_ALGORITHMS: dict[str, tuple[Any, str]] = {
    "a name": ("bitcount", "sweep: 'bitcount' is no algorithm, and what runs is an instance"),
    "a class": (Walk, "sweep: Walk is a class, and what runs is an instance. Valid parameters: Walk("),
    "nothing": ({}, "sweep: a sweep of no members has nothing to run"),
    "a class by label": ({"few": Walk}, "sweep: few: Walk is a class"),
    "no label": ({3: Walk()}, "sweep: 3 is no label"),
    "one twice": (
        {"few": Walk(), "many": Walk()},
        "two members are the same: few and many, seed 0",
    ),
}  # fmt: skip


@pytest.mark.parametrize("wrong", NO_ALGORITHMS)
def test_what_is_no_algorithm_is_a_sentence(wrong: str, tmp_path: Path) -> None:
    algorithm, said = NO_ALGORITHMS[wrong]
    with pytest.raises(InvalidParameters) as raised:
        run(tmp_path / "s", algorithm)
    assert said in str(raised.value) and "\n" not in str(raised.value)
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("first", [math.inf, math.nan, 1e300])
def test_a_rung_without_end_is_refused(first: float) -> None:
    with pytest.raises(ValueError, match="first"):
        Halving(first=first)
