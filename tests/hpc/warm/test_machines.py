"""Warm jobs on every machine: the same bits, one job in the queue, found again, ended and reaped."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread

from hpc.places import Place, Programs  # noqa: TID251  # the folder of these tests
from hpc.warm.conftest import Hooks, WarmHook  # noqa: TID251  # as above
from qcsc_algorithms.bitcount import BitCount
from qcsc_algorithms.sqd import SQD
from qcsc_hpc.machine import LocalMachine, Machine
from qcsc_hpc.warm.mailbox import tries
from qcsc_loop.algorithm import IterativeAlgorithm
from qcsc_loop.errors import JobRefused
from qcsc_loop.exactly_once.ending import end_job
from qcsc_loop.jobs.ledger import Ledger, job_records
from qcsc_loop.jobs.site import site_from
from qcsc_loop.reports.placement_cost import placement_cost
from qcsc_loop.rules.reason import Reason
from qcsc_loop.rules.stop import MaxIterations, NodeHours
from qcsc_loop.sampling.aer.sampler import AerSampler
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.memory import MemoryStore
from qcsc_loop.store.store import Store
from waiting import until, until_async

pytestmark = pytest.mark.anyio

WITH_RANKS = (
    "slurm/srun",
    "slurm/mpiexec",
    "fake-slurm",
    "fake-pbs",
    "fake-miyabi",
    "fake-pjm",
)
on_all = pytest.mark.parametrize("place", WITH_RANKS, indirect=True)
on_slurm = pytest.mark.parametrize("place", ["slurm/srun"], indirect=True)
on_both = pytest.mark.parametrize("place", ["slurm/srun", "fake-pbs"], indirect=True)


def warmed(place: Place, ranks: int = 2, **how: Any) -> Machine:
    """The place, with a warm job; `how` has fields of its settings and of the profile."""
    names = ("idle_seconds", "reserve_seconds", "fallback_seconds", "silent_seconds", "tries")
    warm = {name: how.pop(name) for name in names if name in how}
    machine = place.machine(ranks=ranks, **{"walltime": "00:10:00", **how})
    return type(machine).model_validate(
        {
            **machine.model_dump(exclude={"hpc_profile"}),
            "hpc_profile": place.where,
            "placement": "warm",
            "warm": warm,
        }
    )


# the same bits


def bitcount(machine: Machine) -> BitCount:
    return BitCount(num_qubits=5, shots=1001, tolerance=0, sampler=AerSampler(), machine=machine)


def sqd(machine: Machine, **solver: Any) -> SQD:
    system = {"geometry": "H 0 0 0; H 0 0 1; H 0 0 2; H 0 0 3", "basis": "sto-3g"}
    return SQD.model_validate(
        {"system": system, "shots": 200, "tolerance": 0, "machine": machine, "solver": solver}
    )


async def sha256(
    algorithm: IterativeAlgorithm[Any, Any, Any], store: Store, iterations: int = 2
) -> str | None:
    stop = MaxIterations(iterations)
    return (await algorithm.run(store=store, run_id="bits", seed=3, stop=stop)).state_sha256


async def bits_in_jobs() -> str | None:
    store = MemoryStore()
    try:
        return await sha256(bitcount(LocalMachine()), store)
    finally:
        store.close()


@on_all
async def test_counts_are_the_same_bits_as_in_jobs_of_their_own(
    place: Place, tmp_path: Path
) -> None:
    store = DirectoryStore(tmp_path / "store")
    assert await sha256(bitcount(warmed(place)), store) == await bits_in_jobs()
    jobs = job_records(store, "bits")
    assert [str(job.key) for job in jobs if job.key.step == "warm"] == [
        f"bits/0/warm/{jobs[1].key.label}/warm-1.0"
    ]
    assert {job.state for job in jobs} == {"COMPLETED"}
    until(lambda: place.queue.alive() == [], "the warm job has ended with the run")


@on_both
async def test_its_cost_is_told_beside_that_of_the_other_placement(
    place: Place, tmp_path: Path
) -> None:
    store = DirectoryStore(tmp_path / "store")
    algorithm = bitcount(warmed(place))
    await algorithm.run(store=store, run_id="cost", seed=3, stop=MaxIterations(3))
    cost = placement_cost(job_records(store, "cost"))
    assert cost is not None
    assert (cost.placement, cost.calls, cost.jobs) == ("warm", 3, 1)
    assert [call.iteration for call in cost.iterations] == [1, 2, 3]
    first, *rest = cost.iterations
    assert first.start_seconds > 0 == sum(call.start_seconds for call in rest)
    assert all(call.idle_node_seconds > 0 for call in cost.iterations)


@on_both
async def test_a_budget_of_node_hours_ends_a_run_whose_warm_job_waits(
    place: Place, tmp_path: Path
) -> None:
    store = DirectoryStore(tmp_path / "store")
    algorithm = bitcount(warmed(place))
    stop = NodeHours(1e-6) | MaxIterations(50)
    outcome = await algorithm.run(store=store, run_id="budget", seed=3, stop=stop)
    assert outcome.reason is Reason.BUDGET


@pytest.mark.parametrize(
    ("place", "solver"),
    [("fake-pbs", {"type": "pyscf", "as_job": True}), ("slurm/srun", {"type": "sbd"})],
    indirect=["place"],
)
async def test_sqd_has_the_same_bits_as_in_jobs_of_its_own(
    place: Place, tmp_path: Path, solver: dict[str, Any]
) -> None:
    if solver["type"] == "sbd" and find_spec("sbd") is None:
        pytest.skip("needs the package sbd-eigensolver: make sbd")
    stores = [DirectoryStore(tmp_path / name) for name in ("warm", "jobs")]
    machines = [warmed(place), place.machine(ranks=2)]
    found = [
        await sha256(sqd(at, **solver), store, 1)
        for at, store in zip(machines, stores, strict=True)
    ]
    assert found[0] == found[1] is not None


@pytest.mark.parametrize("place", ["slurm/srun", "slurm/mpiexec"], indirect=True)
async def test_ranks_on_two_nodes_are_one_world(
    place: Place, warm: Hooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with warm(on_nodes(place, 2)) as hook:
        assert (await hook.does("nothing")).value == "10"
        assert (await hook.does("nothing", ranks=2)).value == "3"


@on_all
async def test_a_program_that_begins_mpi_itself_runs_beside_the_ranks(
    place: Place, warm: Hooks, programs: Programs
) -> None:
    world = f"{sys.executable} -c 'from mpi4py import MPI; print(MPI.COMM_WORLD.size)'"
    async with warm(found_by(warmed(place))) as hook:
        assert (await hook.does("nothing")).value == "3"
        done = await hook.runs(programs.command(world), ranks=2)
        assert done.record.outcome is not None
        assert "2" in done.record.outcome.tail.split()
        assert (await hook.does("nothing")).value == "3"
        assert len(hook.warm_jobs) == 1


def on_nodes(place: Place, nodes: int, **how: Any) -> Machine:
    machine = warmed(place, ranks=2, num_nodes=nodes, mpiprocs=2, **how)
    return found_by(machine)


def found_by(machine: Machine) -> Machine:
    """The machine, on whose nodes the programs of these tests are found."""
    path = {"PYTHONPATH": str(Path(__file__).parent)}
    how = machine.how.model_copy(update={"environments": path})
    return machine.model_copy(update={"execution_profile": how})


# its life in a queue


def of_driver(hook: WarmHook, epoch: int) -> Ledger:
    """What the run's next driver begins with."""
    ledger = Ledger(
        run_id=hook.ledger.run_id,
        run_uid=hook.ledger.run_uid,
        store=hook.store,
        epoch=epoch,
        observe=hook.events.append,
    )
    ledger.load()
    return ledger


