"""The limits of a run: one record for the terminal, for forms, and for the loop."""

from __future__ import annotations

from qcsc_loop.deployments.pausing import Changes
from qcsc_loop.deployments.run_settings import RunSettings
from qcsc_loop.rules.limits import Limits, limits
from qcsc_loop.rules.stop import (
    AnyOf,
    Budget,
    MaxIterations,
    NodeHours,
    QpuSeconds,
    Shots,
    WallTime,
)


def test_no_limit_is_no_rule() -> None:
    assert Limits().stop_rule() is None


def test_the_number_of_iterations_is_a_rule_by_itself() -> None:
    assert Limits(max_iterations=0).stop_rule() == MaxIterations(0)


def test_any_of_several_stops_and_a_budget_leaves_the_usual_number_of_iterations() -> None:
    assert Limits(max_shots=5).stop_rule() == AnyOf(rules=(MaxIterations(100), Shots(5)))
    rule = Limits(max_iterations=7, max_qpu_seconds=1.5, max_shots=2, max_node_hours=3).stop_rule(
        WallTime(9)
    )
    parts = (MaxIterations(7), WallTime(9), QpuSeconds(1.5), Shots(2), NodeHours(3))
    assert rule == AnyOf(rules=parts)


def test_every_limit_but_the_number_of_iterations_is_a_rule_of_its_own() -> None:
    ruled = [name for name, limit in limits() if limit.rule]
    assert ruled == [name for name in Limits.model_fields if name != "max_iterations"]
    for name in ruled:
        rule = Limits.model_validate({name: 1}).stop_rule()
        assert rule is not None
        assert isinstance(rule.parts()[-1], Budget if name != "max_hours" else WallTime)


def test_hours_are_those_of_a_driver_and_counted_in_seconds() -> None:
    assert Limits(max_hours=0.5).stop_rule() == AnyOf(rules=(MaxIterations(100), WallTime(1800)))


def test_a_form_asks_for_the_run_then_for_its_limits_then_for_the_rest() -> None:
    fields = list(RunSettings.model_json_schema()["properties"])
    assert fields[:8] == ["run_id", "seed", *Limits.model_fields, "stop"]


def test_a_suspended_run_is_asked_for_the_same_limits() -> None:
    properties = Changes.model_json_schema()["properties"]
    assert list(properties) == [*Limits.model_fields, "algorithm"]
    # of a new run an empty field is 100 iterations; here it is what the run has
    assert not any("description" in properties[name] for name in Limits.model_fields)


def test_what_a_person_changes_is_a_rule_in_place_of_the_runs() -> None:
    assert Changes(max_iterations=4).stop_rule() == MaxIterations(4)
    assert Changes().stop_rule() is None
