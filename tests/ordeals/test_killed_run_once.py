"""A remote job whose driver dies at every instant there is: done once, with the right result."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from loop.exactly_once.toy_site import (
    DriverDied,
    Drivers,
    Fate,
    Service,
    doubling,
    hurry,
)
from qcsc_loop.errors import JobFailed
from qcsc_loop.jobs.outcome import JobOutcome, JobState
from waiting import until_async

MOST_INSTANTS = 200  # more than any of these lives has
ONE_MORE = {JobState.FAILED: 1, JobState.REJECTED: 1}


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


def plain() -> Service:
    return Service()


def taken_in_silence() -> Service:
    return Service(submissions=["taken in silence"])


def taken_late() -> Service:
    return Service(submissions=["taken late"], settle_seconds=30.0)


def not_taken_at_first() -> Service:
    return Service(submissions=["not taken", "not taken"])


def failing_at_first() -> Service:
    return Service(endings=[JobOutcome(state=JobState.FAILED, exit_code=1)])


def rejected_at_first() -> Service:
    return Service(submissions=["rejected"])


histories = pytest.mark.parametrize(
    "history",
    [
        plain,
        taken_in_silence,
        taken_late,
        not_taken_at_first,
        failing_at_first,
        rejected_at_first,
    ],
)


def dies(drivers: Drivers, service: Service, instant: int) -> bool:
    """Whether a driver that would die at this instant lived to see it."""
    fate = service.fate = Fate(dies_at=instant)
    with suppress(DriverDied, JobFailed):
        drivers.ask(doubling(service, resubmit=ONE_MORE), drivers.next(fate))
    service.fate = Fate()
    return fate.struck


def lives(folder: Path, history: Callable[[], Service]) -> Iterator[tuple[int, Drivers, Service]]:
    """A run for every instant at which its first driver died."""
    for instant in range(1, MOST_INSTANTS):
        drivers, service = Drivers(folder / str(instant)), history()
        if not dies(drivers, service, instant):
            return
        yield instant, drivers, service
    raise AssertionError("no driver lives so long")


def assert_done_once(drivers: Drivers, service: Service) -> None:
    assert drivers.ask(doubling(service, resubmit=ONE_MORE)).value == 42
    assert set(Counter(service.accepted).values()) == {1}
    assert service.alive == []
    last = drivers.records[-1]
    assert (last.state, last.fault, last.job_id) == ("COMPLETED", "", list(service.jobs)[-1])


@histories
def test_a_job_is_done_once_at_whatever_instant_its_driver_dies(
    tmp_path: Path, history: Callable[[], Service]
) -> None:
    died = 0
    for instant, drivers, service in lives(tmp_path, history):
        died = instant
        assert_done_once(drivers, service)
    assert died > 10


@pytest.mark.guarantee("G10")
def test_a_job_is_done_once_at_whatever_instants_two_drivers_die(tmp_path: Path) -> None:
    for first, _, _ in lives(tmp_path / "lives", plain):
        for second in itertools.count(1):
            drivers, service = Drivers(tmp_path / f"{first}.{second}"), Service()
            assert dies(drivers, service, first)
            if not dies(drivers, service, second):
                break
            assert_done_once(drivers, service)


def test_a_job_is_done_once_when_each_driver_dies_a_little_later(tmp_path: Path) -> None:
    drivers, service = Drivers(tmp_path), Service(submissions=["taken in silence"])
    for instant in range(1, 20):
        dies(drivers, service, instant)
    assert_done_once(drivers, service)


def test_no_job_is_done_again_once_its_result_was_right(tmp_path: Path) -> None:
    drivers, service = Drivers(tmp_path), Service()
    drivers.ask(doubling(service))
    for instant in range(1, 20):
        dies(drivers, service, instant)
    assert service.worked == list(service.jobs) and len(service.jobs) == 1


# dying while cancelling


def dies_cancelling(drivers: Drivers, service: Service, instant: int) -> bool:
    """Whether a driver that is told to go while its job runs dies at this instant."""
    service.hangs = True
    fate = service.fate = Fate(dies_at=instant)

    async def main() -> None:
        task = asyncio.create_task(drivers.asking(doubling(service), drivers.next(fate)))
        await until_async(lambda: "outcome" in service.calls or task.done(), "the job runs")
        task.cancel()
        with pytest.raises((asyncio.CancelledError, DriverDied)):
            await task

    asyncio.run(main())
    service.hangs, service.fate = False, Fate()
    return fate.struck


@pytest.mark.guarantee("G16")
def test_a_job_whose_driver_dies_while_cancelling_it_does_not_run_on(tmp_path: Path) -> None:
    died = 0
    for instant in range(1, MOST_INSTANTS):
        drivers, service = Drivers(tmp_path / str(instant)), Service()
        if not dies_cancelling(drivers, service, instant):
            break
        died = instant
        assert drivers.ask(doubling(service)).value == 42
        assert service.alive == []
        assert set(Counter(service.accepted).values()) == {1}
        assert [record.over for record in drivers.records] == [True] * len(service.jobs)
    assert died > 10
