"""Any stop rule says the same after storage, in every life of a run, and however often it is asked."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.rules import histories, progress, rules
from qcsc_loop.jobs.ledger import Ledger
from qcsc_loop.loop.stopping import Stopping
from qcsc_loop.rules.stop import Committed, StopRule, with_convergence
from qcsc_loop.store.records import Commit, Settings

amounts = st.floats(min_value=0, max_value=1e6)


@pytest.mark.guarantee("G7")
@given(rules(), histories(), amounts, amounts, amounts)
def test_a_stored_rule_is_the_rule(
    rule: StopRule, history: list[Committed], amount: float, more: float, seconds: float
) -> None:
    settings = Settings.model_validate({"algorithm": "a:B", "stop": rule})
    read = Settings.model_validate_json(settings.model_dump_json()).rule()
    assert read == rule
    assert json.loads(read.model_dump_json()) == json.loads(rule.model_dump_json())
    now = progress(history, amount, more, seconds)
    assert read.check(now) == rule.check(now) == rule.check(now)


@given(rules(), histories())
def test_a_rule_looks_back_no_further_than_it_says(
    rule: StopRule, history: list[Committed]
) -> None:
    seen = history[-rule.lookback :]
    assert rule.check(progress(seen, 1, 1, 1)) == rule.check(progress(history, 1, 1, 1))


@pytest.mark.guarantee("G7")
@given(rules(), histories(), st.data())
def test_a_resumed_run_stops_where_the_one_that_was_never_killed_would(
    rule: StopRule, history: list[Committed], data: st.DataObject
) -> None:
    whole = Stopping(rule, Ledger.standalone(), None)
    at = data.draw(st.integers(0, len(history) - 1))
    resumed = Stopping(rule, Ledger.standalone(), None)
    for number, committed in enumerate(history):
        whole.add([_commit(committed)])
        if number == at:
            last = history[max(0, number + 1 - resumed.lookback) : number + 1]
            resumed.add(map(_commit, last))
        elif number > at:
            resumed.add([_commit(committed)])
        if number >= at and not _watches_the_clock(rule):
            assert resumed.check() == whole.check()


@given(rules())
def test_convergence_is_added_once(rule: StopRule) -> None:
    assert with_convergence(with_convergence(rule)) == with_convergence(rule)


@given(rules(), rules(), rules(), histories(), amounts)
def test_composition_is_associative(
    one: StopRule, two: StopRule, three: StopRule, history: list[Committed], amount: float
) -> None:
    now = progress(history, amount, 0, amount)
    assert ((one | two) | three).check(now) == (one | (two | three)).check(now)
    assert ((one & two) & three).check(now) == (one & (two & three)).check(now)


def _commit(committed: Committed) -> Commit:
    used = {"shots": 1000.0}
    return Commit(
        iteration=committed.iteration,
        epoch=1,
        converged=committed.converged,
        scalars=committed.scalars,
        usage=used,
        spent={"shots": 1000.0 * (committed.iteration + 1)},
        state_sha256="0" * 64,
    )


def _watches_the_clock(rule: StopRule) -> bool:
    return "wall-time" in rule.model_dump_json()
