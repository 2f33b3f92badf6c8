"""When a run ends: the rules, their composition and their form as settings."""

from __future__ import annotations

import math
from typing import Literal

import pytest
from pydantic import SerializeAsAny, TypeAdapter, ValidationError

from qcsc_loop.errors import InvalidParameters
from qcsc_loop.rules.reason import Reason
from qcsc_loop.rules.stop import (
    AllOf,
    AnyOf,
    Committed,
    Converged,
    MaxIterations,
    Plateau,
    Progress,
    Stop,
    StopRule,
    WallTime,
    with_convergence,
)
from qcsc_loop.store.records import Settings

ANY_RULE: TypeAdapter[StopRule] = TypeAdapter(SerializeAsAny[StopRule])


def after(*energies: float, seconds: float = 0.0) -> Progress:
    """A run that committed these energies, none of them converged."""
    recent = [Committed(k, False, {"energy": e, "shots": 1.0}) for k, e in enumerate(energies)]
    return Progress(recent, seconds)


def said(*converged: bool) -> Progress:
    """A run whose `converged` hook said this, iteration by iteration."""
    return Progress([Committed(k, so, {"energy": float(k)}) for k, so in enumerate(converged)], 0.0)


def reason(rule: StopRule, progress: Progress) -> Reason | None:
    stop = rule.check(progress)
    return stop.reason if stop else None


# each rule


def test_max_iterations_goes_on_below_its_limit() -> None:
    assert MaxIterations(3).check(after(0, 0, 0)) is None


def test_max_iterations_stops_at_its_limit() -> None:
    assert MaxIterations(3).check(after(0, 0, 0, 0)) == Stop(Reason.MAX_ITERATIONS, "limit of 3")


def test_max_iterations_counts_what_earlier_drivers_did() -> None:
    resumed = Progress([Committed(7, False)], 0.0)

    assert reason(MaxIterations(5), resumed) is Reason.MAX_ITERATIONS


def test_max_iterations_of_zero_stops_after_initialize() -> None:
    assert reason(MaxIterations(0), after(1.0)) is Reason.MAX_ITERATIONS


@pytest.mark.parametrize("iterations", [-1, 2.5, "many"])
def test_max_iterations_refuses_what_is_no_count(iterations: int) -> None:
    with pytest.raises(ValidationError, match="iterations"):
        MaxIterations(iterations)


def test_wall_time_goes_on_before_its_time() -> None:
    assert WallTime(60).check(after(0, seconds=59.9)) is None


def test_wall_time_stops_at_its_time() -> None:
    assert WallTime(60).check(after(0, seconds=60)) == Stop(Reason.WALL_TIME, "limit of 60 s")


@pytest.mark.parametrize("seconds", [0, -1, math.nan])
def test_wall_time_refuses_what_is_no_duration(seconds: float) -> None:
    with pytest.raises(ValidationError, match="seconds"):
        WallTime(seconds)


def test_converged_stops_when_the_hook_said_so() -> None:
    assert Converged().check(said(False, True)) == Stop(Reason.CONVERGED, "")


def test_converged_looks_at_the_last_iteration_only() -> None:
    assert Converged().check(said(True, False)) is None


@pytest.mark.parametrize("history", [(True, True), (True, True, False), (False, True, True)])
def test_converged_three_times_goes_on_until_it_was_three_times_in_a_row(
    history: tuple[bool, ...],
) -> None:
    assert Converged(times=3).check(said(*history)) is None


def test_converged_three_times_stops_after_three_in_a_row() -> None:
    stop = Converged(times=3).check(said(False, True, True, True))

    assert stop == Stop(Reason.CONVERGED, "3 times in a row")


def test_converged_zero_times_is_refused() -> None:
    with pytest.raises(ValidationError, match="times"):
        Converged(times=0)


def test_a_plateau_needs_its_whole_window() -> None:
    assert Plateau(window=3, tolerance=1.0).check(after(1, 1, 1)) is None


def test_a_plateau_stops_when_the_scalar_stayed_within_the_tolerance() -> None:
    stop = Plateau(window=2, tolerance=0.5).check(after(9, 1.0, 1.5, 1.25))

    assert stop == Stop(Reason.PLATEAU, "moved 0.5 in 2 iterations")


def test_a_plateau_goes_on_while_the_scalar_moves() -> None:
    assert Plateau(window=2, tolerance=0.5).check(after(1.0, 1.6, 1.25)) is None


