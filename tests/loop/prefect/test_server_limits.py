"""What is too much for a Prefect server is said before it is asked."""

from __future__ import annotations

import json

import pytest

from qcsc_loop.prefect.server_limits import (
    event_bytes,
    event_problems,
    fitting_payload,
    parameter_bytes,
    parameter_problems,
    shown_parameters,
    size,
)

BEYOND, LARGEST, SMALLEST = 2**64, 2**64 - 1, -(2**63)


@pytest.mark.parametrize("number", [LARGEST, SMALLEST, 0, True])
def test_what_has_64_bits_is_no_problem(number: int) -> None:
    assert parameter_problems({"algorithm": {"shots": [number, {"a": number}]}}) == []
    assert event_problems({"shots": number}) == []
    assert shown_parameters({"shots": number}) == {"shots": number}


@pytest.mark.parametrize("number", [BEYOND, SMALLEST - 1])
def test_what_has_more_is_named(number: int) -> None:
    (problem,) = parameter_problems({"algorithm": {"shots": number}})
    assert problem.startswith("algorithm.shots: a Prefect server has integers of 64 bits")
    assert (
        len(parameter_problems({"a": [1, number], "b": {"c": [[number]], "d": [{"e": number}]}}))
        == 3
    )
    assert event_problems({"seed": number})[0].startswith("--payload seed: ")


def test_parameters_that_are_too_large_are_named_by_their_largest() -> None:
    (problem,) = parameter_problems({"algorithm": {"a": 1, "text": "x" * 700_000}})
    assert problem.startswith("algorithm.text: with it the parameters have 700,0")
    assert "524,288" in problem and "file" in problem


def test_what_is_only_shown_is_shortened() -> None:
    given = {"text": "x" * 700_000, "more": ["y" * 90_000] * 3, "seed": BEYOND, "shots": 7}
    shown = shown_parameters(given)
    assert (shown["seed"], shown["shots"]) == (str(BEYOND), 7)
    assert shown["text"] == "(700,002 bytes: in the run's record)"
    assert size(shown) < parameter_bytes()
    assert given["seed"] == BEYOND


def test_an_event_that_would_be_dropped_is_refused() -> None:
    (problem,) = event_problems({"text": "x" * 1_700_000})
    assert "1,700,0" in problem and "1,500,000" in problem
    assert event_problems({"text": "x" * 1_400_000}) == []


def test_a_runs_own_event_is_cut_to_what_is_kept() -> None:
    payload = {"run_id": "r", "because": "b" * 1_700_000, "scalars": {"energy": -1.5}}
    fitting = fitting_payload(payload)
    assert fitting == {"run_id": "r", "because": "b" * 2000 + "...", "scalars": {"energy": -1.5}}
    many = fitting_payload({"run_id": "r", "scalars": {f"s{k}": 0.5 for k in range(200_000)}})
    assert many == {"run_id": "r"}
    assert len(json.dumps(fitting)) < event_bytes()
    assert fitting_payload({"because": "short"}) == {"because": "short"}