async def let_go(hook: WarmHook) -> None:
    """The driver is told to go, and leaves its jobs."""
    hook.ledger.leave_jobs = lambda: True
    for end in hook.ledger.endings.values():
        await end()


@on_both
async def test_a_resumed_driver_finds_the_warm_job(place: Place, warm: Hooks) -> None:
    async with warm(found_by(warmed(place))) as hook:
        await hook.does("nothing")
        await let_go(hook)
        hook.ledger = of_driver(hook, 2)
        assert (await hook.does("nothing")).value == "3"
        (job,) = hook.warm_jobs
        assert place.queue.accepted(job.key) == [job.job_id]


@on_slurm
async def test_a_request_outlives_its_driver(place: Place, warm: Hooks, programs: Programs) -> None:
    async with warm(found_by(warmed(place))) as hook:
        hook.iteration += 1
        async with hook.asking(hook.machine, programs.waiting, ranks=1) as asked:
            await until_async(lambda: programs.has_begun, "the program works")
            hook.ledger.leave_jobs = lambda: True
            asked.task.cancel()
        await let_go(hook)
        programs.go()
        hook.ledger = of_driver(hook, 2)
        await hook.run(hook.machine, programs.waiting, ranks=1)
        assert len(programs.worked) == 1
        assert len(hook.warm_jobs) == 1


