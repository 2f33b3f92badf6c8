"""Which errors of a hook are tried again, how often and after how long."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from qcsc_loop.errors import DamagedDocument, SamplingFailed, StoreError
from qcsc_loop.rules.retry import Retry


class QueueFull(Exception):
    """An error that says of itself that it passes."""

    transient = True


class BadPath(OSError):
    """An OS error that says of itself that it does not pass."""

    transient = False


@pytest.mark.parametrize("error", [OSError(), TimeoutError(), QueueFull(), StoreError("", "", "")])
def test_by_default_transient_and_os_errors_are_covered(error: Exception) -> None:
    assert Retry(times=1).wait("sample", error, 0) is not None


@pytest.mark.parametrize(
    "error", [ValueError(), BadPath(), SamplingFailed("Aer", ""), DamagedDocument("", "")]
)
def test_by_default_no_other_error_is_covered(error: Exception) -> None:
    assert Retry(times=1).wait("sample", error, 0) is None


def test_without_times_nothing_is_tried_again() -> None:
    assert Retry().wait("sample", OSError(), 0) is None


def test_an_error_is_covered_by_its_name() -> None:
    assert Retry(times=1, on=("ValueError",)).wait("sample", ValueError(), 0) is not None


def test_an_error_is_covered_by_the_name_of_its_base() -> None:
    assert Retry(times=1, on=("ArithmeticError",)).wait("s", ZeroDivisionError(), 0) is not None


def test_any_of_several_names_is_enough() -> None:
    retry = Retry(times=1, on=("KeyError", "SamplingFailed"))

    assert retry.wait("sample", SamplingFailed("Aer", "no memory"), 0) is not None


def test_with_names_no_other_error_is_covered() -> None:
    retry = Retry(times=1, on=("ValueError",))

    assert retry.wait("sample", QueueFull(), 0) is None
    assert retry.wait("sample", OSError(), 0) is None


def test_only_the_named_hooks_are_tried_again() -> None:
    retry = Retry(times=1, hooks=("sample",))

    assert retry.wait("sample", OSError(), 0) is not None
    assert retry.wait("evaluate", OSError(), 0) is None


def test_the_delay_grows_from_attempt_to_attempt() -> None:
    retry = Retry(times=3, delay=0.5, backoff=3)

    assert [retry.wait("sample", OSError(), k) for k in range(4)] == [0.5, 1.5, 4.5, None]


def test_a_delay_that_does_not_grow_stays_the_same() -> None:
    retry = Retry(times=3, delay=2, backoff=1)

    assert [retry.wait("sample", OSError(), k) for k in range(3)] == [2, 2, 2]


def test_a_retry_comes_back_from_json() -> None:
    retry = Retry(times=3, delay=0.5, backoff=1.5, on=("ValueError",), hooks=("sample",))

    assert Retry.model_validate_json(retry.model_dump_json()) == retry


@pytest.mark.parametrize(
    "wrong", [{"times": -1}, {"delay": -0.1}, {"backoff": 0.5}, {"attempts": 3}], ids=str
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        Retry.model_validate(wrong)


def test_a_misspelt_hook_is_refused() -> None:
    with pytest.raises(ValidationError, match="smaple"):
        Retry.model_validate({"times": 1, "hooks": ["smaple"]})
