"""Drivers are killed at every step of a job's way: each job is done once, and the bits are right."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Self

import psutil
import pytest

from cluster.slurm import SlurmCluster
from ordeals.kills import Mark, choose, deaths, kills, share_out
from ordeals.ordeal import Driver, Ordeal, assert_same_bits, wait_for_mark
from qcsc_hpc.testing import FakeBatchSystem, FakePBS, FakePJM, FakeSlurm
from qcsc_loop.jobs.key import JobKey
from system.command_line import files_below
from waiting import line_count, until

KILLS = kills()  # of drivers on the real Slurm
FAKE_KILLS = kills(1 / 8)  # on each of the others
RUNS = min(10, KILLS // 2 or 1)  # on the real Slurm, at once: most of their time they wait

PAUSE = 0.3  # the longest job
DEADLINE_SECONDS = 120.0  # for a driver that is told to go, on a machine that is busy
LOST_LEASE = 3

MARKS = (
    Mark("", 2.5, from_outside=True),
    *map(
        Mark,
        (
            "before intent",
            "after intent",
            "before submit",
            "before command",
        ),
    ),
    Mark("after command", 0.06),  # what a command takes
    *map(Mark, ("after submit", "after submitted")),
    Mark("PENDING seen", 0.5),  # what a job takes
    *map(
        Mark,
        (
            "before end seen",
            "after end seen",
            "before finished",
            "after finished",
            "before collect",
            "after collect",
            "after collected",
            "before keep evaluate",
            "after keep evaluate",
            "before update",
            "before commit",
            "after commit",
        ),
    ),
)


@dataclass(frozen=True)
class Site:
    """A batch system that drivers use.

    Attributes:
        profile: its settings as an HPC profile.
        accepted: id and name of every job that it ever took for a run.
        alive: ids of a run's jobs that wait or run.
        name: what it calls the job of a key.
    """

    environment: dict[str, str]
    profile: dict[str, Any]
    accepted: Callable[[str], list[tuple[str, str]]]
    alive: Callable[[str], list[str]]
    name: Callable[[JobKey], str] = lambda key: key.job_name


# a real Slurm


def slurm_says(slurm: SlurmCluster, *words: str) -> list[list[str]]:
    done = subprocess.run(
        words, env={**os.environ, **slurm.environment}, capture_output=True, text=True, check=True
    )
    return [line.split("|") for line in done.stdout.splitlines()]


def slurm_queue(slurm: SlurmCluster, run_id: str, *options: str) -> list[tuple[str, str]]:
    rows = slurm_says(slurm, "squeue", "--noheader", "--format=%i|%j", *options)
    return [(job_id, name) for job_id, name in rows if f"-{run_id}-" in name]


def slurm_accounted(slurm: SlurmCluster, run_id: str) -> list[tuple[str, str]]:
    """What accounting knows, once it knows all that squeue still shows."""
    recent = set(slurm_queue(slurm, run_id, "--states=all"))
    found: list[tuple[str, str]] = []

    def has_heard() -> bool:
        rows = slurm_says(
            slurm, "sacct", "-XnPa", "--starttime=now-1days", "--format=JobID,JobName"
        )
        found[:] = [(job_id, name) for job_id, name in rows if f"-{run_id}-" in name]
        return recent <= {*found}

    until(has_heard, "accounting knows the run's jobs by their names")
    return found


def real(slurm: SlurmCluster, *directives: str) -> Site:
    return Site(
        slurm.environment,
        {"scheduler": "slurm", "extra_directives": list(directives)},
        partial(slurm_accounted, slurm),
        lambda run_id: [job_id for job_id, _ in slurm_queue(slurm, run_id)],
    )


# fake ones


FAKES: dict[str, type[FakeBatchSystem]] = {"slurm": FakeSlurm, "pbs": FakePBS, "pjm": FakePJM}


def fake(system: FakeBatchSystem) -> Site:
    return Site(
        system.environment,
        {"scheduler": system.system, "settle_seconds": 2},
        lambda _: [(job.id, job.name) for job in system.jobs()],
        lambda _: [job.id for job in system.jobs() if job.state in ("PENDING", "RUNNING")],
        (lambda key: f"q{key.digest[:20]}") if system.system == "pjm" else Site.name,
    )


# runs


@dataclass
class JobsOrdeal(Ordeal):
    """One whose every iteration is a job of a batch system."""

    algorithm = "system.job_toys:Chain"

    batch: Site = field(kw_only=True)

    @classmethod
    def at(cls, batch: Site, folder: Path, run_id: str, **parameters: Any) -> Self:
        """With all that it needs in the folder."""
        machine = {"type": "hpc", "hpc_profile": batch.profile}
        all_of_them = {"pause": PAUSE, "trace": str(folder / "trace"), "machine": machine}
        return cls(
            folder / "store", run_id, all_of_them | parameters, batch.environment, batch=batch
        )

    @property
    def folder(self) -> Path:
        return self.store.parent

    @property
    def trace(self) -> Path:
        return self.folder / "trace"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], list[str]]:
    """The states of a run that nobody kills, by iteration; its jobs are this machine's."""
    here = Site({}, {"scheduler": "local"}, lambda _: [], lambda _: [])
    run = JobsOrdeal.at(here, tmp_path_factory.mktemp("undisturbed"), "undisturbed", pause=0)

    def states(iterations: int) -> list[str]:
        if run.iterations < iterations:
            run.ends(iterations - 1)
        return run.states()

    return states


