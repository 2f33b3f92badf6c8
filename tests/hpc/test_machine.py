"""What every machine does, whatever runs its jobs: this machine, a real Slurm, and three fakes.

Where a machine cannot do something, `on` says so, and why.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from shutil import which
from typing import Any

import anyio
import anyio.to_thread
import pytest

from hpc.commands import UNACCOUNTED  # noqa: TID251  # the folder of these tests
from hpc.driven_machine import Driven  # noqa: TID251  # the folder of these tests
from hpc.places import (  # noqa: TID251  # as above
    LONGEST_SECONDS,
    Hook,
    Place,
    Programs,
    RealSlurm,
)
from qcsc_algorithms.bitcount import BitCount
from qcsc_hpc.machine import HPCMachine, LocalMachine, Machine, Program
from qcsc_hpc.profiles import Command
from qcsc_hpc.sites.batch import BatchSite
from qcsc_hpc.testing import FakeBatchSystem, FakePJM, Fault
from qcsc_loop.errors import JobNotTaken, JobRefused, ResultUnreadable
from qcsc_loop.exactly_once.measuring import measuring
from qcsc_loop.exactly_once.reap import reap
from qcsc_loop.jobs.entries import JobRecord
from qcsc_loop.jobs.key import JobKey
from qcsc_loop.jobs.ledger import job_records
from qcsc_loop.jobs.outcome import JobState
from qcsc_loop.jobs.site import PlacedJob, Waiting
from qcsc_loop.rules.stop import MaxIterations
from qcsc_loop.sampling.aer.sampler import AerSampler
from qcsc_loop.steps.step import labelled, stepping
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal
from qcsc_loop.store.memory import MemoryStore
from qcsc_loop.store.store import Store
from waiting import DEADLINE_SECONDS, until, until_async

pytestmark = pytest.mark.anyio

PLACES = ("local", "slurm", "fake-slurm", "fake-pbs", "fake-miyabi", "fake-pjm", "fake-wisteria")
RANKS = (
    "local",
    "slurm/srun",
    "slurm/mpiexec",
    "fake-slurm",
    "fake-pbs",
    "fake-miyabi",
    "fake-pjm",
    "fake-wisteria",
)


def on(*, places: tuple[str, ...] = PLACES, **why_not: str) -> pytest.MarkDecorator:
    """Every machine but those of which it is said why they cannot.

    What holds on every machine holds on a real Slurm whose accounting answers nobody, too.
    """
    excluded = {name.replace("_", "-") for name in why_not}
    assert excluded <= set(places)
    rest: list[Any] = [name for name in places if name not in excluded]
    for name in ("slurm", "slurm/srun"):
        if places in (PLACES, RANKS) and name in rest:
            rest += [
                pytest.param(name.replace("slurm", slurm, 1), marks=pytest.mark.nightly)
                for slurm in UNACCOUNTED
            ]
    return pytest.mark.parametrize("place", rest, indirect=True)


everywhere = on()
with_ranks = on(places=RANKS)
in_a_queue = on(local="it has no queue")
UNSAID = "its pjstat says that a job is over, and not how"


# the same results


async def counted(machine: Machine, store: Store) -> str | None:
    """The hash of what BitCount comes to there."""
    bitcount = BitCount(
        num_qubits=5, shots=1001, tolerance=0, sampler=AerSampler(), machine=machine
    )
    return (await bitcount.run(store=store, seed=3, stop=MaxIterations(2))).state_sha256


@pytest.fixture(scope="module")
def expected_sha256() -> str:
    store = MemoryStore()
    found = anyio.run(counted, LocalMachine(), store)
    store.close()
    assert found
    return found


@with_ranks
async def test_an_algorithm_gives_the_same_bits_wherever_it_runs(
    place: Place, expected_sha256: str, tmp_path: Path
) -> None:
    store = DirectoryStore(tmp_path / "store")
    assert await counted(place.machine(ranks=2), store) == expected_sha256


@on(places=("slurm/srun",))
async def test_ranks_on_two_nodes_are_one_world(
    place: Place, expected_sha256: str, tmp_path: Path
) -> None:
    machine = place.machine(ranks=2, num_nodes=2, mpiprocs=1)
    assert await counted(machine, DirectoryStore(tmp_path / "store")) == expected_sha256


@everywhere
async def test_a_hook_outside_of_any_loop_gets_its_job_done(
    place: Place, programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = await place.machine().run(programs.working, [], outputs=["out"], collect=Path)
    assert (folder / "out").read_text() == "done\n"


# byte for byte

NOT_UTF8 = os.fsdecode(b"\xff\xfe")
WORDS = [
    "",
    " ",
    "a b",
    "'",
    '"',
    'it\'s "so"',
    "$HOME",
    "${HOME}",
    "$(touch pwned)",
    "`touch pwned`",
    "two\nlines\n",
    "\n",
    "\ttab\t",
    "\r\n",
    "ünïcödé ∑ 🜁",
    "100%",
    "%j %A %% %s",
    "-x",
    "--",
    "-rf",
    "a,b",
    "a:b",
    "a;b & c | d",
    "*",
    "?[a]{b,c}",
    "~",
    "!!",
    "#no",
    "\\",
    "\\n",
    "a=b",
    "<>",
    "\x01\x1b[0m\x7f",
    "x" * 5000,
]
FOLDER = (
    'it\'s "$(touch pwned)" `touch pwned` $HOME\nünï% %j %A %% a,b:c;d&|*?[x]{y}~#!\\ = -rf \t '
)
DUMP = """\
import os, sys
found = {
    "argv": sys.argv[1:],
    "environ": [value for name, value in sorted(os.environ.items()) if name.startswith("WORD_")],
    "key": [os.environ["QCSC_JOB_KEY"]],
    "cwd": [os.getcwd()],
}
for name, words in found.items():
    with open(f"{name}.{os.getpid()}", "wb") as file:
        file.write(b"\\0".join(os.fsencode(word) for word in words))