def test_a_plateau_compares_extremes_not_ends() -> None:
    assert Plateau(window=2, tolerance=0.5).check(after(1.0, 9.0, 1.0)) is None


def test_a_plateau_without_tolerance_needs_equal_values() -> None:
    rule = Plateau(window=1, tolerance=0)

    assert reason(rule, after(1.0, 1.0)) is Reason.PLATEAU
    assert rule.check(after(1.0, 1.0 + 1e-15)) is None


@pytest.mark.parametrize("place", [0, 1, 2])
def test_nan_is_no_plateau_wherever_it_stands(place: int) -> None:
    energies = [1.0, 1.0, 1.0]
    energies[place] = math.nan

    assert Plateau(window=2, tolerance=math.inf).check(after(*energies)) is None


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_a_run_that_stays_at_infinity_is_no_plateau(value: float) -> None:
    assert Plateau(window=1, tolerance=0.1).check(after(value, value)) is None


def test_a_plateau_watches_the_first_scalar_unless_told_otherwise() -> None:
    moving = after(1.0, 2.0)

    assert Plateau(window=1, tolerance=0).check(moving) is None
    assert reason(Plateau(window=1, tolerance=0, scalar="shots"), moving) is Reason.PLATEAU


def test_a_plateau_of_an_unknown_scalar_names_the_known_ones() -> None:
    rule = Plateau(window=1, tolerance=0, scalar="enrgy")

    with pytest.raises(InvalidParameters, match=r"no scalar 'enrgy'. Valid parameters: energy"):
        rule.check(after(1.0, 1.0))


def test_an_unknown_scalar_is_noticed_at_the_first_check() -> None:
    rule = Plateau(window=50, tolerance=0, scalar="enrgy")

    with pytest.raises(InvalidParameters, match="'enrgy'"):
        rule.check(after(1.0))


def test_a_plateau_of_a_state_without_scalars_goes_on() -> None:
    nothing = Progress([Committed(0, False), Committed(1, False)], 0.0)

    assert Plateau(window=1, tolerance=1.0).check(nothing) is None


@pytest.mark.parametrize(
    ("rule", "lookback"),
    [
        (MaxIterations(9), 1),
        (WallTime(9), 1),
        (Converged(), 1),
        (Converged(times=3), 3),
        (Plateau(4, 0.1), 5),
        (Plateau(4, 0.1) | Converged(times=9), 9),
        (MaxIterations(1) & (Plateau(2, 0.1) | WallTime(1)), 3),
    ],
    ids=str,
)
def test_a_rule_says_how_many_iterations_it_looks_at(rule: StopRule, lookback: int) -> None:
    assert rule.lookback == lookback


# composition


def test_either_of_two_rules_stops_the_run() -> None:
    rule = MaxIterations(5) | WallTime(60)

    assert reason(rule, after(0, seconds=60)) is Reason.WALL_TIME
    assert reason(rule, Progress([Committed(5, False)], 0)) is Reason.MAX_ITERATIONS
    assert rule.check(after(0)) is None


def test_of_several_rules_the_first_that_stops_gives_the_reason() -> None:
    both = Progress([Committed(5, False)], 60)

    assert reason(WallTime(60) | MaxIterations(5), both) is Reason.WALL_TIME
    assert reason(MaxIterations(5) | WallTime(60), both) is Reason.MAX_ITERATIONS


def test_both_of_two_rules_are_needed_to_stop_the_run() -> None:
    rule = Converged() & MaxIterations(5)

    assert rule.check(Progress([Committed(4, True)], 0)) is None
    assert rule.check(Progress([Committed(5, False)], 0)) is None
    assert reason(rule, Progress([Committed(5, True)], 0)) is Reason.CONVERGED


def test_any_of_any_is_flat() -> None:
    one, two, three, four = MaxIterations(1), WallTime(2), Converged(), Plateau(1, 0.1)

    assert (one | two) | (three | four) == AnyOf(rules=(one, two, three, four))


def test_all_of_all_is_flat() -> None:
    one, two, three = MaxIterations(1), WallTime(2), Converged()

    assert one & (two & three) == AllOf(rules=(one, two, three))


def test_any_within_all_stays_nested() -> None:
    one, two, three = MaxIterations(1), WallTime(2), Converged()

    assert one & (two | three) == AllOf(rules=(one, AnyOf(rules=(two, three))))


@pytest.mark.parametrize("kind", [AnyOf, AllOf])
def test_a_composition_of_nothing_is_refused(kind: type[AnyOf | AllOf]) -> None:
    with pytest.raises(ValidationError, match="rules"):
        kind(rules=())


