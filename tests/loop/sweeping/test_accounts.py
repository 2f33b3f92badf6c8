"""The budget of all members: reserved before it is spent, and given back."""

from __future__ import annotations

import pytest

from qcsc_loop.sweeping.accounts import Accounts

COST = {"shots": 100.0}


def test_what_is_reserved_nobody_else_can_have() -> None:
    accounts = Accounts({"shots": 1000})
    accounts.reserve("a", COST, 7)
    assert accounts.fitting(COST, 10) == 3
    assert accounts.left == {"shots": 300}


def test_what_was_not_used_is_free_again() -> None:
    accounts = Accounts({"shots": 1000})
    accounts.reserve("a", COST, 10)
    accounts.settle("a", {"shots": 350.0})
    assert accounts.fitting(COST, 10) == 6


def test_a_member_may_come_to_what_it_has_used_and_was_granted() -> None:
    accounts = Accounts({"shots": 1000, "node_hours": 1.0})
    accounts.settle("a", {"shots": 350.0, "node_hours": 0.1})
    assert accounts.of("a").share == {}
    accounts.reserve("a", COST | {"node_hours": 0.1}, 2)
    assert accounts.of("a").share == {"shots": 550, "node_hours": pytest.approx(0.3)}


def test_a_lost_attempt_is_counted_for_ever() -> None:
    accounts = Accounts({"shots": 1000})
    accounts.lose("a", COST)
    accounts.settle("a", {"shots": 300.0})
    accounts.lose("a", COST)
    assert accounts.left == {"shots": 500}


def test_every_amount_has_to_fit() -> None:
    accounts = Accounts({"shots": 1000, "node_hours": 1.0})
    assert accounts.fitting({"shots": 100, "node_hours": 0.3}, 10) == 3


def test_sums_of_floats_do_not_cost_an_iteration() -> None:
    accounts = Accounts({"node_hours": 0.3})
    accounts.settle("a", {"node_hours": 0.1})
    assert accounts.fitting({"node_hours": 0.1}, 10) == 2


def test_without_a_budget_everything_fits() -> None:
    assert Accounts({}).fitting({}, 12) == 12


def test_more_spent_than_there_is_leaves_nothing() -> None:
    accounts = Accounts({"shots": 100})
    accounts.settle("a", {"shots": 120.0})
    assert accounts.fitting({"shots": 10}, 3) == 0
    assert accounts.left["shots"] == pytest.approx(-20)