"""
ONE_OR_MORE = pytest.mark.parametrize(
    ("place", "ranks"),
    [(name, 1) for name in PLACES] + [(name, 2) for name in RANKS],
    indirect=["place"],
)


def dumped(folder: Path, name: str, ranks: int) -> list[str]:
    """What every rank has seen, if all have seen the same."""
    seen = [path.read_bytes() for path in folder.glob(f"{name}.*")]
    assert len(seen) == ranks
    assert len(set(seen)) == 1
    return [os.fsdecode(word) for word in seen[0].split(b"\0")]


def dump(programs: Programs) -> Command:
    """A program of which every rank writes down what it was given."""
    return programs.command(DUMP, interpreter=f"{sys.executable} -IS")


@ONE_OR_MORE
async def test_arguments_arrive_byte_for_byte(
    place: Place, ranks: int, hook: Hook, programs: Programs
) -> None:
    words = [*WORDS, NOT_UTF8]
    done = await hook.run(place.machine(ranks=ranks), dump(programs), words)
    assert dumped(done.value, "argv", ranks) == words


@ONE_OR_MORE
async def test_values_of_the_environment_arrive_byte_for_byte(
    place: Place, ranks: int, hook: Hook, programs: Programs
) -> None:
    words = {f"WORD_{number:02d}": word for number, word in enumerate(WORDS)}
    done = await hook.run(place.machine(ranks=ranks, environments=words), dump(programs))
    assert dumped(done.value, "environ", ranks) == WORDS


def folder_name(place: Place) -> str:
    """Any that the place takes: Miyabi takes no multi-byte ones."""
    return FOLDER if place.name != "fake-miyabi" else FOLDER.encode("ascii", "ignore").decode()


@ONE_OR_MORE
async def test_a_folder_may_have_any_name(
    place: Place, ranks: int, programs: Programs, tmp_path: Path
) -> None:
    hook = Hook(tmp_path / "-rf" / folder_name(place))
    done = await hook.run(place.machine(ranks=ranks), dump(programs))
    assert dumped(done.value, "cwd", ranks) == [str(done.value)]
    assert (done.value / "output.log").exists()
    assert list(tmp_path.rglob("pwned")) == []


@ONE_OR_MORE
async def test_a_part_of_a_step_may_have_any_label(
    place: Place, ranks: int, hook: Hook, programs: Programs
) -> None:
    with stepping(hook.step), labelled(folder_name(place)):
        done = await place.machine(ranks=ranks).run_job(dump(programs), [], collect=Path)
    assert dumped(done.value, "key", ranks) == [str(done.record.key)]
    assert place.name == "local" or len(place.queue.accepted(done.record.key)) == 1


@everywhere
async def test_a_program_may_have_any_name(
    place: Place, hook: Hook, programs: Programs, tmp_path: Path
) -> None:
    strange = tmp_path / FOLDER
    strange.symlink_to(programs.working.executable_key)
    command = programs.working.model_copy(update={"executable_key": str(strange)})
    await hook.run(place.machine(), command, outputs=["out"])


# failing


@everywhere
@pytest.mark.parametrize("code", [1, 76, 255])  # 76: what our scripts say of a duplicate
async def test_the_exit_code_of_a_program_that_fails_is_told(
    place: Place, hook: Hook, programs: Programs, code: int
) -> None:
    failed = await hook.failure(place.machine(), programs.command(f"echo last words; exit {code}"))
    assert (failed.state, failed.exit_code_of_job) == (JobState.FAILED, code)
    assert f"ended FAILED with exit code {code}" in str(failed)
    assert "; its output ends: last words; all of it: " in str(failed)


@everywhere
async def test_a_program_that_is_killed_by_a_signal_fails(
    place: Place, hook: Hook, programs: Programs
) -> None:
    failed = await hook.failure(place.machine(), programs.command("kill -KILL $$"))
    assert (failed.state, failed.exit_code_of_job) == (JobState.FAILED, 128 + 9)


@everywhere
async def test_a_program_that_is_not_there_is_named(
    place: Place, hook: Hook, programs: Programs
) -> None:
    missing = programs.working.model_copy(update={"executable_key": "/no such/program"})
    failed = await hook.failure(place.machine(), missing)
    assert (failed.state, failed.exit_code_of_job) == (JobState.FAILED, 127)
    assert "/no such/program" in str(failed)
    assert "/no such/program" in failed.tail


@with_ranks
async def test_a_rank_that_fails_fails_the_job(
    place: Place, hook: Hook, programs: Programs
) -> None:
    failed = await hook.failure(place.machine(ranks=2), programs.command("exit 5"))
    assert failed.state == JobState.FAILED
    assert failed.exit_code_of_job


@everywhere
async def test_a_preparation_that_fails_is_named_and_nothing_else_runs(
    place: Place, hook: Hook, programs: Programs
) -> None:
    machine = place.machine(pre_commands=["true", "(echo no licence; exit 4)"])
    failed = await hook.failure(machine, programs.working)
    assert (failed.state, failed.exit_code_of_job) == (JobState.FAILED, 4)
    assert "pre_commands[1] failed" in str(failed)
    assert "no licence" in failed.tail
    assert programs.worked == []


@everywhere
async def test_a_module_that_cannot_be_loaded_is_told_and_nothing_else_runs(
    place: Place, hook: Hook, programs: Programs
) -> None:
    failed = await hook.failure(place.machine(modules=["no-such-module"]), programs.working)
    assert failed.state == JobState.FAILED
    assert "modules failed" in str(failed)
    assert programs.worked == []


@everywhere
@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("true", "it ended well, but it left no out"),
        ("touch out", "it ended well, but out is empty"),
        ("echo old > out; touch -d 2001-01-01 out", "out is older than the job's start"),
    ],
    ids=["missing", "empty", "older than the start"],
)
async def test_a_bad_result_fails_a_job_that_ended_well(
    place: Place, hook: Hook, programs: Programs, body: str, fault: str
) -> None:
    failed = await hook.failure(place.machine(), programs.command(body), outputs=["out"])
    assert failed.state == JobState.FAILED
    assert fault in str(failed)


@everywhere
async def test_a_result_that_cannot_be_read_fails_the_step_and_keeps_the_job(
    place: Place, hook: Hook, programs: Programs
) -> None:
    def collect(folder: Path) -> int:
        return int((folder / "out").read_text())

    with pytest.raises(ResultUnreadable, match="with base 10: 'done"):
        await hook.run(place.machine(), programs.working, outputs=["out"], collect=collect)
    assert (hook.record.state, hook.record.spoilt) == ("COMPLETED", False)
    await hook.run(place.machine(), programs.working, outputs=["out"])
    assert [record.key.attempt for record in hook.records] == [0]


SINGLETONS = """\
shift 2
while [ "$1" != bash ]; do shift; done
"$@" & first=$!
"$@" && wait $first
"""


@with_ranks
async def test_a_launcher_that_starts_strangers_to_each_other_is_found_out(
    place: Place, hook: Hook, programs: Programs
) -> None:
    if place.launcher == "srun":
        machine = place.machine(ranks=2, mpi_options=["--mpi=none"])
    else:
        launcher = programs.command(SINGLETONS).executable_key
        machine = place.at(executable_map={"mpiexec": launcher}).machine(ranks=2)
    failed = await hook.failure(machine, Program("world", "qcsc_hpc.mpi.world"))
    assert failed.state == JobState.FAILED
    assert "COMM_WORLD has 1 ranks, 2 were asked for" in failed.tail


@everywhere
async def test_what_failed_may_be_done_again_by_the_same_step(
    place: Place, hook: Hook, programs: Programs
) -> None:
    program = programs.command('[ -e "$flags/second" ] || { touch "$flags/second"; exit 1; }')
    await hook.failure(place.machine(), program)
    done = await hook.run(place.machine(), program)
    assert done.record.key.attempt == 1


# limits


@on(slurm="its look at time limits takes up to 30 s: see a test of its own", fake_wisteria=UNSAID)
async def test_a_job_that_outlives_its_walltime_is_a_timeout(
    place: Place, hook: Hook, programs: Programs
) -> None:
    machine = place.machine(walltime="00:00:01", resubmit={})
    failed = await hook.failure(machine, programs.waiting)
    assert failed.state == JobState.TIMEOUT
    await until_async(lambda: place.queue.alive() == [], "nothing is left")


@everywhere
async def test_a_job_that_runs_too_long_is_ended_and_is_a_timeout(
    place: Place, hook: Hook, programs: Programs
) -> None:
    failed = await hook.failure(place.machine(run_timeout=0.5), programs.waiting)
    assert failed.state == JobState.TIMEOUT
    assert re.search(r"longer than 0\.5 s", str(failed))
    await until_async(lambda: place.queue.alive() == [], "nothing is left")
    assert hook.record.state == "TIMEOUT"


@in_a_queue
async def test_a_job_that_waits_too_long_is_taken_back_and_is_a_timeout(
    place: Place, hook: Hook, programs: Programs
) -> None:
    failed = await hook.failure(place.holding(queue_timeout=1.0), programs.working)
    assert failed.state == JobState.TIMEOUT
    assert "it waited longer than 1 s and was cancelled" in str(failed)
    await until_async(lambda: place.queue.alive() == [], "nothing is left")
    assert programs.worked == []


@in_a_queue
async def test_waiting_in_the_queue_is_not_running(
    place: Place, hook: Hook, programs: Programs
) -> None:
    machine = place.holding(run_timeout=2.0)
    async with hook.asking(machine, programs.working) as job:
        job_id = await job.until_id()
        with pytest.raises(TimeoutError):
            with anyio.fail_after(2.5):  # more than it may run
                await asyncio.shield(job.task)
        place.queue.release(job_id)
        await job.result()


# cancelled


@everywhere
@pytest.mark.parametrize("by", ["its task", "a scope"])
async def test_a_run_that_is_cancelled_ends_its_running_job(
    place: Place, hook: Hook, programs: Programs, by: str
) -> None:
    await cancelled(hook, place.machine(), programs.waiting, by, lambda: programs.has_begun)
    await until_async(lambda: place.queue.alive() == [], "nothing is left")
    assert hook.record.state == "CANCELLED"


@in_a_queue
@pytest.mark.parametrize("by", ["its task", "a scope"])
async def test_a_run_that_is_cancelled_takes_back_its_waiting_job(
    place: Place, hook: Hook, programs: Programs, by: str
) -> None:
    await cancelled(hook, place.holding(), programs.working, by, lambda: hook.job_id)
    await until_async(lambda: place.queue.alive() == [], "nothing is left")
    assert hook.record.state == "CANCELLED"
    assert programs.worked == []


async def cancelled(
    hook: Hook, machine: HPCMachine, program: Command, by: str, when: Callable[[], object]
) -> None:
    """Asks for a job, and does not wait for its end."""
    if by == "its task":
        task = asyncio.create_task(hook.run(machine, program))
        await until_async(when, "the moment has come")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return
    ended: list[str] = []

    async def ask() -> None:
        try:
            await hook.run(machine, program)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await until_async(when, "the moment has come")
        group.cancel_scope.cancel()
    assert ended == ["cancelled"]


@in_a_queue
async def test_a_cancelled_job_is_done_anew_when_the_run_goes_on(
    place: Place, hook: Hook, programs: Programs
) -> None:
    await cancelled(hook, place.machine(), programs.waiting, "its task", lambda: programs.has_begun)
    programs.go()
    done = await hook.run(place.machine(), programs.waiting)
    assert done.record.key.attempt == 1


@on(fake_wisteria=UNSAID)
async def test_a_job_that_somebody_else_ends_is_not_done(
    place: Place, hook: Hook, programs: Programs
) -> None:
    async with hook.asking(place.machine(), programs.waiting) as job:
        await until_async(lambda: programs.has_begun, "the program runs")
        place.queue.cancel(await job.until_id())
        failed = await job.failure()
    # who kills a child leaves no word of why
    assert failed.state == (JobState.FAILED if place.name == "local" else JobState.CANCELLED)
    assert failed.exit_code_of_job != 0
    assert place.queue.alive() == []


@on(local="it has no queue", fake_wisteria=UNSAID)
async def test_a_waiting_job_that_somebody_else_takes_back_is_cancelled(
    place: Place, hook: Hook, programs: Programs
) -> None:
    async with hook.asking(place.holding(), programs.working) as job:
        place.queue.cancel(await job.until_id())
        failed = await job.failure()
    assert failed.state == JobState.CANCELLED
    assert programs.worked == []


# what the machine does to jobs


@on(local="it is one node, and its driver with it")
async def test_a_job_that_its_scheduler_starts_again_passes_its_own_fence(
    place: Place, hook: Hook, programs: Programs
) -> None:
    async with hook.asking(place.machine(), programs.waiting) as job:
        await until_async(lambda: programs.has_begun, "the program runs")
        job_id = await job.until_id()
        await anyio.to_thread.run_sync(place.queue.requeue, job_id)
        programs.go()
        done = await job.result()
    assert done.record.job_id == job_id
    assert place.queue.accepted(done.record.key) == [job_id]
    assert programs.worked == [str(done.record.key)] * 2


@on(local="it is one node, and its driver with it", fake_pjm="whether one comes back is not said")
async def test_a_job_is_not_over_with_the_record_of_a_start_that_is_killed_to_be_made_again(
    place: Place, hook: Hook, programs: Programs
) -> None:
    # a script that outlives the signal that ends its program, and tidies up: all that while the
    # scheduler says of it what it says of one that ends
    tidy = f"cd {programs.folder}; [ -e tidied ] || {{ touch tidied; sleep 60; }}"
    machine = place.machine(pre_commands=["trap : TERM", f"trap '{tidy}' EXIT"])
    async with hook.asking(machine, programs.waiting) as job:
        await until_async(lambda: programs.has_begun, "the program runs")
        job_id = await job.until_id()
        await anyio.to_thread.run_sync(place.queue.requeue, job_id)
        await until_async((programs.folder / "tidied").exists, "the first start leaves its record")
        await until_async(lambda: job.task.done() or len(programs.worked) == 2, "the second runs")
        programs.go()
        done = await job.result()
    assert (done.record.job_id, done.record.state) == (job_id, JobState.COMPLETED)


@on(places=("slurm",))
def test_a_job_that_is_requeued_by_a_test_starts_again_at_any_time_of_a_second(
    place: Place, programs: Programs
) -> None:
    queue, script = place.queue, programs.waiting
    assert isinstance(queue, RealSlurm)
    job_id = queue.run("sbatch", "--parsable", "--output=/dev/null", script.executable_key).strip()
    until(lambda: programs.has_begun, "the job runs")
    # as much of a second as there is to be killed in and started again
    until(lambda: time.time() % 1 < 0.05, "a second begins")
    queue.requeue(job_id)
    until(lambda: len(programs.worked) == 2 or not queue.alive(), "it has started again")
    assert len(programs.worked) == 2


@on(local="it is one node, and its driver with it", fake_wisteria=UNSAID)
async def test_a_job_whose_node_fails_is_told(place: Place, hook: Hook, programs: Programs) -> None:
    machine = place.at(extra_directives=place.once).machine(resubmit={})
    async with hook.asking(machine, programs.waiting) as job:
        await until_async(lambda: programs.has_begun, "the program runs")
        place.queue.fail_node(await job.until_id())
        failed = await job.failure()
    assert failed.state == JobState.NODE_FAIL
    assert failed.transient


@on(local="it is one node, and its driver with it", fake_wisteria=UNSAID)
async def test_a_job_whose_node_fails_is_done_again_without_asking(
    place: Place, hook: Hook, programs: Programs
) -> None:
    machine = place.at(extra_directives=place.once).machine()
    async with hook.asking(machine, programs.waiting) as job:
        await until_async(lambda: programs.has_begun, "the program runs")
        place.queue.fail_node(await job.until_id())
        programs.go()
        done = await job.result()
    assert [record.state for record in hook.records] == ["NODE_FAIL", "COMPLETED"]
    assert done.record.key.attempt == 1
    assert len(set(programs.worked)) == 2
    assert any("NODE_FAIL" in trouble and "submitted anew" in trouble for trouble in hook.troubles)


@on(
    local="nothing preempts there",
    slurm="the cluster of the tests does not preempt",
    fake_wisteria=UNSAID,
)
async def test_a_job_that_makes_room_is_done_again_without_asking(
    place: Place, hook: Hook, programs: Programs
) -> None:
    async with hook.asking(place.machine(), programs.waiting) as job:
        await until_async(lambda: programs.has_begun, "the program runs")
        place.queue.preempt(await job.until_id())
        programs.go()
        await job.result()
    assert len(programs.worked) == 2
    assert {record.state for record in hook.records} <= {"PREEMPTED", "COMPLETED"}


@on(places=("slurm",))
async def test_a_job_that_needs_more_memory_than_it_asked_for_is_out_of_memory(
    place: Place, hook: Hook, programs: Programs
) -> None:
    greedy = programs.command(
        "import time\nheld = b'x' * 400_000_000\ntime.sleep(60)", interpreter=sys.executable
    )
    failed = await hook.failure(place.machine(memory="100M"), greedy)
    assert failed.state == JobState.OUT_OF_MEMORY
    assert "memory limit" in failed.tail


@on(places=("slurm",))
async def test_a_job_that_slurm_ends_at_its_time_limit_is_a_timeout(
    place: Place, hook: Hook, programs: Programs
) -> None:
    async with hook.asking(place.machine(), programs.waiting) as job:
        await until_async(lambda: programs.has_begun, "the program runs")
        place.queue.expire(await job.until_id())
        failed = await job.failure()
    assert failed.state == JobState.TIMEOUT
    assert failed.exit_code_of_job != 0


# refused by the scheduler

REFUSED = [
    ("slurm", {"queue_cpu": "nowhere"}, {}, "Invalid partition name specified"),
    ("slurm", {"project_cpu": "nobody"}, {}, "Invalid account or account/partition combination"),
    ("slurm", {"extra_directives": ["--no-such-option"]}, {}, "unrecognized option"),
    ("fake-slurm", {"queue_cpu": "nowhere"}, {}, "Invalid partition name specified"),
    ("fake-slurm", {"project_cpu": "nobody"}, {}, "Invalid account or account/partition"),
    ("fake-slurm", {"extra_directives": ["--no-such-option"]}, {}, "unrecognized option"),
    ("fake-pbs", {"queue_cpu": "nowhere"}, {}, "Unknown queue"),
    ("fake-pbs", {"resources": ["bananas=1"]}, {}, "Unknown resource"),
    ("fake-pbs", {"queue_cpu": "short"}, {"walltime": "00:01:00"}, "violates queue"),
    ("fake-pjm", {"queue_cpu": "nowhere"}, {}, "Resource group does not exist"),
    ("fake-pjm", {}, {"num_nodes": 99, "launcher": "mpiexec"}, "node=99"),
    ("fake-pjm", {"queue_cpu": "int"}, {"walltime": "48:00:00"}, "elapse=172800"),
]
NEVER = [
    ("slurm", {}, {"num_nodes": 99, "launcher": "mpiexec"}, "PartitionConfig"),
    # it calls it PartitionTimeLimit at times
    ("slurm", {"queue_cpu": "short"}, {"walltime": "00:02:00"}, "Partition"),
    ("fake-slurm", {}, {"num_nodes": 99, "launcher": "mpiexec"}, "PartitionConfig"),
    ("fake-slurm", {"queue_cpu": "short"}, {"walltime": "00:02:00"}, "PartitionTimeLimit"),
    ("fake-pbs", {}, {"num_nodes": 99, "launcher": "mpiexec"}, "Can Never Run"),
]


@pytest.mark.parametrize(("place", "where", "how", "reason"), REFUSED, indirect=["place"])
async def test_what_a_scheduler_refuses_is_rejected_with_its_words(
    place: Place, hook: Hook, programs: Programs, where: Any, how: Any, reason: str
) -> None:
    failed = await hook.failure(place.at(**where).machine(**how), programs.working)
    assert (failed.state, failed.exit_code_of_job) == (JobState.REJECTED, None)
    assert reason in str(failed)
    assert place.queue.alive() == []
    assert not failed.transient


NOT_YET = {
    "fake-slurm": "sbatch: error: AssocMaxSubmitJobLimit\n"
    "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit "
    "limit, user's size and/or time limits)",
    "fake-pbs": "qsub: would exceed queue workq's per-user limit",
    "fake-pjm": "[ERR.] PJM 0060 pjsub The number of jobs has reached the upper limit.",
}


@on(places=tuple(NOT_YET))
async def test_a_job_over_a_limit_on_jobs_waits_for_its_turn_and_says_why(
    place: Place, hook: Hook, programs: Programs
) -> None:
    words = NOT_YET[place.name]
    place.fake.inject(Fault.SUBMIT_REFUSED, times=2, reason=words)
    done = await hook.run(place.machine(), programs.working)
    assert_one_job(place, done.record, programs)
    assert f"not taken yet: {' '.join(words.split())}" in hook.reasons
    assert hook.troubles == []


@on(places=tuple(NOT_YET))
async def test_a_job_that_is_not_taken_in_time_is_an_error_that_says_why(
    place: Place, hook: Hook, programs: Programs
) -> None:
    place.fake.inject(Fault.SUBMIT_REFUSED, times=99, reason=NOT_YET[place.name])
    with pytest.raises(JobNotTaken, match=r"has not taken the job in 0\.1 s .*limit"):
        await hook.run(place.at(not_now_seconds=0.1).machine(), programs.working)
    assert place.queue.alive() == []


@on(places=("slurm",))
async def test_a_job_for_a_partition_that_is_closed_for_maintenance_waits_until_it_opens(
    place: Place, hook: Hook, programs: Programs
) -> None:
    assert isinstance(place.queue, RealSlurm)
    machine = place.at(queue_cpu="short").machine()
    place.queue.run("scontrol", "update", "partitionname=short", "state=inactive")
    try:
        async with hook.asking(machine, programs.working) as job:
            await until_async(lambda: hook.reasons, "why it is not taken is told")
            place.queue.run("scontrol", "update", "partitionname=short", "state=up")
            done = await job.result()
    finally:
        place.queue.run("scontrol", "update", "partitionname=short", "state=up")
    assert_one_job(place, done.record, programs)
    assert "Required partition not available (inactive or drain)" in hook.reasons[0]


@pytest.mark.parametrize(("place", "where", "how", "reason"), NEVER, indirect=["place"])
async def test_what_is_accepted_but_can_never_start_is_rejected_and_taken_back(
    place: Place, hook: Hook, programs: Programs, where: Any, how: Any, reason: str
) -> None:
    failed = await hook.failure(place.at(**where).machine(**how), programs.working)
    assert failed.state == JobState.REJECTED
    assert "it was accepted, but can never start" in str(failed)
    assert reason in str(failed)
    await until_async(lambda: place.queue.alive() == [], "nothing is left")
    assert place.queue.accepted(hook.record.key) == [failed.job_id]


@on(places=("slurm",))
async def test_a_job_that_waits_for_one_that_failed_is_rejected(
    place: Place, hook: Hook, programs: Programs, tmp_path: Path
) -> None:
    failed = await Hook(tmp_path / "other").failure(place.machine(), programs.command("exit 1"))
    after = place.at(extra_directives=[f"--dependency=afterok:{failed.job_id}"])
    rejected = await hook.failure(after.machine(), programs.working)
    assert rejected.state == JobState.REJECTED
    assert "DependencyNeverSatisfied" in str(rejected)
    await until_async(lambda: place.queue.alive() == [], "nothing is left")


@on(places=("slurm", "fake-slurm"))
async def test_a_job_for_drained_nodes_may_start_some_day_and_is_waited_for(
    place: Place, hook: Hook, programs: Programs
) -> None:
    machine = place.at(queue_cpu="drained").machine(queue_timeout=1.5)
    failed = await hook.failure(machine, programs.working)
    assert failed.state == JobState.TIMEOUT
    assert "it waited longer than 1.5 s" in str(failed)
    await until_async(lambda: place.queue.alive() == [], "nothing is left")


@in_a_queue
async def test_a_job_that_no_command_knows_is_lost_and_cannot_be_cancelled(
    place: Place, tmp_path: Path
) -> None:
    site = place.at(lost_seconds=1.0).machine().site()
    assert isinstance(site, BatchSite)
    key = JobKey(run_id="none", run_uid="none", iteration=1, step="evaluate", name="none")
    unknown = PlacedJob(key, "999999.vm" if place.name == "fake-pbs" else "999999", tmp_path)
    assert (await site.outcome(unknown, Waiting())).state is JobState.LOST
    assert (await site.cancel(unknown)).state is JobState.CANCELLED
    assert await site.find(key, tmp_path / "none") is None


# refused by us


REFUSED_HERE = [
    ("local", {"queue_cpu": "normal"}, {}, "queue_cpu"),
    ("local", {}, {"num_nodes": 2}, "num_nodes"),
    ("slurm", {"gfscache": "/vol0004"}, {}, "gfscache"),
    ("fake-slurm", {"mpi_options_for_pjm": ["a=1"]}, {}, "mpi_options_for_pjm"),
    ("fake-pbs", {"constraint": "a100"}, {}, "constraint"),
    ("fake-pjm", {}, {"memory": "1G"}, "memory"),
]


@pytest.mark.parametrize(("place", "where", "how", "field"), REFUSED_HERE, indirect=["place"])
async def test_a_setting_that_a_machine_does_not_have_is_refused(
    place: Place, hook: Hook, programs: Programs, where: Any, how: Any, field: str
) -> None:
    with pytest.raises(JobRefused) as caught:
        await hook.run(place.at(**where).machine(**how), programs.working)
    assert caught.value.field == field
    assert_untouched(place, hook)


@in_a_queue
async def test_ranks_that_do_not_divide_over_the_nodes_are_refused(
    place: Place, hook: Hook, programs: Programs
) -> None:
    machine = place.machine(ranks=2, num_nodes=2)
    with pytest.raises(JobRefused, match="3 do not divide evenly over 2 nodes"):
        await hook.run(machine, programs.working, ranks=3)
    assert_untouched(place, hook)


@everywhere
async def test_several_ranks_without_a_launcher_are_refused(
    place: Place, hook: Hook, programs: Programs
) -> None:
    with pytest.raises(JobRefused, match="'single' starts one rank, not 2"):
        await hook.run(place.machine(mpiprocs=2), programs.working)
    assert_untouched(place, hook)


def assert_untouched(place: Place, hook: Hook) -> None:
    """Nothing was submitted, and nothing says that it may have been."""
    assert place.queue.alive() == []
    assert all(record.over for record in hook.records)
    assert not [path for path in hook.step.work_dir.rglob("*") if path.is_dir()]


@in_a_queue
async def test_a_machine_without_the_scheduler_s_commands_is_told_at_once(
    place: Place, hook: Hook, programs: Programs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = os.environ["PATH"]
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(JobRefused, match="on PATH") as caught:
        await hook.run(place.machine(), programs.working)
    monkeypatch.setenv("PATH", path)
    assert caught.value.field == "scheduler"
    assert place.queue.alive() == []
    assert all(record.over for record in hook.records)


@in_a_queue
async def test_a_step_that_had_no_scheduler_is_done_where_there_is_one(
    place: Place, hook: Hook, programs: Programs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = os.environ["PATH"]
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(JobRefused):
        await hook.run(place.machine(), programs.working)
    monkeypatch.setenv("PATH", path)
    await hook.run(place.machine(), programs.working)
    assert len(programs.worked) == 1


# a scheduler that does not answer, fails, or lies


@on(places=("slurm",))
async def test_an_outage_while_a_job_waits_does_no_harm(
    place: Place, hook: Hook, programs: Programs
) -> None:
    async with hook.asking(place.at(command_timeout=2.0).holding(), programs.working) as job:
        job_id = await job.until_id()
        await outage(place, hook)
        place.queue.release(job_id)
        done = await job.result()
    assert_one_job(place, done.record, programs)


@on(places=("slurm",))
async def test_an_outage_while_a_job_runs_does_no_harm(
    place: Place, hook: Hook, programs: Programs
) -> None:
    async with hook.asking(place.at(command_timeout=2.0).machine(), programs.waiting) as job:
        await until_async(lambda: programs.has_begun, "the program runs")
        await outage(place, hook)
        programs.go()
        done = await job.result()
    assert_one_job(place, done.record, programs)


@on(places=("slurm",))
async def test_an_outage_while_a_job_ends_does_no_harm(
    place: Place, hook: Hook, programs: Programs
) -> None:
    async with hook.asking(place.at(command_timeout=2.0).machine(), programs.waiting) as job:
        await until_async(lambda: programs.has_begun, "the program runs")
        await outage(place, hook, programs.go)
        done = await job.result()
    assert_one_job(place, done.record, programs)


@on(places=("slurm",))
async def test_a_submission_during_an_outage_is_made_once_it_is_over(
    place: Place, hook: Hook, programs: Programs
) -> None:
    assert isinstance(place.queue, RealSlurm)
    cluster = place.queue.cluster
    await anyio.to_thread.run_sync(cluster.stop_controller)
    machine = place.at(command_timeout=2.0).machine()
    async with hook.asking(machine, programs.working) as job:
        await until_async(lambda: hook.troubles, "the outage is told")
        await anyio.to_thread.run_sync(cluster.start)
        done = await job.result()
    assert_one_job(place, done.record, programs)


async def outage(place: Place, hook: Hook, meanwhile: Callable[[], None] = lambda: None) -> None:
    """The controller goes down, that is seen, and it comes back."""
    assert isinstance(place.queue, RealSlurm)
    cluster = place.queue.cluster
    await anyio.to_thread.run_sync(cluster.stop_controller)
    meanwhile()
    await until_async(lambda: hook.troubles, "the outage is told")
    await anyio.to_thread.run_sync(cluster.start)


def assert_one_job(place: Place, record: JobRecord, programs: Programs) -> None:
    """One was accepted, and it worked once."""
    assert place.queue.accepted(record.key) == [record.job_id]
    assert programs.worked == [str(record.key)]


FAKES = ("fake-slurm", "fake-pbs", "fake-miyabi", "fake-pjm", "fake-wisteria")
on_fakes = on(places=FAKES)
UNCLEAR = [
    (Fault.SUBMIT_FAILS_TRANSIENT, None),
    (Fault.SUBMIT_TIMES_OUT_THOUGH_ACCEPTED, None),
    (Fault.SUBMIT_TIMES_OUT_THOUGH_ACCEPTED, 0.5),
    (Fault.SUBMIT_ACCEPTED_LATE, 0.5),
]
NO_ANSWER = [Fault.STATUS_FAILS, Fault.STATUS_HANGS, Fault.STATUS_GARBAGE]


@on_fakes
@pytest.mark.parametrize(("fault", "seconds"), UNCLEAR)
async def test_a_submission_that_is_not_clear_makes_one_job(
    place: Place, hook: Hook, programs: Programs, fault: Fault, seconds: float | None
) -> None:
    place.fake.inject(fault, seconds=seconds)
    machine = place.at(command_timeout=3.0).machine()
    done = await hook.run(machine, programs.working, outputs=["out"])
    assert_one_job(place, done.record, programs)


@on_fakes
async def test_a_job_that_is_accepted_after_all_does_not_work_twice(
    place: Place, hook: Hook, programs: Programs
) -> None:
    place.fake.inject(Fault.SUBMIT_ACCEPTED_LATE, seconds=4.0)
    machine = place.at(settle_seconds=0.5).machine()
    await hook.run(machine, programs.working, outputs=["out"])
    # the late one, too, has come and gone
    await until_async(lambda: len(place.fake.jobs()) == 2, "both were accepted")
    await until_async(lambda: place.queue.alive() == [], "both are over")
    assert len(programs.worked) == 1


@on_fakes
@pytest.mark.parametrize("fault", NO_ANSWER)
async def test_questions_without_an_answer_are_asked_again(
    place: Place, hook: Hook, programs: Programs, fault: Fault
) -> None:
    place.fake.inject(fault, times=2)
    machine = place.at(command_timeout=1.0).machine()
    done = await hook.run(machine, programs.working, outputs=["out"])
    assert_one_job(place, done.record, programs)


@on_fakes
@pytest.mark.parametrize("fault", NO_ANSWER)
async def test_a_failed_job_is_failed_though_questions_had_no_answer(
    place: Place, hook: Hook, programs: Programs, fault: Fault
) -> None:
    place.fake.inject(fault, times=2)
    machine = place.at(command_timeout=1.0).machine()
    failed = await hook.failure(machine, programs.command("exit 3"))
    assert (failed.state, failed.exit_code_of_job) == (JobState.FAILED, 3)
    assert len(place.fake.jobs()) == 1


@on(
    places=FAKES,
    fake_pbs="its server is its accounting",
    fake_miyabi="as PBS",
    fake_pjm="as PBS",
)
async def test_accounting_that_lags_does_no_harm(
    place: Place, hook: Hook, programs: Programs
) -> None:
    place.fake.inject(Fault.ACCOUNTING_LAGS, seconds=3.0)
    done = await hook.run(place.machine(), programs.working, outputs=["out"])
    assert_one_job(place, done.record, programs)


@on(places=("fake-pbs",))
async def test_jobs_that_an_answer_does_not_show_are_not_lost(
    place: Place, hook: Hook, programs: Programs
) -> None:
    place = place.at(lost_seconds=0.5)
    place.fake.inject(Fault.STATUS_IN_PART, times=1000)
    machine, program = place.machine(), programs.waiting
    with stepping(hook.step):
        async with anyio.create_task_group() as group:
            for number in range(3):
                one = partial(machine.run_job, program, [], name=f"job{number}", collect=Path)
                group.start_soon(one)
            await until_async(lambda: told_of_several(place) > 3, "several jobs were asked about")
            programs.go()
    assert {record.state for record in hook.records} == {JobState.COMPLETED}
    assert len(place.fake.jobs()) == 3


@on(places=("fake-pbs", "fake-pjm"))
async def test_what_a_scheduler_itself_has_to_say_is_shown_where_the_script_never_began(
    place: Place, hook: Hook, programs: Programs
) -> None:
    profile = place.fake.folder / "home" / ".bash_profile"
    profile.write_text('echo "your quota is used up" >&2\nexit 1\n')
    failed = await hook.failure(place.machine(), programs.working)
    assert failed.state == JobState.FAILED
    assert "your quota is used up" in str(failed)


# as Fujitsu's: what a rank writes is in a file of its own
FUJITSU_MPIEXEC = """
    [ "$1" = -n ] || exit 9
    ranks=$2; shift 2
    for rank in $(seq 0 $((ranks - 1))); do
      place="output.$PJM_JOBID/0/1"; mkdir -p "$place"
      PMIX_RANK=$rank "$@" > "$place/stdout.1.$rank" 2> "$place/stderr.1.$rank" || code=$?
    done
    exit ${code-0}
