"""Drivers of arrays are killed between list, folder, submission and ids: each element is done once."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import anyio
import pytest

from cluster.slurm import SlurmCluster
from ordeals.kills import Death, Mark, choose, deaths, kills, share_out
from ordeals.ordeal import Driver, assert_same_bits, wait_for_mark
from ordeals.test_killed_jobs import (
    DEADLINE_SECONDS,
    FAKES,
    LOST_LEASE,
    JobsOrdeal,
    Site,
    assert_nothing_is_left,
    fake,
    real,
    stands_still,
)
from qcsc_hpc.testing import FakeSlurm
from qcsc_loop.exactly_once.reap import reap
from qcsc_loop.jobs.key import JobKey
from waiting import until

KILLS = kills(1 / 2)
FAKE_KILLS = kills(1 / 8)
RUNS = min(6, KILLS // 2 or 1)
STRANDS = 4  # elements of each array

MARKS = (
    Mark("", 2.5, from_outside=True),
    Mark("before intent", most=STRANDS),
    Mark("after intent", most=STRANDS),
    *(
        Mark(f"{when} {what}", most=1)
        for what in ("folder", "list")
        for when in ("before", "after")
    ),
    Mark("before command", most=1),
    Mark("after command", 0.06, most=1),  # what a command takes
    Mark("after submit", most=STRANDS),
    Mark("before submitted", most=STRANDS),
    Mark("after submitted", most=STRANDS),
    Mark("PENDING seen", 0.5),
    Mark("before finished", most=STRANDS),
    Mark("after finished", most=STRANDS),
    Mark("after collected", most=STRANDS),
    Mark("before commit"),
)


@dataclass
class ArraysOrdeal(JobsOrdeal):
    """One whose every iteration is an array."""

    algorithm: ClassVar[str] = "system.job_toys:Braid"
    module: ClassVar[str] = "ordeals.mortal_array_driver"

    @classmethod
    def with_arrays(cls, site: Site, folder: Path, run_id: str, **more: Any) -> ArraysOrdeal:
        site.profile["array"] = True
        return cls.at(site, folder, run_id, strands=STRANDS, **more)

    @property
    def started(self) -> list[str]:
        """The keys of jobs that worked, once for each of their starts."""
        return sorted(self.trace.read_text().splitlines()) if self.trace.exists() else []


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], list[str]]:
    """The states of a run that nobody kills, by iteration; its jobs are this machine's."""
    here = Site({}, {"scheduler": "local"}, lambda _: [], lambda _: [])
    folder = tmp_path_factory.mktemp("undisturbed")
    run = ArraysOrdeal.at(here, folder, "undisturbed", pause=0, strands=STRANDS)

    def states(iterations: int) -> list[str]:
        if run.iterations < iterations:
            run.ends(iterations - 1)
        return run.states()

    return states


# what has to hold in the end


def assert_one_element_for_each_key(ordeal: ArraysOrdeal) -> None:
    """By the ledger, by what the program itself wrote, and by the site's own list."""
    jobs = ordeal.jobs()
    iterations = [commit.iteration for commit in ordeal.journal.history()][1:]
    wanted = [(k, f"strand-{s}", 0) for k in iterations for s in range(STRANDS)]
    assert sorted((j.key.iteration, j.key.label, j.key.attempt) for j in jobs) == sorted(wanted)
    assert {job.state for job in jobs} == {"COMPLETED"}
    for kind in ("intent", "submitted", "finished"):
        written = Counter(JobKey.model_validate(line["key"]) for line in ordeal.lines(kind))
        assert written == Counter(job.key for job in jobs), kind
    assert ordeal.started == sorted(str(job.key) for job in jobs)
    accepted = sorted(job_id for job_id, _ in ordeal.batch.accepted(ordeal.run_id))
    assert accepted == sorted(str(job.job_id) for job in jobs)


class TestOnARealSlurm:
    @pytest.fixture(scope="class")
    @classmethod
    def ordeals(
        cls, slurm: SlurmCluster, tmp_path_factory: pytest.TempPathFactory
    ) -> list[ArraysOrdeal]:
        folder = tmp_path_factory.mktemp("killed")
        runs = []
        for number in range(RUNS):
            (folder / str(number)).mkdir()
            site = real(slurm)
            runs.append(ArraysOrdeal.with_arrays(site, folder / str(number), f"arrays-{number}"))
        with ThreadPoolExecutor(RUNS) as pool:
            all_deaths = map(deaths, share_out(MARKS, KILLS, RUNS), range(RUNS))
            return [*pool.map(ArraysOrdeal.goes_through, runs, all_deaths)]

    def test_as_many_drivers_died_as_were_to(self, ordeals: list[ArraysOrdeal]) -> None:
        died = [death for ordeal in ordeals for death in ordeal.died]
        assert len(died) == KILLS
        assert {death.mark for death in died} == {mark.name for mark in choose(MARKS, KILLS)}

    def test_the_state_is_that_of_a_run_that_was_never_killed(
        self, ordeals: list[ArraysOrdeal], undisturbed: Callable[[int], list[str]]
    ) -> None:
        for ordeal in ordeals:
            assert_same_bits(ordeal, undisturbed(ordeal.iterations))

    def test_each_element_was_submitted_and_done_once(self, ordeals: list[ArraysOrdeal]) -> None:
        for ordeal in ordeals:
            assert_one_element_for_each_key(ordeal)

    def test_they_went_as_arrays(self, ordeals: list[ArraysOrdeal]) -> None:
        ids = [str(job.job_id) for ordeal in ordeals for job in ordeal.jobs()]
        assert sum("_" in job_id for job_id in ids) > len(ids) / 2

    def test_nothing_is_left_in_the_queue(self, ordeals: list[ArraysOrdeal]) -> None:
        for ordeal in ordeals:
            assert_nothing_is_left(ordeal)


