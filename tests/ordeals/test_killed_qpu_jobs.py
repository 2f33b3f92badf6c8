"""Drivers are killed at every step of a QPU job's way: each is paid once, and the bits are right."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import qiskit_aer  # noqa: F401  # here: in a job's short-lived thread its first import crashes

from ordeals.kills import Mark, choose, deaths, kills, share_out
from ordeals.mortal_driver import READY
from ordeals.ordeal import Ordeal, assert_same_bits
from qcsc_loop.testing import FakeIBMJob, FakeIBMQuantum

KILLS = kills(2 / 5)
RUNS = min(3, KILLS)  # at once: some of their time they wait
OVER = ("Completed", "Failed", "Cancelled")

MARKS = (
    Mark(READY, 2.5, 1, from_outside=True),
    *map(Mark, ("before intent", "after intent", "before submit")),
    Mark("before request", 0.08),  # what a request takes
    *map(
        Mark,
        (
            "after request",
            "before find",
            "after find",
            "after submit",
            "before submitted",
            "after submitted",
        ),
    ),
    Mark("PENDING seen", 0.5),  # what a job takes
    Mark("before question", most=8),
    Mark("after question", most=8),
    *map(
        Mark,
        (
            "before save",
            "after save",
            "before finished",
            "after finished",
            "after collected",
            "before keep sample",
            "after keep sample",
            "before update",
            "before commit",
            "after commit",
        ),
    ),
)
SAMPLER = {
    "type": "ibm-runtime",
    "backend": "ibm_manila",
    "optimization_level": 0,  # the run's seed chooses nothing: all runs give the same bits
    "poll_seconds": 0.2,
    "settle_seconds": 1.5,
}


class QPUOrdeal(Ordeal):
    """One whose every iteration is a job of the service that its site leads to."""

    module = "ordeals.mortal_qpu_driver"
    algorithm = "loop.sampling.sampling_toys:Sampling"


def ordeal_of(ibm: FakeIBMQuantum, store: Path, run_id: str) -> QPUOrdeal:
    return QPUOrdeal(store, run_id, {"sampler": SAMPLER}, ibm.environment)


def accepted(ibm: FakeIBMQuantum, run_id: str) -> dict[str, list[FakeIBMJob]]:
    """All of a run's jobs that the service ever accepted, by the key's tag."""
    found: dict[str, list[FakeIBMJob]] = defaultdict(list)
    for job in ibm.jobs():
        _, tag = job.tags
        if f"-{run_id}-" in tag:
            found[tag].append(job)
    return found


@pytest.fixture(scope="module")
def ibm() -> Iterator[FakeIBMQuantum]:
    """The service; it outlives every driver."""
    with FakeIBMQuantum(backends=["fake_manila"], queue_seconds=0.1, run_seconds=0.1) as ibm:
        yield ibm


@pytest.fixture(scope="module")
def ordeals(ibm: FakeIBMQuantum, tmp_path_factory: pytest.TempPathFactory) -> list[QPUOrdeal]:
    """Runs at once."""
    store = tmp_path_factory.mktemp("killed")
    runs = [ordeal_of(ibm, store, f"killed{number}") for number in range(RUNS)]
    with ThreadPoolExecutor(RUNS) as pool:
        all_deaths = map(deaths, share_out(MARKS, KILLS, RUNS), range(RUNS))
        return [*pool.map(QPUOrdeal.goes_through, runs, all_deaths)]


@pytest.fixture(scope="module")
def undisturbed(
    ibm: FakeIBMQuantum, ordeals: list[QPUOrdeal], tmp_path_factory: pytest.TempPathFactory
) -> list[str]:
    """The states of a run that nobody kills, by iteration."""
    run = ordeal_of(ibm, tmp_path_factory.mktemp("undisturbed"), "undisturbed")
    run.ends(max(ordeal.iterations for ordeal in ordeals) - 1)
    return run.states()


def test_as_many_drivers_died_as_were_to(ordeals: list[QPUOrdeal]) -> None:
    died = [death for ordeal in ordeals for death in ordeal.died]
    assert len(died) == KILLS
    assert {death.mark for death in died} == {mark.name for mark in choose(MARKS, KILLS)}


def test_the_state_is_that_of_a_run_that_was_never_killed(
    ordeals: list[QPUOrdeal], undisturbed: list[str]
) -> None:
    for ordeal in ordeals:
        assert_same_bits(ordeal, undisturbed)


@pytest.mark.guarantee("G12")
def test_each_key_has_one_job_and_was_paid_once(
    ordeals: list[QPUOrdeal], ibm: FakeIBMQuantum
) -> None:
    """By the ledger and by the service, which never forgets a job."""
    for ordeal in ordeals:
        records = ordeal.jobs()
        assert [(record.key.iteration, record.key.attempt) for record in records] == [
            (iteration, 0) for iteration in range(1, ordeal.iterations)
        ]
        assert {record.state for record in records} == {"COMPLETED"}
        kept = {
            tag: [(job.id, job.state) for job in jobs if job.state != "Cancelled"]
            for tag, jobs in accepted(ibm, ordeal.run_id).items()
        }
        assert kept == {record.key.job_name: [(record.job_id, "Completed")] for record in records}


def test_nothing_is_left_in_the_queue(ordeals: list[QPUOrdeal], ibm: FakeIBMQuantum) -> None:
    assert ordeals
    assert [job for job in ibm.jobs() if job.state not in OVER] == []
