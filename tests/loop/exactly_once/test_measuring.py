"""What accounting knows of finished jobs: asked for behind the run's back, and nobody's trouble."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from loop.exactly_once.toy_site import Drivers, Service, doubling
from qcsc_loop.errors import LeaseLost, SiteUnreachable
from qcsc_loop.exactly_once.measuring import Measuring, measuring
from qcsc_loop.exactly_once.run_once import run_once
from qcsc_loop.jobs.events import JobMeasured
from qcsc_loop.jobs.ledger import Ledger
from qcsc_loop.jobs.outcome import JobMetrics
from qcsc_loop.jobs.site import PlacedJob
from qcsc_loop.steps.step import stepping
from waiting import until_async

DEADLINE_SECONDS = 10.0


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qcsc_loop.exactly_once.measuring.ACCOUNTING_SECONDS", 0.0)


@pytest.fixture
def drivers(tmp_path: Path) -> Drivers:
    return Drivers(tmp_path / "store")


@pytest.fixture
def service() -> Service:
    return Service(accounts=True, metrics=JobMetrics(nodes=2, max_rss_bytes=10))


async def nothing() -> None:
    """Nothing happens before the run ends."""


def measured_run(
    drivers: Drivers,
    *services: Service,
    ledger: Ledger | None = None,
    then: Callable[[], Awaitable[object]] = nothing,
) -> None:
    """A run with a job at each service, measured while `then` runs, and at the end."""
    opened = ledger or drivers.next()

    async def main() -> None:
        with anyio.fail_after(DEADLINE_SECONDS):
            async with measuring(opened):
                with stepping(drivers.step(opened)):
                    for number, service in enumerate(services):
                        await run_once(doubling(service, name=f"job-{number}"))
                await then()

    anyio.run(main)


async def measured_at_once(drivers: Drivers, service: Service, ledger: Ledger) -> None:
    """Measures all jobs of the ledger, which are over."""
    due = Measuring(ledger)
    for record in drivers.records:
        assert record.job_id is not None
        due.later(service.site, PlacedJob(record.key, record.job_id, Path(record.intent.folder)))
    await due.rest()


def maxima(drivers: Drivers) -> list[int | None]:
    return [record.metrics.max_rss_bytes for record in drivers.records]


def test_what_accounting_knows_is_in_the_ledger(drivers: Drivers, service: Service) -> None:
    measured_run(drivers, service)
    assert [record.metrics for record in drivers.records] == [service.metrics]


def test_a_job_is_measured_while_the_run_goes_on(drivers: Drivers, service: Service) -> None:
    async def goes_on() -> None:
        await until_async(lambda: maxima(drivers) == [10], "the job is measured")

    measured_run(drivers, service, then=goes_on)


def test_observers_hear_what_a_job_took(drivers: Drivers, service: Service) -> None:
    measured_run(drivers, service)
    (event,) = [event for event in drivers.events if isinstance(event, JobMeasured)]
    assert event.record.metrics.max_rss_bytes == 10


def test_all_jobs_are_measured_before_the_run_ends(drivers: Drivers, service: Service) -> None:
    measured_run(drivers, service, service, service)
    assert maxima(drivers) == [10, 10, 10]


def test_jobs_of_one_site_are_measured_with_one_question(
    drivers: Drivers, service: Service
) -> None:
    ledger = drivers.next()
    for name in ("one", "two", "three"):
        drivers.ask(doubling(service, name=name), ledger)
    anyio.run(measured_at_once, drivers, service, ledger)
    assert (service.calls.count("measure"), maxima(drivers)) == (1, [10, 10, 10])


def test_jobs_of_two_sites_are_measured_by_their_own(drivers: Drivers, service: Service) -> None:
    other = Service(accounts=True, metrics=JobMetrics(max_rss_bytes=20))
    measured_run(drivers, service, other)
    assert maxima(drivers) == [10, 20]


def test_a_site_without_accounting_is_not_asked(drivers: Drivers) -> None:
    service = Service(accounts=False)
    measured_run(drivers, service)
    assert "measure" not in service.calls


def test_outside_a_measured_run_nobody_asks(drivers: Drivers, service: Service) -> None:
    drivers.ask(doubling(service))
    assert "measure" not in service.calls


def test_a_job_that_accounting_does_not_know_keeps_what_its_outcome_said(
    drivers: Drivers, service: Service
) -> None:
    service.accounted = False
    measured_run(drivers, service)
    assert [record.metrics for record in drivers.records] == [JobMetrics()]


@pytest.mark.parametrize("error", [SiteUnreachable("sacct", "timed out"), ValueError("no number")])
def test_a_run_does_not_fail_where_measuring_does(
    drivers: Drivers, service: Service, error: Exception
) -> None:
    service.fault = error
    measured_run(drivers, service)
    assert [record.state for record in drivers.records] == ["COMPLETED"]


@pytest.mark.parametrize("error", [SiteUnreachable("sacct", "timed out"), ValueError("no number")])
def test_jobs_are_measured_after_one_that_could_not_be(
    drivers: Drivers, service: Service, error: Exception
) -> None:
    measured_run(drivers, Service(accounts=True, fault=error), service)
    assert maxima(drivers) == [None, 10]


def test_accounting_that_does_not_answer_holds_a_run_up_for_a_short_while_only(
    drivers: Drivers, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qcsc_loop.exactly_once.measuring.END_SECONDS", 0.01)
    service.measuring_hangs = True
    measured_run(drivers, service)  # within the deadline
    assert maxima(drivers) == [None]


def test_a_run_that_fails_does_not_wait_for_accounting(drivers: Drivers, service: Service) -> None:
    async def fails() -> None:
        raise KeyError("the run's own")

    service.measuring_hangs = True
    with pytest.raises(KeyError, match="the run's own"):
        measured_run(drivers, service, then=fails)


def test_a_driver_that_has_lost_its_run_writes_no_measurement(
    drivers: Drivers, service: Service
) -> None:
    lost = False

    def check() -> None:
        if lost:
            raise LeaseLost("run", 1, 2)

    ledger = drivers.next(check=check)
    drivers.ask(doubling(service), ledger)
    lost = True
    anyio.run(measured_at_once, drivers, service, ledger)
    assert maxima(drivers) == [None]


def test_a_job_that_is_being_measured_when_the_run_ends_is_measured(
    drivers: Drivers, service: Service
) -> None:
    async def begins() -> None:
        await until_async(lambda: "measure" in service.calls, "the job is measured")
        service.measuring_hangs = False

    service.measuring_hangs = True
    measured_run(drivers, service, then=begins)
    assert maxima(drivers) == [10]


def test_after_the_run_nobody_measures(drivers: Drivers, service: Service) -> None:
    ledger = drivers.next()
    measured_run(drivers, service, ledger=ledger)
    assert ledger.measure is None