class TestOnFakeSystems:
    @pytest.fixture(scope="class")
    @classmethod
    def ordeals(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ArraysOrdeal]]:
        """One on each, at once."""
        folder = tmp_path_factory.mktemp("killed")
        with ExitStack() as systems, ThreadPoolExecutor(len(FAKES)) as pool:
            runs = []
            for name, kind in FAKES.items():
                (folder / name).mkdir()
                system = systems.enter_context(kind(folder / name / "system"))
                runs.append(ArraysOrdeal.with_arrays(fake(system), folder / name, "killed"))
            marks = share_out(MARKS, FAKE_KILLS * len(runs), len(runs))
            gone = pool.map(ArraysOrdeal.goes_through, runs, map(deaths, marks, range(len(runs))))
            yield dict(zip(FAKES, gone, strict=True))

    @pytest.mark.parametrize("name", FAKES)
    def test_each_element_was_done_once_and_the_bits_are_right(
        self,
        ordeals: dict[str, ArraysOrdeal],
        name: str,
        undisturbed: Callable[[int], list[str]],
    ) -> None:
        ordeal = ordeals[name]
        assert len(ordeal.died) == FAKE_KILLS
        assert_same_bits(ordeal, undisturbed(ordeal.iterations))
        assert_one_element_for_each_key(ordeal)
        assert_nothing_is_left(ordeal)


class TestReap:
    @pytest.mark.parametrize("name", FAKES)
    @pytest.mark.parametrize("mark", ["after submit", "PENDING seen"])
    def test_what_a_killed_driver_has_left_is_ended_by_few_commands(
        self, tmp_path: Path, name: str, mark: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whether the ledger has the elements' ids, or nobody has."""
        with FAKES[name](tmp_path / "system") as system:
            monkeypatch.setenv("PATH", system.environment["PATH"])
            gate = str(tmp_path / "gate")
            ordeal = ArraysOrdeal.with_arrays(fake(system), tmp_path, "left", gate=gate)
            ordeal.lives(Death(mark))
            until(lambda: len(ordeal.started) == STRANDS, "all work")
            left = anyio.run(reap, ordeal.journal, lambda _job, _why: None)
            assert left == []
            assert_nothing_is_left(ordeal)
            assert {job.state for job in ordeal.jobs()} == {"CANCELLED"}
            endings = [c for c in system.commands() if c.argv[0] in ("scancel", "qdel", "pjdel")]
            assert len(endings) <= 2

    def test_a_resume_does_the_work_anew(
        self,
        tmp_path: Path,
        undisturbed: Callable[[int], list[str]],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        with FakeSlurm(tmp_path / "system") as system:
            monkeypatch.setenv("PATH", system.environment["PATH"])
            gate = tmp_path / "gate"
            ordeal = ArraysOrdeal.with_arrays(fake(system), tmp_path, "left", gate=str(gate))
            ordeal.lives(Death("PENDING seen"))
            anyio.run(reap, ordeal.journal, lambda _job, _why: None)
            gate.touch()
            ordeal.ends(1)
            assert_same_bits(ordeal, undisturbed(ordeal.iterations))
            assert Counter(job.key.attempt for job in ordeal.jobs()) == {0: STRANDS, 1: STRANDS}


class TestADriverThatStoodStill:
    """With an array on its way; another driver takes the run over."""

    @contextmanager
    def standing_still(self, ordeal: ArraysOrdeal, mark: str) -> Iterator[Driver]:
        orders = ordeal.orders(act="stand still", mark=mark, limit=1)
        with ordeal.driver(orders) as process:
            wait_for_mark(process)
            until(lambda: stands_still(process.pid), "it stands still")
            yield process

    def test_the_array_that_it_submits_then_stops_by_itself(
        self,
        slurm: SlurmCluster,
        tmp_path: Path,
        run_id: str,
        undisturbed: Callable[[int], list[str]],
    ) -> None:
        ordeal = ArraysOrdeal.with_arrays(real(slurm), tmp_path, run_id)
        with self.standing_still(ordeal, "before command") as stale:
            with ordeal.driver(ordeal.orders(limit=1, take_over=True)) as process:
                out, err = process.communicate(timeout=DEADLINE_SECONDS)
            assert process.returncode == 0, err.decode()
            ordeal.answer = json.loads(out)
            stale.send_signal(signal.SIGCONT)
            stale.communicate(timeout=DEADLINE_SECONDS)
            assert stale.returncode == LOST_LEASE
        until(lambda: ordeal.batch.alive(run_id) == [], "the second array is over")
        assert_same_bits(ordeal, undisturbed(ordeal.iterations))
        assert ordeal.started == sorted(str(job.key) for job in ordeal.jobs())
        accepted = Counter(name for _, name in ordeal.batch.accepted(run_id))
        # both arrays, under a name each
        assert sorted(accepted.values()) == [STRANDS, STRANDS]
