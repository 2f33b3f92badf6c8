"""What is said to be typed so that a run goes on."""

from __future__ import annotations

import pytest

from qcsc_loop.parameters.compare import to_plain
from qcsc_loop.rules.going_on import advice_on, resume_command
from qcsc_loop.rules.reason import Reason
from qcsc_loop.rules.stop import MaxIterations, Plateau, Shots, StopRule

BOUNDS = MaxIterations(3) | Shots(100)
OWN = MaxIterations(3) | Plateau(2, 0.1)
RESUME = "qcsc-loop resume r"


@pytest.mark.parametrize(
    ("reason", "rule", "said"),
    [
        (Reason.MAX_ITERATIONS, MaxIterations(3), f"to go on: {RESUME} --max-iterations 6 -S"),
        (
            Reason.BUDGET,
            BOUNDS,
            f"to go on: {RESUME} --max-iterations 3 --max-shots 200 -S",
        ),
        (Reason.MAX_ITERATIONS, OWN, f"to go on: {RESUME} -S with a higher limit"),
        (
            Reason.PLATEAU,
            OWN,
            "to go on: resume r with a smaller tolerance or a longer window",
        ),
        (Reason.WALL_TIME, BOUNDS, f"to go on: {RESUME} -S"),
        (Reason.INTERRUPTED, BOUNDS, f"to go on: {RESUME} -S"),
        (Reason.CANCELLED, BOUNDS, f"to go on: {RESUME} -S"),
        (Reason.HANDED_OVER, BOUNDS, f"the next flow run goes on, or: {RESUME} -S"),
        (Reason.FAILED, BOUNDS, f"after the fix: {RESUME} -S"),
        (Reason.CONVERGED, BOUNDS, ""),
        (Reason.CUSTOM, BOUNDS, ""),
    ],
)
def test_what_is_advised_names_the_run(reason: Reason, rule: StopRule, said: str) -> None:
    command = resume_command("r", reason, to_plain(rule), {"shots": 90.0, "iterations": 1.0})
    assert advice_on("r", reason, command, " -S") == said


def test_every_limit_that_is_used_up_is_doubled() -> None:
    rule = to_plain(MaxIterations(3) | Shots(90))
    command = resume_command("r", Reason.MAX_ITERATIONS, rule, {"shots": 90.0})
    assert command == f"{RESUME} --max-iterations 6 --max-shots 180"


def test_a_run_that_is_kept_in_memory_has_no_command() -> None:
    assert advice_on("r", Reason.MAX_ITERATIONS, "") == "to go on: resume r with a higher limit"