"""


@on(places=("fake-pjm",))
@pytest.mark.parametrize("code", [0, 3])
async def test_what_ranks_write_apart_is_part_of_a_job_s_output(
    place: Place, hook: Hook, programs: Programs, code: int
) -> None:
    mpiexec = programs.command(FUJITSU_MPIEXEC).executable_key
    place = place.at(executable_map={"mpiexec": mpiexec})
    machine = place.machine(mpiprocs=2, launcher="mpiexec")
    program = programs.command(
        f'echo "out of $PMIX_RANK"; echo "err of $PMIX_RANK" >&2; exit {code}'
    )
    if code:
        tail = str(await hook.failure(machine, program))
    else:
        tail = ((await hook.run(machine, program)).value / "output.log").read_text()
    for rank in (0, 1):
        assert f"out of {rank}" in tail and f"err of {rank}" in tail


@on(places=("fake-pjm",))
async def test_what_ranks_wrote_apart_before_they_were_killed_is_shown(
    place: Place, hook: Hook, programs: Programs
) -> None:
    mpiexec = programs.command(FUJITSU_MPIEXEC).executable_key
    place = place.at(executable_map={"mpiexec": mpiexec})
    machine = place.machine(mpiprocs=2, launcher="mpiexec")
    program = programs.command('echo "so far"; touch "$flags/began"; sleep 60')
    async with hook.asking(machine, program) as job:
        await until_async(lambda: programs.has_begun, "the first rank runs")
        place.fake.expire(await job.until_id())
        failed = await job.failure()
    assert failed.state == JobState.TIMEOUT
    assert "so far" in str(failed)


@on(places=("fake-pjm",))
async def test_a_job_that_the_machine_broke_is_done_by_another(
    place: Place, hook: Hook, programs: Programs
) -> None:
    async with hook.asking(place.machine(), programs.waiting) as job:
        await until_async(lambda: programs.has_begun, "the program runs")
        assert isinstance(place.fake, FakePJM)
        place.fake.break_down(await job.until_id())
        programs.go()
        done = await job.result()
    assert done.record.key.attempt == 1
    assert [record.state for record in hook.records][-1] == JobState.COMPLETED


@on(places=("fake-pjm-without-choice", "fake-wisteria"))
async def test_a_job_runs_where_pjstat_is_another(
    place: Place, hook: Hook, programs: Programs
) -> None:
    done = await hook.run(place.machine(), programs.working, outputs=["out"])
    assert_one_job(place, done.record, programs)


@on(places=("fake-pjm-without-choice", "fake-wisteria"))
async def test_a_job_fails_where_pjstat_is_another(
    place: Place, hook: Hook, programs: Programs
) -> None:
    failed = await hook.failure(place.machine(), programs.command("exit 3"))
    assert failed.state == JobState.FAILED
    assert "exit code 3" in str(failed)


@on(places=("fake-pjm-without-choice", "fake-wisteria"))
async def test_a_job_is_found_by_its_name_where_pjstat_is_another(
    place: Place, hook: Hook, programs: Programs
) -> None:
    place.fake.inject(Fault.SUBMIT_TIMES_OUT_THOUGH_ACCEPTED, seconds=0.1)
    done = await hook.run(place.machine(), programs.working, outputs=["out"])
    assert_one_job(place, done.record, programs)


@on(places=("fake-wisteria",))
@pytest.mark.parametrize("ended_by", ["its walltime", "pjdel", "its node"])
async def test_a_job_of_which_only_the_end_is_said_is_lost_unless_it_says_more_itself(
    place: Place, hook: Hook, programs: Programs, ended_by: str
) -> None:
    walltime = "00:00:01" if ended_by == "its walltime" else "00:10:00"
    async with hook.asking(place.machine(walltime=walltime), programs.waiting) as job:
        job_id = await job.until_id()
        await until_async(lambda: programs.has_begun, "the program runs")
        if ended_by == "pjdel":
            place.queue.cancel(job_id)
        if ended_by == "its node":
            place.queue.fail_node(job_id)
        failed = await job.failure()
    assert failed.state == JobState.LOST
    assert "that it is over, and not how" in str(failed)
    assert "its walltime, its memory or its node may have ended it" in str(failed)
    await until_async(lambda: place.queue.alive() == [], "nothing is left")


@on(places=("fake-miyabi-with-limits",))
async def test_more_jobs_than_a_user_may_have_wait_for_their_turn(
    place: Place, hook: Hook, programs: Programs
) -> None:
    machine, program = place.machine(), programs.command("echo done > out")
    with stepping(hook.step):
        async with anyio.create_task_group() as group:
            for number in range(6):
                one = partial(machine.run_job, program, [], name=f"job{number}", collect=Path)
                group.start_soon(one)
    assert len(hook.records) == 6
    assert {record.state for record in hook.records} == {JobState.COMPLETED}
    assert len(place.fake.jobs()) == 6


def told_of_several(place: Place) -> int:
    """Questions about several jobs that were answered."""
    asked = [call.argv for call in place.fake.commands() if call.argv[0] == "qstat"]
    return sum(len([word for word in argv if word[:1].isdigit()]) > 1 for argv in asked)


@on(places=("fake-pbs", "fake-miyabi"))
async def test_a_job_that_is_lost_was_cancelled_before_that(
    place: Place, hook: Hook, programs: Programs
) -> None:
    async with hook.asking(place.at(lost_seconds=0.5).machine(), programs.waiting) as job:
        await until_async(lambda: programs.has_begun, "the program runs")
        place.fake.forget(await job.until_id())
        assert (await job.failure()).state == JobState.LOST
    assert [call.argv[0] for call in place.fake.commands()].count("qdel") == 1
    assert [path.parent.name for path in hook.root.rglob("cancelled")] == ["program.0.job"]


@on_fakes
async def test_a_job_that_vanishes_is_lost_and_never_completed(
    place: Place, hook: Hook, programs: Programs
) -> None:
    place.fake.inject(Fault.JOB_VANISHES)
    failed = await hook.failure(place.at(lost_seconds=1.5).machine(), programs.working)
    assert failed.state == JobState.LOST
    assert "no command of the scheduler has known it" in str(failed)
    assert programs.worked == []


@on_fakes
async def test_a_forgotten_job_that_runs_on_is_lost_and_never_completed(
    place: Place, hook: Hook, programs: Programs
) -> None:
    async with hook.asking(place.at(lost_seconds=1.5).machine(), programs.waiting) as job:
        await until_async(lambda: programs.has_begun, "the program runs")
        place.fake.forget(await job.until_id())
        assert (await job.failure()).state == JobState.LOST


@on_fakes
async def test_a_forgotten_job_ended_as_it_says_itself(
    place: Place, hook: Hook, programs: Programs
) -> None:
    async with hook.asking(place.at(lost_seconds=3.0).machine(), programs.waiting) as job:
        await until_async(lambda: programs.has_begun, "the program runs")
        place.fake.forget(await job.until_id())
        programs.go()
        done = await job.result()
    assert done.record.outcome is not None
    assert done.record.outcome.exit_code == 0


@on_fakes
async def test_a_cancellation_that_fails_once_is_tried_again(
    place: Place, hook: Hook, programs: Programs
) -> None:
    place.fake.inject(Fault.CANCEL_FAILS)
    await cancelled(hook, place.machine(), programs.waiting, "a scope", lambda: programs.has_begun)
    await until_async(lambda: place.queue.alive() == [], "nothing is left")
    assert hook.record.state == "CANCELLED"


@on_fakes
async def test_a_job_that_runs_too_long_is_ended_though_its_cancellation_fails_once(
    place: Place, hook: Hook, programs: Programs
) -> None:
    place.fake.inject(Fault.CANCEL_FAILS)
    failed = await hook.failure(place.machine(run_timeout=0.5), programs.waiting)
    assert failed.state == JobState.TIMEOUT
    await until_async(lambda: place.queue.alive() == [], "nothing is left")


@on_fakes
async def test_a_run_that_is_cancelled_while_it_submits_leaves_no_job(
    place: Place, hook: Hook, programs: Programs
) -> None:
    place.fake.inject(Fault.SUBMIT_TIMES_OUT_THOUGH_ACCEPTED)
    await cancelled(hook, place.machine(), programs.waiting, "its task", lambda: programs.has_begun)
    await until_async(lambda: place.queue.alive() == [], "nothing is left")
    assert hook.record.state == "CANCELLED"


@on_fakes
async def test_a_job_that_is_accepted_after_its_run_was_cancelled_stops_itself(
    place: Place, hook: Hook, programs: Programs
) -> None:
    place.fake.inject(Fault.SUBMIT_ACCEPTED_LATE, seconds=2.0)
    place.fake.inject(Fault.SUBMIT_TIMES_OUT_THOUGH_ACCEPTED)

    def is_submitting() -> bool:
        return any(
            "sub" in call.argv[0] or call.argv[0] == "sbatch" for call in place.fake.commands()
        )

    await cancelled(hook, place.machine(), programs.working, "its task", is_submitting)
    await until_async(lambda: place.fake.jobs(), "the job was accepted")
    await until_async(lambda: place.queue.alive() == [], "nothing is left")
    assert programs.worked == []
    assert hook.record.state == "CANCELLED"


BEFALLS = [FakeBatchSystem.fail_node, FakeBatchSystem.preempt, FakeBatchSystem.requeue]


@on(places=FAKES, fake_wisteria=UNSAID)
@pytest.mark.parametrize("befalls", BEFALLS, ids=lambda befalls: befalls.__name__)
async def test_whatever_befalls_a_running_job_the_work_is_done(
    place: Place,
    hook: Hook,
    programs: Programs,
    befalls: Callable[[FakeBatchSystem, str], None],
) -> None:
    slow_at_first = programs.command(
        '[ -e "$flags/again" ] || { touch "$flags/again"; sleep 60; }; echo done > out'
    )
    async with hook.asking(place.machine(), slow_at_first, outputs=["out"]) as job:
        await until_async((programs.folder / "again").exists, "the work has begun")
        await anyio.to_thread.run_sync(befalls, place.fake, await job.until_id())
        done = await job.result()
    assert (done.value / "out").read_text() == "done\n"


# what a person sees


@everywhere
async def test_all_output_is_kept(place: Place, hook: Hook, programs: Programs) -> None:
    noisy = programs.command("for i in {1..2000}; do echo line $i; echo error $i >&2; done")
    done = await hook.run(place.machine(), noisy)
    said = (done.value / "output.log").read_text().splitlines()
    assert [line for line in said if line.startswith("line")] == [
        f"line {number}" for number in range(1, 2001)
    ]
    assert sum(line.startswith("error") for line in said) == 2000


@everywhere
async def test_output_is_shown_while_the_job_runs(
    place: Place, hook: Hook, programs: Programs, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="qcsc_loop.hooks")
    talks = programs.command('echo first word\nuntil [ -e "$flags/go" ]; do sleep 0.02; done')
    async with hook.asking(place.machine(), talks) as job:
        await until_async(
            lambda: "program: first word" in caplog.messages or job.task.done(), "it is shown"
        )
        assert not job.task.done()
        programs.go()
        await job.result()
    assert caplog.messages.count("program: first word") == 1


@everywhere
async def test_what_a_job_took_is_known_in_the_end(
    place: Place, hook: Hook, programs: Programs
) -> None:
    async with measuring(hook.ledger):
        await hook.run(place.machine(ompthreads=2), programs.working)
    metrics = hook.record.metrics
    if place.name == "fake-wisteria":  # whose list has no time of a submission
        assert metrics.submitted is None
    else:
        assert metrics.queue_seconds is not None and metrics.queue_seconds >= 0
    assert metrics.run_seconds is not None and metrics.run_seconds >= 0
    # this machine is not somebody's to account for
    assert metrics.nodes == (None if place.name == "local" else 1)
    # this machine has no share for a job, pjstat does not say, and on Miyabi a job does not
    cpus = {"local": None, "fake-pjm": None, "fake-wisteria": None, "fake-miyabi": 1}
    assert metrics.cpus == cpus.get(place.name, 2)


@on(places=("slurm",))
async def test_what_memory_a_job_took_is_known_in_the_end(
    place: Place, hook: Hook, programs: Programs
) -> None:
    greedy = programs.command(
        "import time\nheld = b'x' * 100_000_000\ntime.sleep(3)", interpreter=sys.executable
    )
    async with measuring(hook.ledger):
        await hook.run(place.machine(), greedy)
    largest = hook.record.metrics.max_rss_bytes
    assert largest is not None
    assert 100_000_000 <= largest <= 300_000_000


@in_a_queue
async def test_what_becomes_of_a_job_is_told(place: Place, hook: Hook, programs: Programs) -> None:
    async with hook.asking(place.holding(), programs.waiting) as job:
        job_id = await job.until_id()
        place.queue.release(job_id)
        await job.until_told(JobState.RUNNING)
        programs.go()
        await job.result()
    told = list(dict.fromkeys(hook.states))
    assert [told[0], told[-1]] == [JobState.PENDING, JobState.COMPLETED]


# many


@in_a_queue
async def test_many_jobs_of_one_hook_are_all_done_with_few_commands(
    place: Place, hook: Hook, programs: Programs, starts: Callable[[], list[float]]
) -> None:
    many = 20 if place.name == "slurm" else 12
    program = programs.command('printf %s "$1" > out')
    machine = place.machine()
    found: dict[str, str] = {}

    async def ask(label: str) -> None:
        with labelled(label):
            found[label] = await machine.run(
                program, [label], outputs=["out"], collect=lambda job: (job / "out").read_text()
            )

    with anyio.fail_after(LONGEST_SECONDS), stepping(hook.step):
        async with anyio.create_task_group() as group:
            for number in range(many):
                group.start_soon(ask, f"part-{number}")
    assert found == {f"part-{number}": f"part-{number}" for number in range(many)}
    assert len({record.job_id for record in hook.records}) == many
    assert_few(starts())


A_SECOND = 4
SLACK = 0.5  # seconds by which a busy machine delays one process more than another


def assert_few(starts: list[float]) -> None:
    """No second had more commands than a login node can be asked to bear."""
    for first, later in zip(starts, starts[2 * A_SECOND :], strict=False):
        assert later - first > 2 - SLACK
    assert len(starts) <= A_SECOND * (starts[-1] - starts[0] + 1 + SLACK)


@pytest.fixture
def starts(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], list[float]]:
    """When the scheduler's commands were started so far."""
    if place.name != "slurm":
        return lambda: [call.time for call in place.fake.commands()]
    log, shims = tmp_path / "starts", tmp_path / "shims"
    shims.mkdir()
    for name in ("sbatch", "squeue", "sacct", "scancel"):
        shim = shims / name
        shim.write_text(f'#!/bin/bash\necho $EPOCHREALTIME >> {log}\nexec {which(name)} "$@"\n')
        shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{shims}{os.pathsep}{os.environ['PATH']}")
    return lambda: sorted(map(float, log.read_text().split()))