# what has to hold in the end


def assert_one_job_for_each_key(ordeal: JobsOrdeal) -> None:
    """By the ledger, by what the program itself wrote, and by the site's accounting."""
    jobs, site = ordeal.jobs(), ordeal.batch
    iterations = [commit.iteration for commit in ordeal.journal.history()][1:]
    assert [(job.key.iteration, job.key.attempt) for job in jobs] == [(k, 0) for k in iterations]
    assert {job.state for job in jobs} == {"COMPLETED"}
    for kind in ("intent", "submitted", "finished"):
        written = Counter(JobKey.model_validate(line["key"]) for line in ordeal.lines(kind))
        assert written == Counter(job.key for job in jobs), kind
    executed = Counter(ordeal.trace.read_text().splitlines())
    assert executed == Counter(str(job.key) for job in jobs)
    accepted = sorted(site.accepted(ordeal.run_id))
    assert accepted == sorted((str(job.job_id), site.name(job.key)) for job in jobs)


def assert_nothing_is_left(ordeal: JobsOrdeal) -> None:
    assert ordeal.batch.alive(ordeal.run_id) == []


# killed again and again


@pytest.mark.guarantee("G11")
class TestOnARealSlurm:
    @pytest.fixture(scope="class")
    @classmethod
    def ordeals(
        cls, slurm: SlurmCluster, tmp_path_factory: pytest.TempPathFactory
    ) -> list[JobsOrdeal]:
        """Runs at once; the jobs of some need the one licence, so that they wait for each other."""
        folder = tmp_path_factory.mktemp("killed")
        runs = []
        for number in range(RUNS):
            site = real(slurm, *(["--licenses=qpu:1"] if number % 4 == 0 else []))
            (folder / str(number)).mkdir()
            runs.append(JobsOrdeal.at(site, folder / str(number), f"killed-{number}"))
        with ThreadPoolExecutor(RUNS) as pool:
            all_deaths = map(deaths, share_out(MARKS, KILLS, RUNS), range(RUNS))
            return [*pool.map(JobsOrdeal.goes_through, runs, all_deaths)]

    def test_as_many_drivers_died_as_were_to(self, ordeals: list[JobsOrdeal]) -> None:
        died = [death for ordeal in ordeals for death in ordeal.died]
        assert len(died) == KILLS
        assert {death.mark for death in died} == {mark.name for mark in choose(MARKS, KILLS)}

    def test_the_state_is_that_of_a_run_that_was_never_killed(
        self, ordeals: list[JobsOrdeal], undisturbed: Callable[[int], list[str]]
    ) -> None:
        for ordeal in ordeals:
            assert_same_bits(ordeal, undisturbed(ordeal.iterations))

    def test_each_job_was_submitted_and_done_once(self, ordeals: list[JobsOrdeal]) -> None:
        for ordeal in ordeals:
            assert_one_job_for_each_key(ordeal)

    def test_nothing_is_left_in_the_queue(self, ordeals: list[JobsOrdeal]) -> None:
        for ordeal in ordeals:
            assert_nothing_is_left(ordeal)


