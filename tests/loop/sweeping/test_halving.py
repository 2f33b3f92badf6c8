"""Which settings cannot win any more."""

from __future__ import annotations

import math

import pytest

from qcsc_loop.sweeping.halving import stopped_at
from qcsc_loop.sweeping.plan import Halving

HALF = Halving(first=2)


def test_the_worse_half_by_the_median_over_seeds_goes_no_further() -> None:
    values = {"a": [1.0, 9.0, 9.0], "b": [2.0, 2.0, 2.0], "c": [3.0, 3, 3], "d": [8.0, 8, 8]}
    losing, medians = stopped_at(HALF, values, better="lower")
    assert losing == ["a", "d"]
    assert medians["a"] == 9.0
    assert stopped_at(HALF, values, better="higher")[0] == ["b", "c"]


def test_of_equal_ones_the_earlier_goes_on() -> None:
    assert stopped_at(HALF, {"a": [1.0], "b": [1.0]}, better="lower")[0] == ["b"]


@pytest.mark.parametrize("better", ["lower", "higher"])
def test_nan_is_the_worst_there_is(better: str) -> None:
    losing, medians = stopped_at(HALF, {"a": [math.nan], "b": [1e9]}, better=better)
    assert losing == ["a"] and math.isnan(medians["a"])


def test_a_setting_whose_members_all_failed_loses() -> None:
    assert stopped_at(HALF, {"a": [], "b": [5.0], "c": [4.0]}, better="lower")[0] == ["a"]


def test_there_are_as_many_rungs_as_it_takes_to_leave_one() -> None:
    assert [HALF.rungs(n) for n in (1, 2, 3, 4, 5, 8)] == [0, 1, 2, 2, 3, 3]
    assert Halving(first=1, factor=3).rungs(9) == 2


def test_each_rung_costs_more_by_the_factor() -> None:
    rules = [Halving(first=100, cost="shots").rule(rung).model_dump() for rung in range(3)]
    assert [rule["limit"] for rule in rules] == [100, 200, 400]
    assert [HALF.rule(rung).model_dump()["iterations"] for rung in range(3)] == [2, 4, 8]
