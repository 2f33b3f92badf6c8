"""`kill_at` kills a driver at a write boundary that has a name, and tells what became of its run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from loop.testing.impure import Repeats
from loop.toys import Counting
from ordeals.paid_toys import Paying
from qcsc_hpc.machine import HPCMachine
from qcsc_hpc.profiles import HPCProfile
from qcsc_hpc.testing import FakeSlurm, Fault
from qcsc_loop.errors import HookFailed, InputError
from qcsc_loop.rules.stop import MaxIterations
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.testing import (
    JOB_BOUNDARIES,
    WRITE_BOUNDARIES,
    KillableRun,
    kill_at,
    killable_run,
    recording_submissions,
    write_boundaries,
)
from qcsc_loop.testing.instants import Instants
from system.job_toys import Chain


class Told(Exception):
    """A boundary was reached."""


def tell(boundary: str) -> None:
    raise Told(boundary)


class TestNames:
    def test_a_run_comes_by_the_boundaries_that_are_listed_and_no_other(self) -> None:
        assert tuple(write_boundaries(Counting(width=3))) == WRITE_BOUNDARIES

    def test_so_does_a_job(self) -> None:
        boundaries = write_boundaries(Chain())
        assert tuple(name for name in boundaries if name in JOB_BOUNDARIES) == JOB_BOUNDARIES
        others = {name.rpartition("/")[0] for name in boundaries} - {
            name.rpartition("/")[0] for name in (*WRITE_BOUNDARIES, *JOB_BOUNDARIES)
        }
        assert others == {"1/input"}  # which the toy writes itself

    def test_large_arrays_and_what_is_removed_have_names_too(self) -> None:
        boundaries = write_boundaries(Counting(), iterations=5, keep=2)
        assert "1/checkpoint.arrays/named" in boundaries
        at = boundaries.index
        assert at("5/history/durable") < at("3/checkpoint.remove/before") < at("end/before")

    def test_one_that_there_is_not_is_refused_with_those_that_there_are(self) -> None:
        with pytest.raises(InputError) as refused:
            kill_at("1/checkpoint/namd", Counting(width=3))
        assert "no write boundary '1/checkpoint/namd' (did you mean" in str(refused.value)
        assert "It comes by: run/before, run/torn" in str(refused.value)

    def test_a_run_of_no_iteration_is_refused(self) -> None:
        with pytest.raises(InputError, match="at least 1 iteration, not 0"):
            kill_at("run/before", Counting(), iterations=0)


class TestInstants:
    """Seen from within a process that lives on."""

    def test_a_torn_line_is_half_a_line(self, tmp_path: Path) -> None:
        store = DirectoryStore(tmp_path)
        with Instants(tmp_path / "run", "1/history/torn", tell).watching(), pytest.raises(Told):
            store.append("run/history.jsonl", [b'{"iteration": 1, "epoch": 1}'])
        left = (tmp_path / "run/history.jsonl").read_bytes()
        assert left == b'{"iteration": 1'
        assert store.lines("run/history.jsonl") == []

    def test_a_line_has_its_place_once_it_was_written(self, tmp_path: Path) -> None:
        store = DirectoryStore(tmp_path)
        with Instants(tmp_path / "run", "1/history/written", tell).watching(), pytest.raises(Told):
            store.append("run/history.jsonl", [b'{"iteration": 1}'])
        assert store.lines("run/history.jsonl") == [b'{"iteration": 1}']

    def test_nothing_is_left_in_its_place(self, tmp_path: Path) -> None:
        write = DirectoryStore.write
        with Instants(tmp_path / "run").watching():
            assert DirectoryStore.write is not write
        assert DirectoryStore.write is write


class TestARunThatIsKilled:
    @pytest.fixture(scope="class")
    @classmethod
    def run(cls) -> Iterator[KillableRun]:
        with killable_run(Counting(width=3), iterations=2) as run:
            yield run

    @pytest.mark.parametrize("point", ["run/before", "1/sample/torn", "2/checkpoint/named"])
    def test_has_the_same_bits(self, run: KillableRun, point: str) -> None:
        killed = run.kill_at(point)
        assert killed.same_bits, killed
        assert killed.point == point
        assert killed.submissions == ()

    def test_shows_what_it_does_twice(self, tmp_path: Path) -> None:
        killed = kill_at("1/checkpoint/durable", Repeats(), iterations=2)
        assert not killed.same_bits
        assert killed.difference is not None and killed.difference.iteration == 2


class TestSubmissions:
    def test_of_a_job_that_is_found_again_there_is_one(self, tmp_path: Path) -> None:
        killed = kill_at("1/submit/after", Paying(bill=str(tmp_path / "bill")))
        assert killed.same_bits, killed
        assert killed.extra_submissions == 0
        (job,) = killed.submissions
        assert (job.iteration, job.step, job.attempt, job.site, job.job_id) == (
            *(1, "evaluate", 0),
            "the paid service",
            "2",  # the first one was that of the run that nobody kills
        )

    def test_a_site_that_forgets_is_asked_twice_and_it_is_seen(self, tmp_path: Path) -> None:
        forgetful = Paying(bill=str(tmp_path / "bill"), forgetful=True)
        killed = kill_at("1/submit/after", forgetful)
        assert killed.extra_submissions == 1

    def test_jobs_that_die_with_their_driver_do_not_count(self) -> None:
        killed = kill_at("1/job.submitted/durable", Chain())
        assert killed.same_bits, killed
        assert len(killed.submissions) == 2
        assert killed.extra_submissions == 0

    def test_are_recorded_in_a_process_that_lives(self, tmp_path: Path) -> None:
        paying = Paying(bill=str(tmp_path / "bill"))
        store = DirectoryStore(tmp_path / "store")
        with recording_submissions() as submitted:
            anyio.run(lambda: paying.run(store=store, run_id="paid", stop=MaxIterations(2)))
        assert [(job.key, job.job_id) for job in submitted] == [
            ("paid/1/evaluate/square.0", "1"),
            ("paid/2/evaluate/square.0", "2"),
        ]
        assert all(job.remote for job in submitted)


class TestAPowerCut:
    """As a driver finds its disk: what was not synced is not there."""

    def test_a_job_whose_folder_is_lost_is_prepared_again(self, tmp_path: Path) -> None:
        store, bill = DirectoryStore(tmp_path / "store"), tmp_path / "bill"
        paying = Paying(bill=str(bill))

        def drive() -> None:
            anyio.run(lambda: paying.run(store=store, run_id="cut", stop=MaxIterations(1)))

        instants = Instants(tmp_path / "store" / "cut", "1/job.intent/durable", tell)
        with instants.watching(), pytest.raises(HookFailed, match="raised Told"):
            drive()
        assert not bill.exists()
        shutil.rmtree(tmp_path / "store" / "cut" / "work")
        drive()
        assert len(bill.read_text().splitlines()) == 1


class TestOnAFakeSite:
    """As docs/testing.md has it."""

    @pytest.fixture
    def slurm(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSlurm]:
        with FakeSlurm(tmp_path / "slurm") as slurm:
            monkeypatch.setenv("PATH", slurm.environment["PATH"])
            yield slurm

    @pytest.fixture
    def chain(self) -> Chain:
        profile = HPCProfile(scheduler="slurm", settle_seconds=2, poll_seconds=0.5)
        return Chain(machine=HPCMachine(hpc_profile=profile))

    def test_a_job_that_was_just_taken_is_found_again(self, slurm: FakeSlurm, chain: Chain) -> None:
        killed = kill_at("1/submit/after", chain)
        assert killed.same_bits, killed
        assert killed.extra_submissions == 0
        assert len(slurm.jobs()) == 2  # one of the run that nobody kills

    def test_an_answer_that_is_lost_costs_no_second_job(
        self, slurm: FakeSlurm, chain: Chain, tmp_path: Path
    ) -> None:
        slurm.inject(Fault.SUBMIT_TIMES_OUT_THOUGH_ACCEPTED, seconds=1)
        store = DirectoryStore(tmp_path / "store")
        with recording_submissions() as submitted:
            anyio.run(lambda: chain.run(store=store, run_id="lost", stop=MaxIterations(1)))
        assert len(slurm.jobs()) == 1
        assert [job.job_id for job in submitted] == [None]  # whoever asked was not told