@pytest.mark.guarantee("G11")
class TestOnFakeSystems:
    @pytest.fixture(scope="class")
    @classmethod
    def ordeals(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, JobsOrdeal]]:
        """One on each, at once."""
        folder = tmp_path_factory.mktemp("killed")
        with ExitStack() as systems, ThreadPoolExecutor(len(FAKES)) as pool:
            runs = []
            for name, kind in FAKES.items():
                (folder / name).mkdir()
                system = systems.enter_context(kind(folder / name / "system"))
                runs.append(JobsOrdeal.at(fake(system), folder / name, "killed"))
            marks = share_out(MARKS, FAKE_KILLS * len(runs), len(runs))
            gone = pool.map(JobsOrdeal.goes_through, runs, map(deaths, marks, range(len(runs))))
            yield dict(zip(FAKES, gone, strict=True))

    @pytest.fixture(params=FAKES)
    def ordeal(self, request: pytest.FixtureRequest, ordeals: dict[str, JobsOrdeal]) -> JobsOrdeal:
        return ordeals[request.param]

    def test_the_state_is_that_of_a_run_that_was_never_killed(
        self, ordeal: JobsOrdeal, undisturbed: Callable[[int], list[str]]
    ) -> None:
        assert len(ordeal.died) == FAKE_KILLS
        assert_same_bits(ordeal, undisturbed(ordeal.iterations))

    def test_each_job_was_submitted_and_done_once(self, ordeal: JobsOrdeal) -> None:
        assert_one_job_for_each_key(ordeal)

    def test_nothing_is_left_in_the_queue(self, ordeal: JobsOrdeal) -> None:
        assert_nothing_is_left(ordeal)


# a driver that stands still, and two drivers


@pytest.mark.guarantee("G19")
class TestADriverThatStoodStill:
    """With a job on its way; another driver takes the run over."""

    @pytest.fixture
    def ordeal(self, slurm: SlurmCluster, tmp_path: Path, run_id: str) -> JobsOrdeal:
        return JobsOrdeal.at(real(slurm), tmp_path, run_id, gate=str(tmp_path / "gate"))

    @contextmanager
    def standing_still(self, ordeal: JobsOrdeal, mark: str) -> Iterator[Driver]:
        orders = ordeal.orders(act="stand still", mark=mark, limit=2)
        with ordeal.driver(orders) as process:
            wait_for_mark(process)
            until(lambda: stands_still(process.pid), "it stands still")
            yield process

    def taken_over(self, ordeal: JobsOrdeal) -> None:
        """By a driver that is refused unless it is told to: the process lives."""
        for take_over in (False, True):
            with ordeal.driver(ordeal.orders(limit=2, take_over=take_over)) as process:
                out, err = process.communicate(timeout=DEADLINE_SECONDS)
            assert process.returncode == (0 if take_over else LOST_LEASE), err.decode()
        ordeal.answer = json.loads(out)

    def woken(self, process: Driver) -> str:
        process.send_signal(signal.SIGCONT)
        err: bytes = process.communicate(timeout=DEADLINE_SECONDS)[1]
        assert process.returncode == LOST_LEASE
        return err.decode()

    # from "after submit" on its job is there; with "after submitted" the ledger knows it, too
    @pytest.mark.parametrize("mark", ["after submit", "after submitted", "after finished"])
    def test_its_job_is_adopted_and_it_writes_nothing_any_more(
        self, ordeal: JobsOrdeal, undisturbed: Callable[[int], list[str]], mark: str
    ) -> None:
        if mark == "after finished":
            (ordeal.folder / "gate").touch()
        with self.standing_still(ordeal, mark) as stale:
            (ordeal.folder / "gate").touch()
            self.taken_over(ordeal)
            before = written(ordeal)
            assert "lost run" in self.woken(stale)
        assert written(ordeal) == before
        assert_same_bits(ordeal, undisturbed(ordeal.iterations))
        assert_one_job_for_each_key(ordeal)
        assert_nothing_is_left(ordeal)

    def test_what_it_submits_after_it_was_woken_stops_by_itself(
        self, ordeal: JobsOrdeal, undisturbed: Callable[[int], list[str]]
    ) -> None:
        (ordeal.folder / "gate").touch()
        with self.standing_still(ordeal, "before command") as stale:
            self.taken_over(ordeal)
            before = written(ordeal)
            assert "lost run" in self.woken(stale)
        assert written(ordeal) == before
        assert_same_bits(ordeal, undisturbed(ordeal.iterations))
        until(lambda: ordeal.batch.alive(ordeal.run_id) == [], "the second job is over")
        first, second = ordeal.jobs()
        accepted = Counter(name for _, name in ordeal.batch.accepted(ordeal.run_id))
        assert accepted == {first.key.job_name: 2, second.key.job_name: 1}
        assert sorted(ordeal.trace.read_text().split()) == [str(first.key), str(second.key)]


