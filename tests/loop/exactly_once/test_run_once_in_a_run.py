"""Remote jobs of a whole run: killed, cancelled, retried and resumed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Unpack

import anyio
import pytest

from loop.exactly_once.toy_site import (
    DriverDied,
    Fate,
    MortalStore,
    Service,
    ToySite,
    hurry,
    read_number,
    write_number,
)
from qcsc_loop.algorithm import IterativeAlgorithm
from qcsc_loop.errors import HookFailed, JobFailed
from qcsc_loop.events import Event
from qcsc_loop.exactly_once.request import JobRequest
from qcsc_loop.exactly_once.run_once import run_once
from qcsc_loop.jobs.events import JobChanged
from qcsc_loop.jobs.ledger import job_records
from qcsc_loop.jobs.outcome import JobOutcome, JobState
from qcsc_loop.loop.events import StepRetried
from qcsc_loop.loop.options import RunOptions
from qcsc_loop.loop.outcome import Outcome
from qcsc_loop.rules.retry import Retry
from qcsc_loop.rules.stop import MaxIterations
from qcsc_loop.steps.step import current_step
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.memory import MemoryStore
from qcsc_loop.values.record import Record, State
from waiting import until_async

RUN = "doubling-run"
LIMIT = 2
MOST_INSTANTS = 300  # more than any of these lives has
DEADLINE_SECONDS = 10.0
FAILED = JobOutcome(state=JobState.FAILED, exit_code=1)


class Total(State):
    total: int = 0


class Number(Record):
    number: int


class Doubling(IterativeAlgorithm[Total, Number, Number]):
    """Adds the iteration's number, doubled by a job, in every iteration."""

    site: ToySite

    async def initialize(self) -> Total:
        return Total()

    async def sample(self, state: Total) -> Number:
        return Number(number=current_step().iteration)

    async def evaluate(self, state: Total, samples: Number) -> Number:
        request = JobRequest(
            name="double",
            site=self.site,
            input_sha256=str(samples.number),
            prepare=lambda _key, folder: write_number(folder, samples.number),
            submit=self.site.submit,
            collect=read_number,
        )
        return Number(number=(await run_once(request)).value)

    async def update(self, state: Total, evaluation: Number) -> Total:
        return Total(total=state.total + evaluation.number)

    async def converged(self, previous: Total, current: Total) -> bool:
        return False


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)
    monkeypatch.setattr("qcsc_loop.exactly_once.measuring.ACCOUNTING_SECONDS", 0.0)


@pytest.fixture
def disk(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "store")


@pytest.fixture
def service() -> Service:
    return Service()


async def driving(service: Service, **options: Unpack[RunOptions]) -> Outcome[Total]:
    given: RunOptions = {"run_id": RUN, "stop": MaxIterations(LIMIT)}
    given.update(options)
    return await Doubling(site=service.site).run(**given)


def drive(service: Service, **options: Unpack[RunOptions]) -> Outcome[Total]:
    return anyio.run(lambda: driving(service, **options))


def cancelled(service: Service, **options: Unpack[RunOptions]) -> None:
    """Drives a run, and cancels it while its first job runs."""
    service.hangs = True

    async def main() -> None:
        task = asyncio.create_task(driving(service, **options))
        await until_async(lambda: "outcome" in service.calls, "a job runs")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, DEADLINE_SECONDS)

    asyncio.run(main())
    service.hangs = False


def jobs(store: DirectoryStore) -> list[tuple[int, int, str]]:
    """Iteration, attempt and state of each job."""
    return [
        (record.key.iteration, record.key.attempt, record.state)
        for record in job_records(store, RUN)
    ]


ALL_DONE = [(1, 0, "COMPLETED"), (2, 0, "COMPLETED")]


def test_each_iteration_has_its_job(disk: DirectoryStore, service: Service) -> None:
    assert drive(service, store=disk).state.total == 2 + 4
    assert jobs(disk) == ALL_DONE


def test_a_runs_jobs_work_in_folders_below_it(disk: DirectoryStore, service: Service) -> None:
    drive(service, store=disk)
    assert all(job.folder.is_relative_to(disk.root / RUN / "work") for job in service.jobs.values())


def test_runs_of_one_id_in_two_stores_have_jobs_of_their_own(service: Service) -> None:
    for _ in range(2):
        drive(service, store=MemoryStore())
    assert len({key.job_name for key in service.accepted}) == 2 * LIMIT


