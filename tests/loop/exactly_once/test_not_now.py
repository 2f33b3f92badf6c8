"""A job that its site does not take yet is offered again, and why is said, up to a setting."""

from __future__ import annotations

from pathlib import Path

import pytest

from loop.exactly_once.toy_site import Drivers, Service, Submission, doubling, hurry
from qcsc_loop.errors import JobNotTaken, SubmissionUnclear
from qcsc_loop.jobs.events import JobChanged
from qcsc_loop.jobs.outcome import JobState

WHY = "not taken yet: too many jobs"


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


@pytest.fixture
def drivers(tmp_path: Path) -> Drivers:
    return Drivers(tmp_path / "store")


@pytest.fixture
def service() -> Service:
    return Service(not_now_seconds=1e6)


def told(drivers: Drivers) -> list[str]:
    changes = [event for event in drivers.events if isinstance(event, JobChanged)]
    return [change.reason for change in changes if change.state is JobState.PENDING]


def test_a_job_that_is_not_taken_yet_is_offered_until_it_is(
    drivers: Drivers, service: Service
) -> None:
    service.submissions = ["not now"] * 7
    assert drivers.ask(doubling(service)).value == 42
    assert (len(service.accepted), service.calls.count("submit")) == (1, 8)


def test_why_it_is_not_taken_is_said_once_for_the_same_words(
    drivers: Drivers, service: Service
) -> None:
    service.submissions = ["not now"] * 7
    drivers.ask(doubling(service))
    assert told(drivers)[:2] == [WHY, ""]


def test_in_the_end_an_error_says_why_and_which_setting_gave_up(
    drivers: Drivers, service: Service
) -> None:
    service.not_now_seconds, service.submissions = 5.0, ["not now"] * 99
    ledger = drivers.next()
    with pytest.raises(JobNotTaken, match=r"in 5 s \(not_now_seconds of its profile\): too many"):
        drivers.ask(doubling(service), ledger)
    assert 0 < len(service.submissions) < 99
    service.submissions = []
    assert drivers.ask(doubling(service), ledger).record.key.attempt == 0


def test_patience_with_silence_is_not_used_up_by_waiting_for_a_turn(
    drivers: Drivers, service: Service
) -> None:
    plan: list[Submission] = ["not taken"] * 99
    service.submissions = ["not now", "not now", *plan]
    with pytest.raises(SubmissionUnclear):
        drivers.ask(doubling(service))


def test_a_driver_that_dies_while_it_waits_leaves_a_job_that_the_next_one_offers(
    drivers: Drivers, service: Service
) -> None:
    service.not_now_seconds, service.submissions = 0.0, ["not now"]
    with pytest.raises(JobNotTaken):
        drivers.ask(doubling(service), drivers.next())
    assert drivers.ask(doubling(service), drivers.next()).value == 42
    assert len(service.accepted) == 1