class TestTwoDrivers:
    @pytest.mark.guarantee("G18")
    def test_the_second_is_refused_and_does_not_touch_the_first_ones_job(
        self, slurm: SlurmCluster, tmp_path: Path, undisturbed: Callable[[int], list[str]]
    ) -> None:
        gate = tmp_path / "gate"
        ordeal = JobsOrdeal.at(real(slurm), tmp_path, "two-drivers", gate=str(gate))
        with ordeal.driver(ordeal.orders(limit=2)) as first:
            until(lambda: line_count(ordeal.trace) == 1, "its job runs")
            with ordeal.driver(ordeal.orders(limit=2)) as second:
                _, err = second.communicate(timeout=DEADLINE_SECONDS)
            assert second.returncode == LOST_LEASE
            assert f"is being driven by process {first.pid} on " in err.decode()
            gate.touch()
            out, _ = first.communicate(timeout=DEADLINE_SECONDS)
        ordeal.answer = json.loads(out)
        assert_same_bits(ordeal, undisturbed(ordeal.iterations))
        assert_one_job_for_each_key(ordeal)

    def test_of_two_that_start_at_once_one_drives(
        self, slurm: SlurmCluster, tmp_path: Path, undisturbed: Callable[[int], list[str]]
    ) -> None:
        ordeal = JobsOrdeal.at(real(slurm), tmp_path, "two-at-once", gate=str(tmp_path / "gate"))
        orders = ordeal.orders(limit=2)
        with ordeal.driver(orders) as one, ordeal.driver(orders) as other:
            until(lambda: (one.poll() or other.poll()) == LOST_LEASE, "one is refused")
            (tmp_path / "gate").touch()
            driving = one if one.poll() is None else other
            ordeal.answer = json.loads(driving.communicate(timeout=DEADLINE_SECONDS)[0])
        assert_same_bits(ordeal, undisturbed(ordeal.iterations))
        assert_one_job_for_each_key(ordeal)


def stands_still(pid: int) -> bool:
    return psutil.Process(pid).status() == psutil.STATUS_STOPPED


def written(ordeal: JobsOrdeal) -> dict[str, bytes]:
    """All that is kept of a run; without signs of life, the jobs' own files, and a driver's word that
    it knows that it was superseded."""
    folder = ordeal.store / ordeal.run_id
    return {
        name: (folder / name).read_bytes()
        for name in files_below(folder)
        if not name.startswith("work/") and not name.endswith("-superseded.json")
    }