# convergence is on unless it is mentioned


def test_a_rule_that_does_not_mention_convergence_gets_it() -> None:
    rule = with_convergence(MaxIterations(5))

    assert reason(rule, said(False, True)) is Reason.CONVERGED
    assert reason(rule, Progress([Committed(5, False)], 0)) is Reason.MAX_ITERATIONS


def test_convergence_is_the_reason_at_the_last_iteration() -> None:
    assert reason(with_convergence(MaxIterations(1)), said(False, True)) is Reason.CONVERGED


@pytest.mark.parametrize(
    "rule",
    [
        Converged(times=3),
        Converged() & MaxIterations(5),
        WallTime(1) | (MaxIterations(5) & (Plateau(1, 0.1) | Converged(times=2))),
    ],
    ids=str,
)
def test_a_rule_that_mentions_convergence_is_left_alone(rule: StopRule) -> None:
    assert with_convergence(rule) is rule


# as settings

RULES = [
    MaxIterations(3),
    WallTime(0.1),
    Converged(times=2),
    Plateau(2, 1e-8, scalar="energy"),
    MaxIterations(3) | Plateau(2, 0.1) | (WallTime(5) & (Converged(times=2) | MaxIterations(1))),
]


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_rule_comes_back_from_json(rule: StopRule) -> None:
    assert ANY_RULE.validate_json(ANY_RULE.dump_json(rule)) == rule


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_rule_comes_back_from_the_settings_of_a_run(rule: StopRule) -> None:
    settings = Settings(algorithm="module:Class", stop=rule)

    assert Settings.model_validate_json(settings.model_dump_json()).stop == rule


@pytest.mark.parametrize(
    "wanted",
    [
        {"type": "wall-time", "seconds": math.inf},
        {"type": "plateau", "window": 2, "tolerance": math.inf},
    ],
    ids=["wall-time", "plateau"],
)
def test_a_rule_with_an_infinite_number_comes_back_or_is_refused(wanted: dict[str, object]) -> None:
    try:
        rule = ANY_RULE.validate_python(wanted)
    except ValidationError:
        return
    settings = Settings(algorithm="module:Class", stop=rule)

    assert Settings.model_validate_json(settings.model_dump_json()).stop == rule


def test_an_unknown_rule_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ValidationError, match=r"type must be one of all, any, .*max-iterations"):
        ANY_RULE.validate_python({"type": "max-iteration"})


@pytest.mark.parametrize(
    ("settings", "missing"),
    [
        ({"type": "max-iterations"}, "iterations"),
        ({"type": "wall-time"}, "seconds"),
        ({"type": "plateau", "window": 2}, "tolerance"),
        ({"type": "any", "rules": [{"type": "max-iterations"}]}, "iterations"),
    ],
)
def test_a_rule_with_a_part_missing_is_refused(settings: dict[str, object], missing: str) -> None:
    with pytest.raises(ValidationError, match=missing):
        ANY_RULE.validate_python(settings)


def test_a_rule_with_an_unknown_part_is_refused() -> None:
    with pytest.raises(ValidationError, match="seconds"):
        ANY_RULE.validate_python({"type": "max-iterations", "iterations": 1, "seconds": 2})


def test_a_form_can_be_made_of_the_rules() -> None:
    schema = ANY_RULE.json_schema()

    assert "max-iterations" in str(schema)


# a rule of one's own


class EvenIterations(StopRule):
    """A rule that another distribution could bring."""

    type: Literal["test-even-iterations"] = "test-even-iterations"
    least: int

    def check(self, progress: Progress) -> Stop | None:
        k = progress.iteration
        return Stop(Reason.CUSTOM, f"{k} is even") if k >= self.least and k % 2 == 0 else None


def test_a_rule_of_ones_own_is_read_from_json() -> None:
    rule = ANY_RULE.validate_json('{"type": "test-even-iterations", "least": 4}')

    assert rule == EvenIterations(least=4)


def test_a_rule_of_ones_own_composes_and_comes_back() -> None:
    rule = EvenIterations(least=4) | MaxIterations(9)

    assert ANY_RULE.validate_json(ANY_RULE.dump_json(rule)) == rule
    assert rule.check(Progress([Committed(4, False)], 0)) == Stop(Reason.CUSTOM, "4 is even")


def test_a_rule_of_ones_own_is_among_the_known_ones() -> None:
    with pytest.raises(ValidationError, match="test-even-iterations"):
        ANY_RULE.validate_python({"type": "nothing"})