def test_observers_of_a_run_hear_of_its_jobs(disk: DirectoryStore, service: Service) -> None:
    events: list[Event] = []
    drive(service, store=disk, observers=[events.append])
    states = [event.state for event in events if isinstance(event, JobChanged)]
    assert states == [JobState.PENDING, JobState.RUNNING, JobState.COMPLETED] * LIMIT


def test_what_accounting_says_of_a_runs_jobs_is_kept(disk: DirectoryStore) -> None:
    service = Service(accounts=True)
    drive(service, store=disk)
    assert [record.metrics for record in job_records(disk, RUN)] == [service.metrics] * LIMIT


def test_a_run_that_is_finished_has_no_job_done_again(
    disk: DirectoryStore, service: Service
) -> None:
    drive(service, store=disk)
    drive(service, store=disk)
    assert len(service.accepted) == LIMIT


# killed


def killed_runs(folder: Path) -> Iterator[tuple[Path, Service]]:
    """A run for every instant at which its first driver died."""
    for instant in range(1, MOST_INSTANTS):
        root, service = folder / str(instant), Service()
        fate = service.fate = Fate(dies_at=instant)
        try:
            drive(service, store=MortalStore(root, fate))
        except DriverDied:
            service.fate = Fate()
            yield root, service
        else:
            assert instant > 40  # four instants of a line, two of a call
            return
    raise AssertionError("no driver lives so long")


def test_each_job_of_a_run_is_done_once_at_whatever_instant_its_driver_dies(
    tmp_path: Path,
) -> None:
    for root, service in killed_runs(tmp_path):
        disk = DirectoryStore(root)
        assert drive(service, store=disk).state.total == 2 + 4
        assert jobs(disk) == ALL_DONE
        assert [key.iteration for key in service.accepted] == [1, 2]


# failing


def test_a_job_that_fails_fails_its_hook(disk: DirectoryStore) -> None:
    with pytest.raises(HookFailed, match=r"Doubling\.evaluate raised JobFailed") as caught:
        drive(Service(endings=[FAILED]), store=disk)
    assert isinstance(caught.value.__cause__, JobFailed)


def test_a_run_resumed_after_a_failed_job_makes_another_attempt(disk: DirectoryStore) -> None:
    service = Service(endings=[FAILED])
    with pytest.raises(HookFailed):
        drive(service, store=disk)
    assert drive(service, store=disk).state.total == 2 + 4
    assert jobs(disk) == [(1, 0, "FAILED"), *((k, a, "COMPLETED") for k, a in ((1, 1), (2, 0)))]


def test_a_step_that_is_retried_after_a_failed_job_makes_another_attempt(
    disk: DirectoryStore,
) -> None:
    retry = Retry(times=1, delay=0, on=("JobFailed",))
    drive(Service(endings=[FAILED]), store=disk, retry=retry)
    assert jobs(disk)[:2] == [(1, 0, "FAILED"), (1, 1, "COMPLETED")]


def test_a_failed_job_is_not_retried_by_default(disk: DirectoryStore) -> None:
    with pytest.raises(HookFailed):
        drive(Service(endings=[FAILED]), store=disk, retry=Retry(times=3, delay=0))
    assert jobs(disk) == [(1, 0, "FAILED")]


def test_a_step_that_is_retried_when_the_service_did_not_answer_has_the_same_job(
    disk: DirectoryStore,
) -> None:
    service = Service(silent={"outcome"})

    def answer_again(event: Event) -> None:
        if isinstance(event, StepRetried):
            service.silent.clear()

    drive(service, store=disk, retry=Retry(times=1, delay=0), observers=[answer_again])
    assert jobs(disk) == ALL_DONE
    assert len(service.accepted) == LIMIT


# told to go


def test_a_run_that_is_cancelled_ends_its_job(disk: DirectoryStore, service: Service) -> None:
    cancelled(service, store=disk)
    assert (service.alive, jobs(disk)) == ([], [(1, 0, "CANCELLED")])


def test_a_run_resumed_after_a_cancellation_makes_another_attempt(
    disk: DirectoryStore, service: Service
) -> None:
    cancelled(service, store=disk)
    assert drive(service, store=disk).state.total == 2 + 4
    assert jobs(disk)[1:] == [(1, 1, "COMPLETED"), (2, 0, "COMPLETED")]


def test_a_run_that_leaves_its_jobs_goes_on_with_them_when_resumed(
    disk: DirectoryStore, service: Service
) -> None:
    cancelled(service, store=disk, leave_jobs=lambda: True)
    assert len(service.alive) == 1
    assert drive(service, store=disk).state.total == 2 + 4
    assert jobs(disk) == ALL_DONE