@on_both
async def test_what_the_ledger_shows_alive_can_be_ended_by_anybody(
    place: Place, warm: Hooks, programs: Programs
) -> None:
    """As `reap` does, which has no algorithm and no machine but what the ledger says."""
    async with warm(found_by(warmed(place))) as hook:
        hook.iteration += 1
        async with hook.asking(hook.machine, programs.waiting, ranks=1) as asked:
            await until_async(lambda: programs.has_begun, "the program works")
            hook.ledger.leave_jobs = lambda: True
            asked.task.cancel()
        await let_go(hook)
        ledger = of_driver(hook, 2)
        alive = ledger.unfinished()
        assert sorted(job.key.step for job in alive) == ["evaluate", "warm"]
        for job in alive:
            await end_job(ledger, job, site_from(job.intent.site))
        assert {job.state for job in ledger.unfinished()} == set()
        assert {job.state for job in hook.records} == {"CANCELLED"}
        until(lambda: place.queue.alive() == [], "nothing of it is left")


@pytest.mark.parametrize("place", ["fake-slurm", "fake-pbs", "fake-pjm"], indirect=True)
async def test_what_waits_too_long_for_a_warm_job_gets_a_job_of_its_own(
    place: Place, warm: Hooks
) -> None:
    place.queue.hold_next(place.where)
    async with warm(found_by(warmed(place, fallback_seconds=1.0))) as hook:
        assert (await hook.does("nothing")).value == "3"
        kinds = [(job.key.step, job.key.attempt, job.state) for job in hook.records]
        assert kinds == [
            ("evaluate", 0, "PREEMPTED"),
            ("warm", 0, "submitted"),
            ("evaluate", 1, "COMPLETED"),
        ]
        assert any("the warm job has not served for 1 s" in text for text in hook.troubles)
        assert (await hook.does("nothing")).value == "3"  # at once, by a job
        assert hook.record.key.attempt == 0
        assert hook.record.intent.site["type"] == "batch"
        place.queue.release(str(hook.warm_jobs[0].job_id))
        await until_async(lambda: list(hook.root.glob("*/warm/*/epochs/*")), "it has started")
        while hook.record.intent.site["type"] == "batch":
            assert (await hook.does("nothing")).value == "3"
    assert hook.warm_jobs[0].state == "COMPLETED"


@pytest.mark.parametrize("place", ["fake-slurm", "fake-pbs", "fake-pjm"], indirect=True)
async def test_what_asks_for_a_warm_job_that_is_not_begun_in_time_gets_a_job_of_its_own(
    place: Place, warm: Hooks
) -> None:
    place.queue.hold_next(place.where)
    async with warm(found_by(warmed(place, queue_timeout=1.0))) as hook:
        assert (await hook.does("nothing")).value == "3"
        kinds = [(job.key.step, job.key.attempt, job.state) for job in hook.records]
        assert kinds == [
            ("evaluate", 0, "PREEMPTED"),
            ("warm", 0, "TIMEOUT"),
            ("evaluate", 1, "COMPLETED"),
        ]
        assert (await hook.does("nothing")).value == "3"
        assert hook.record.intent.site["type"] == "batch"
    assert len(hook.warm_jobs) == 1