# a driver that is gone


@everywhere
async def test_reaping_ends_the_jobs_of_a_driver_that_was_killed_and_nothing_else(
    place: Place, hook: Hook, programs: Programs, tmp_path: Path
) -> None:
    journal = Journal(DirectoryStore(tmp_path / "driven"), "killed")
    other = programs.command('touch "$flags/other"; until [ -e "$flags/go" ]; do sleep 0.02; done')
    async with hook.asking(place.machine(), other) as others:
        await until_async(lambda: (programs.folder / "other").exists(), "another run's job runs")
        driven = Driven(machine=place.machine(), command=programs.waiting)
        await until_killed(driven, programs, journal)
        told: list[JobRecord] = []
        with anyio.fail_after(LONGEST_SECONDS):
            left = await reap(journal, lambda record, _trouble: told.append(record))
        assert left == []
        assert not others.task.done()
        mine = await others.until_id()
        await until_async(lambda: set(place.queue.alive()) <= {mine} or place.name == "local", "it")
        programs.go()
        await others.result()
    first, second = job_records(journal.store, "killed")
    assert [record.key for record in told] == [second.key]
    assert (first.state, second.state) == ("COMPLETED", "CANCELLED")
    assert len(programs.worked) == 1


@everywhere
async def test_a_run_whose_driver_was_killed_goes_on_with_its_job(
    place: Place, programs: Programs, tmp_path: Path
) -> None:
    journal = Journal(DirectoryStore(tmp_path / "driven"), "killed")
    driven = Driven(machine=place.machine(), command=programs.waiting)
    await until_killed(driven, programs, journal)
    programs.go()
    with anyio.fail_after(LONGEST_SECONDS):
        await driven.run(store=journal.store, run_id="killed", stop=MaxIterations(1))
    # a child of the driver dies with it, and is had again
    assert len(programs.worked) == (2 if place.name == "local" else 1)


async def until_killed(driven: Driven, programs: Programs, journal: Journal) -> None:
    """A driver, from its start until its job runs, and its death."""
    store = journal.store
    assert isinstance(store, DirectoryStore)
    program = [sys.executable, str(Path(__file__).with_name("driven_machine.py"))]
    words = [*program, driven.model_dump_json(), str(store.root), journal.run_id]
    driver = await anyio.to_thread.run_sync(subprocess.Popen, words)
    try:
        await until_async(
            lambda: programs.has_begun or driver.poll() is not None, "the driver's job runs"
        )
        assert driver.poll() is None
        # its id is in the ledger, or what is reaped is not there yet
        await until_async(
            lambda: job_records(store, journal.run_id)[-1].job_id, "its id is written down"
        )
    finally:
        driver.kill()
        driver.wait(DEADLINE_SECONDS)