@pytest.mark.parametrize("place", ["fake-slurm", "fake-pbs", "fake-pjm"], indirect=True)
async def test_a_warm_job_that_still_waits_is_cancelled_with_the_run(
    place: Place, warm: Hooks
) -> None:
    place.queue.hold_next(place.where)
    async with warm(found_by(warmed(place))) as hook:
        with anyio.move_on_after(1.0):
            await hook.does("nothing")
        assert [job.state for job in hook.records] == ["CANCELLED", "submitted"]
    # a queue that does not say in time that it is gone leaves the order as what is known last
    assert [job.state for job in hook.records] in (
        ["CANCELLED", s] for s in ("CANCELLED", "cancelling")
    )
    until(lambda: place.queue.alive() == [], "it is gone")


@on_all
async def test_a_limit_that_does_not_fit_into_the_walltime_is_refused(
    place: Place, warm: Hooks
) -> None:
    machine = warmed(place, walltime="00:02:00", run_timeout=100.0, reserve_seconds=30.0)
    async with warm(machine) as hook:
        with pytest.raises(JobRefused, match=r"run_timeout: 100 s do not fit .* reserve, 90 s"):
            await hook.does("nothing")


# ends that the queue makes


def expired(place: Place, hook: WarmHook) -> bool:
    """Slurm refuses to end a job in the second in which it began."""
    with suppress(subprocess.CalledProcessError):
        place.queue.expire(str(hook.warm_jobs[0].job_id))
        return True
    return False


@pytest.mark.thorough
@pytest.mark.parametrize("place", ["slurm/srun", "fake-slurm", "fake-pbs"], indirect=True)
async def test_a_request_is_done_by_a_successor_when_the_walltime_is_over(
    place: Place, warm: Hooks, programs: Programs
) -> None:
    async with warm(found_by(warmed(place))) as hook:
        hook.iteration += 1
        async with hook.asking(hook.machine, programs.waiting, ranks=1) as asked:
            await until_async(lambda: programs.has_begun, "the program works")
            await until_async(lambda: expired(place, hook), "its walltime is over now")
            for _ in range(3):  # Slurm looks at limits twice a minute
                with suppress(AssertionError):
                    await until_async(lambda: hook.warm_jobs[0].over, "the walltime is over")
                    break
            programs.go()
            await asked.result()
        assert [job.state for job in hook.warm_jobs] == ["TIMEOUT", "submitted"]
        (job,) = [job for job in hook.records if job.key.step != "warm"]
        assert job.state == "COMPLETED" and job.key.attempt == 0


@on_slurm
async def test_a_requeued_warm_job_serves_again(
    place: Place, warm: Hooks, programs: Programs
) -> None:
    async with warm(found_by(warmed(place))) as hook:
        hook.iteration += 1
        async with hook.asking(hook.machine, programs.waiting, ranks=1) as asked:
            await until_async(lambda: programs.has_begun, "the program works")
            job_id = str(hook.warm_jobs[0].job_id)
            await to_thread.run_sync(place.queue.requeue, job_id)
            folder = Path(hook.records[-2].intent.folder)
            await until_async(lambda: len(list(tries(folder))) == 2, "it serves again")
            programs.go()
            result = await asked.result()
        assert sorted(own.void for own in tries(result.value.parent)) == [False, True]
        assert [job.job_id for job in hook.warm_jobs] == [job_id]


@on_slurm
async def test_a_successor_is_there_before_the_walltime_is_over(place: Place, warm: Hooks) -> None:
    # it serves for a second or so, and then its reserve begins
    machine = found_by(warmed(place, walltime="00:01:00", reserve_seconds=58.0))
    async with warm(machine) as hook:
        while len(hook.warm_jobs) < 3:
            assert (await hook.does("nothing")).value == "3"
        states = [job.state for job in hook.warm_jobs]
        assert set(states) <= {"COMPLETED", "submitted", "intended"}
        assert {job.state for job in hook.records if job.key.step != "warm"} == {"COMPLETED"}
