"""What other orchestrators of such jobs are known to get wrong, and what happens here instead.

The numbers are those of the list of defects that was kept when this project was begun; those that
are missing are not about jobs on machines.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import numpy as np
import pytest

from hpc.places import Hook, Place, Programs  # noqa: TID251  # the folder of these tests
from hpc.schedulers.test_refusals import EXAMPLES  # noqa: TID251  # the same
from ordeals.mortal_driver import Orders
from qcsc_algorithms.bitcount.bitcount import COUNTS, PROGRAM
from qcsc_hpc.machine import HPCMachine, LocalMachine
from qcsc_hpc.profiles import Command, ExecutionProfile, HPCProfile
from qcsc_hpc.schedulers import scheduler_for
from qcsc_hpc.schedulers.scheduler import Answer, Status
from qcsc_hpc.script.job_folder import ExitRecord
from qcsc_hpc.sites.verdict import Sighting, reach_verdict
from qcsc_hpc.testing import FakePJM, Fault
from qcsc_loop.errors import JobFailed, JobRefused
from qcsc_loop.exactly_once.measuring import measuring
from qcsc_loop.jobs.key import JobKey
from qcsc_loop.jobs.ledger import job_records
from qcsc_loop.jobs.outcome import JobState
from qcsc_loop.rules.stop import MaxIterations
from qcsc_loop.steps.step import stepping
from qcsc_loop.store.directory import DirectoryStore
from system.job_toys import Chain
from thorough import first
from waiting import line_count, until, until_async

pytestmark = pytest.mark.anyio

TESTS = Path(__file__).parents[1]
TRANSCRIPTS = Path(__file__).with_name("schedulers") / "pbs_transcripts"
SLURM, PBS, PJM = (
    scheduler_for(HPCProfile.model_validate({"scheduler": name}))
    for name in ("slurm", "pbs", "pjm")
)

on_slurm = pytest.mark.parametrize("place", ["fake-slurm"], indirect=True)
on_pbs = pytest.mark.parametrize("place", ["fake-pbs"], indirect=True)
on_pjm = pytest.mark.parametrize("place", ["fake-pjm"], indirect=True)
in_a_queue = pytest.mark.parametrize("place", ["fake-slurm", "fake-pbs", "fake-pjm"], indirect=True)
anywhere = pytest.mark.parametrize("place", ["local", "fake-slurm"], indirect=True)


def transcript(name: str) -> Answer:
    """What qstat of a real OpenPBS said."""
    text = (TRANSCRIPTS / f"{name}.txt").read_text()
    out = text.partition("# --- stdout\n")[2].partition("# --- stderr\n")[0] or text
    return Answer(["qstat", "-x", "-f", "-F", "json"], 0, out, "")


def accounted(state: str, exit_code: str = "0:0") -> Status:
    """The status of a job of which sacct says this."""
    line = f"12|{state}|{exit_code}|1800000000|1800000001|1800000002|1|1|name\n"
    return SLURM.histories(Answer(["sacct"], 0, line, ""))["12"]


async def in_iteration(number: int, hook: Hook, place: Place, program: Command) -> Path:
    """The folder of an iteration's job, which leaves the file `out`."""
    folder = hook.root / str(number)
    folder.mkdir(parents=True)
    with stepping(replace(hook.step, iteration=number, make_folder=lambda: folder)):
        return await place.machine().run(program, [], outputs=["out"], collect=Path)


# 1: exit code 0 of a job that did not end well


@on_slurm
async def test_defect_01_a_job_that_timed_out_is_not_a_success_though_its_exit_code_is_0(
    place: Place, hook: Hook, programs: Programs
) -> None:
    async with hook.asking(place.machine(), programs.waiting) as job:
        job_id = await job.until_id()
        await until_async(lambda: programs.has_begun, "it runs")
        place.queue.expire(job_id)
        failure = await job.failure()
    assert failure.state == "TIMEOUT"
    words = ("sacct", "-XnP", f"--jobs={job_id}", "--format=State,ExitCode")
    until(lambda: place.fake.run(*words).stdout == "TIMEOUT|0:0\n", "accounting says TIMEOUT, 0")


@pytest.mark.parametrize(
    "words",
    [
        "TIMEOUT",
        "CANCELLED by 1000",
        "CANCELLED",
        "OUT_OF_MEMORY",
        "NODE_FAIL",
        "PREEMPTED",
        "BOOT_FAIL",
        "DEADLINE",
    ],
)
@pytest.mark.parametrize("record", [None, ExitRecord(job="12", exit_code=0)], ids=["", "with 0"])
def test_defect_01_no_other_end_is_a_success_either(words: str, record: ExitRecord | None) -> None:
    outcome = reach_verdict(Sighting(accounted(words), record), lost_seconds=60)
    assert outcome is not None
    assert outcome.state not in (JobState.COMPLETED, JobState.LOST)


def test_defect_01_a_pbs_job_that_was_deleted_before_its_start_is_not_a_success() -> None:
    answer = transcript("qstat_x_f_json_deleted_held")
    assert "Exit_status" not in answer.out
    (status,) = PBS.statuses(answer).values()
    outcome = reach_verdict(Sighting(status), lost_seconds=60)
    assert outcome is not None
    assert (outcome.state, outcome.exit_code) == (JobState.CANCELLED, None)


@in_a_queue
async def test_defect_01_nor_is_one_that_somebody_took_back(
    place: Place, hook: Hook, programs: Programs
) -> None:
    async with hook.asking(place.holding(), programs.working) as job:
        job_id = await job.until_id()
        await anyio.to_thread.run_sync(place.queue.cancel, job_id)
        assert (await job.failure()).state == "CANCELLED"
    assert programs.worked == []


# 2: a cancellation that is swallowed


@in_a_queue
async def test_defect_02_a_cancellation_is_raised_and_ends_the_job(
    place: Place, hook: Hook, programs: Programs
) -> None:
    async def limited() -> None:
        async with asyncio.timeout(None) as limit:
            async with hook.asking(place.machine(), programs.waiting) as job:
                await until_async(lambda: programs.has_begun, "it runs")
                limit.reschedule(asyncio.get_running_loop().time())
                await job.task

    with pytest.raises(TimeoutError):
        await limited()
    assert place.queue.alive() == []
    assert hook.record.state == "CANCELLED"


# 3: a driver that a signal does not end, and a job that nobody finds again


@in_a_queue
@pytest.mark.parametrize("number", first(1, [signal.SIGTERM, signal.SIGKILL]))
def test_defect_03_a_signal_ends_the_driver_and_the_next_one_finds_its_job(
    place: Place, tmp_path: Path, number: signal.Signals
) -> None:
    files = {"trace": str(tmp_path / "trace"), "gate": str(tmp_path / "gate")}
    parameters = {**files, "machine": place.machine().model_dump(mode="json")}
    chain = f"{TESTS / 'system' / 'job_toys.py'}:Chain"
    orders = Orders(str(tmp_path / "store"), "killed", chain, parameters, limit=1)
    words = [
        sys.executable,
        str(TESTS / "ordeals" / "mortal_driver.py"),
        json.dumps(dataclasses.asdict(orders)),
    ]
    with subprocess.Popen(words) as first:
        until(lambda: line_count(tmp_path / "trace") == 1 or first.poll() is not None, "it runs")
        first.send_signal(number)
    assert first.returncode == -number
    (job_id,) = place.queue.alive()
    (tmp_path / "gate").touch()
    assert subprocess.run(words, stdout=subprocess.DEVNULL, check=False).returncode == 0
    (record,) = job_records(DirectoryStore(tmp_path / "store"), "killed")
    assert (record.job_id, record.state) == (job_id, "COMPLETED")
    assert place.queue.accepted(record.key) == [job_id]
    assert line_count(tmp_path / "trace") == 1


# 4: limits that count the wrong time, and leave the job


@in_a_queue
async def test_defect_04_time_in_the_queue_is_not_time_to_run(
    place: Place, hook: Hook, programs: Programs
) -> None:
    limit = 3.0
    async with hook.asking(place.holding(run_timeout=limit), programs.working) as job:
        job_id = await job.until_id()
        (waiting,) = [known for known in place.fake.jobs() if known.id == job_id]
        await until_async(lambda: time.time() > waiting.submitted + limit, "it waited for longer")
        place.queue.release(job_id)
        await job.result()


@in_a_queue
async def test_defect_04_a_job_beyond_its_limit_does_not_stay(
    place: Place, hook: Hook, programs: Programs
) -> None:
    failure = await hook.failure(place.machine(run_timeout=0.1), programs.waiting)
    assert failure.state == "TIMEOUT"
    assert place.queue.alive() == []


# 5: waits without an end


@on_pjm
async def test_defect_05_a_pjm_job_that_is_rejected_is_over(
    place: Place, hook: Hook, programs: Programs
) -> None:
    system = place.fake
    assert isinstance(system, FakePJM)
    async with hook.asking(place.holding(), programs.working) as job:
        await anyio.to_thread.run_sync(system.reject, await job.until_id())
        assert (await job.failure()).state == "REJECTED"


@on_pjm
async def test_defect_05_a_pjm_job_that_the_machine_broke_is_over_and_done_again(
    place: Place, hook: Hook, programs: Programs
) -> None:
    system = place.fake
    assert isinstance(system, FakePJM)
    async with hook.asking(place.holding(), programs.working) as job:
        await anyio.to_thread.run_sync(system.break_down, await job.until_id())
        await job.result()
    assert [record.state for record in hook.records] == ["NODE_FAIL", "COMPLETED"]


@pytest.mark.parametrize("job_id", ["12.miyabi-pbs01", "12.pbs.site.example.org", "12[].vm", "12"])
def test_defect_05_a_pbs_id_may_have_dashes_dots_and_brackets(job_id: str) -> None:
    assert PBS.submitted(Answer(["qsub"], 0, f"{job_id}\n", "")) == job_id
    assert job_id in PBS.status([job_id])
    said = transcript("qstat_x_f_json_exit0")
    renamed = Answer(said.argv, 0, said.out.replace('"16.vm"', f'"{job_id}"'), "")
    assert PBS.statuses(renamed)[job_id].state is JobState.COMPLETED


@pytest.mark.parametrize(
    "words",
    [
        "CANCELLED by 1000",
        "OUT_OF_MEMORY",
        "PREEMPTED",
        "BOOT_FAIL",
        "DEADLINE",
        "NODE_FAIL",
        "TIMEOUT",
        "FAILED",
    ],
)
def test_defect_05_every_way_to_end_is_an_end(words: str) -> None:
    assert accounted(words).state.final


@on_slurm
async def test_defect_05_a_job_ends_though_accounting_is_away(
    place: Place, hook: Hook, programs: Programs
) -> None:
    place.fake.inject(Fault.STATUS_FAILS, times=1000, command="sacct")
    await hook.run(place.machine(), programs.working)
    assert hook.record.state == "COMPLETED"


# 6: one error of a status command


@in_a_queue
@pytest.mark.parametrize("fault", [Fault.STATUS_FAILS, Fault.STATUS_GARBAGE])
async def test_defect_06_a_question_that_fails_neither_fails_nor_orphans_the_job(
    place: Place, hook: Hook, programs: Programs, fault: Fault
) -> None:
    async with hook.asking(place.machine(), programs.waiting) as job:
        job_id = await job.until_id()
        place.fake.inject(fault, times=2)
        await until_async(lambda: programs.has_begun, "it runs")
        programs.go()
        assert (await job.result()).record.job_id == job_id
    assert place.queue.accepted(hook.record.key) == [job_id]


# 7: a registry that submits again, and believes old files


@in_a_queue
async def test_defect_07_a_job_that_was_accepted_without_an_answer_is_not_submitted_again(
    place: Place, hook: Hook, programs: Programs
) -> None:
    place.fake.inject(Fault.SUBMIT_TIMES_OUT_THOUGH_ACCEPTED)
    await hook.run(place.at(command_timeout=2.0).machine(), programs.working)
    assert place.queue.accepted(hook.record.key) == [hook.job_id]
    assert len(programs.worked) == 1


@on_slurm
async def test_defect_07_an_output_of_before_the_jobs_start_is_not_its_result(
    place: Place, hook: Hook, programs: Programs
) -> None:
    only_at_first = programs.command(
        'if [ -e "$flags/began" ]; then exit 0; fi\n'
        'echo old > out; touch "$flags/began"; while true; do sleep 0.02; done'
    )
    async with hook.asking(place.machine(), only_at_first, outputs=["out"]) as job:
        job_id = await job.until_id()
        await until_async(lambda: programs.has_begun, "it has an output")
        place.queue.requeue(job_id)
        failure = await job.failure()
    assert failure.state == "FAILED"
    assert "out is older than the job's start" in str(failure)


@pytest.mark.parametrize("words", ["FAILED", "NODE_FAIL", "TIMEOUT"])
def test_defect_07_a_later_failure_is_not_ignored(words: str) -> None:
    done = ExitRecord(job="12", exit_code=0)
    assert reach_verdict(Sighting(Status(JobState.RUNNING), done), lost_seconds=60) is None
    outcome = reach_verdict(Sighting(accounted(words, "1:0"), done), lost_seconds=60)
    assert outcome is not None
    assert outcome.state.value == words


# 8: words that the shell takes apart

NASTY = [
    "two words",
    "$(touch hacked)",
    "`touch hacked`",
    "; touch hacked",
    "$HOME",
    'a"b',
    "it's",
    "*",
    "",
    "back\\slash",
    "-n",
]


@pytest.mark.guarantee("S16")
@anywhere
async def test_defect_08_arguments_run_no_commands(
    place: Place, hook: Hook, programs: Programs
) -> None:
    shows = programs.command("printf '%s\\0' \"$@\" > out; ls > files")
    done = await hook.run(place.machine(), shows, NASTY, outputs=["out"])
    assert (done.value / "out").read_text().split("\0")[:-1] == NASTY
    assert "hacked" not in (done.value / "files").read_text().split()


@pytest.mark.guarantee("S16")
@anywhere
async def test_defect_08_values_of_the_environment_are_not_expanded(
    place: Place, hook: Hook, programs: Programs
) -> None:
    values = {f"VALUE{number}": word for number, word in enumerate(NASTY)}
    shows = programs.command(
        f"for n in $(seq 0 {len(NASTY) - 1}); do "
        "name=VALUE$n; printf '%s\\0' \"${!name}\"; done > out"
    )
    done = await hook.run(place.machine(environments=values), shows, outputs=["out"])
    assert (done.value / "out").read_text().split("\0")[:-1] == NASTY


@anywhere
async def test_defect_08_a_folder_may_have_blanks_and_quotes(
    place: Place, programs: Programs, tmp_path: Path
) -> None:
    elsewhere = Hook(tmp_path / 'a folder\'s "name" $HOME')
    done = await elsewhere.run(place.machine(), programs.working, outputs=["out"])
    assert (done.value / "out").read_text() == "done\n"


# 9: settings that are ignored without a word

HOW = {
    "num_nodes": 3,
    "mpiprocs": 5,
    "ompthreads": 7,
    "walltime": "01:02:03",
    "launcher": "mpirun",
    "mpi_options": ["--one-option"],
    "modules": ["one-module"],
    "pre_commands": ["one-command"],
    "environments": {"ONE_NAME": "one-value"},
    "memory": "11G",
    "gpus_per_node": 2,
    "exclusive": True,
}
WHERE = {
    "queue_cpu": "one-queue",
    "project_cpu": "one-project",
    "qpu": "one-qpu",
    "resources": ["one-resource"],
    "chunk": ["mpiprocs"],
    "place": "one-place",
    "reservation": "one-reservation",
    "constraint": "one-constraint",
    "extra_directives": ["--one-directive"],
    "gfscache": "/one-cache",
    "spack_modules": ["one-package"],
    "spack_setup": "/one/setup.sh",
    "mpi_options_for_pjm": ["one=option"],
    "executable_map": {"mpiexec": "/one/mpiexec"},
}
# what the driver itself minds, what only names something, and what stands for other settings
OF_THE_DRIVER = {
    "array_size",
    "profile_name",
    "command_name",
    "queue_timeout",
    "run_timeout",
    "resubmit",
    "poll_seconds",
    "command_timeout",
    "settle_seconds",
    "patience_seconds",
    "not_now_seconds",
    "pass_variables",
    "lost_seconds",
    "preset",
    "scheduler",
    "dialect",
}
REFUSED = {
    "local": {
        "num_nodes",
        "memory",
        "gpus_per_node",
        "exclusive",
        "mpi_options_for_pjm",
        "gfscache",
        "queue_cpu",
        "project_cpu",
        "qpu",
        "resources",
        "chunk",
        "place",
        "reservation",
        "constraint",
        "extra_directives",
    },
    "slurm": {"gfscache", "mpi_options_for_pjm", "chunk", "place"},
    "pbs": {"gfscache", "mpi_options_for_pjm", "reservation", "constraint"},
    "pjm": {"memory", "chunk", "place", "reservation", "constraint"},
}
# what needs no words in a script: the driver ends a job there, nobody shares a node there
WITHOUT_WORDS = {("walltime", "local"), ("exclusive", "pjm")}
# words about another setting, or its counterpart for the other resource class
BY_OTHERS = {"resource_class", "queue_gpu", "project_gpu", "project_directive", "qpu_directive"}
KEY = JobKey(run_id="run", run_uid="uid", iteration=1, step="evaluate", name="program")


def script(scheduler: str, how: dict[str, Any], where: dict[str, Any]) -> str:
    profile = {"launcher": "mpiexec", "mpiprocs": 2, **how}
    machine = HPCMachine(
        hpc_profile=HPCProfile.model_validate({"scheduler": scheduler, **where}),
        execution_profile=ExecutionProfile.model_validate(profile),
    )
    return machine.script(KEY, Path("/folder"), machine.shaped(None), ["program"])


@pytest.mark.parametrize("scheduler", ["local", "slurm", "pbs", "pjm"])
@pytest.mark.parametrize("field", [*HOW, *WHERE])
def test_defect_09_every_setting_is_honoured_or_refused_by_its_name(
    scheduler: str, field: str
) -> None:
    how, where = ({name: group[name] for name in group if name == field} for group in (HOW, WHERE))
    if field in REFUSED[scheduler]:
        with pytest.raises(JobRefused, match="Nothing was submitted") as refused:
            script(scheduler, how, where)
        assert refused.value.field == field
    else:
        unchanged = script(scheduler, how, where) == script(scheduler, {}, {})
        assert unchanged == ((field, scheduler) in WITHOUT_WORDS)


async def test_defect_09_a_walltime_holds_where_no_scheduler_minds_it(
    hook: Hook, programs: Programs
) -> None:
    local = HPCProfile(scheduler="local")
    machine = HPCMachine(hpc_profile=local, execution_profile=ExecutionProfile(walltime="00:01"))
    assert (await hook.failure(machine, programs.waiting)).state == "TIMEOUT"


def test_defect_09_no_setting_is_forgotten_here() -> None:
    fields = {*ExecutionProfile.model_fields, *HPCProfile.model_fields}
    # those that came later are tried beside each other in schedulers/test_refusals.py
    assert fields == {*HOW, *WHERE} | OF_THE_DRIVER | BY_OTHERS | EXAMPLES.keys()


@pytest.mark.parametrize("scheduler", ["slurm", "pbs", "pjm"])
def test_defect_09_a_machine_without_a_qpu_is_not_asked_for_one(scheduler: str) -> None:
    assert "qpu" not in script(scheduler, {}, {}).lower()


# 10: reporting that fails a job


@on_slurm
@pytest.mark.parametrize("fault", [Fault.STATUS_FAILS, Fault.STATUS_GARBAGE])
async def test_defect_10_figures_that_cannot_be_had_fail_no_job_and_repeat_none(
    place: Place, hook: Hook, programs: Programs, fault: Fault
) -> None:
    place.fake.inject(fault, times=1000, command="sacct")
    async with measuring(hook.ledger):
        await hook.run(place.machine(), programs.working)
    assert hook.record.state == "COMPLETED"
    assert len(programs.worked) == 1


# 11: logs


@anywhere
async def test_defect_11_the_end_of_a_long_log_is_told_where_the_error_is(
    place: Place, hook: Hook, programs: Programs
) -> None:
    talks = programs.command("seq 100000; echo 'it broke here' >&2; exit 3")
    failure = await hook.failure(place.machine(), talks)
    assert failure.tail.endswith("100000\nit broke here\n")
    assert "it broke here" in str(failure)
    log = Path(hook.record.intent.folder) / "output.log"
    assert log.read_text().startswith("1\n2\n")


@anywhere
async def test_defect_11_it_is_shown_while_the_job_runs_and_stderr_is_no_error(
    place: Place, hook: Hook, programs: Programs, caplog: pytest.LogCaptureFixture
) -> None:
    talks = programs.command(
        'echo "so far so good" >&2; until [ -e "$flags/go" ]; do sleep 0.02; done'
    )
    with caplog.at_level(logging.INFO, "qcsc_loop.hooks"):
        async with hook.asking(place.machine(), talks) as job:
            await until_async(lambda: "so far so good" in caplog.text or job.task.done(), "shown")
            assert not job.task.done()
            programs.go()
            await job.result()
    assert {record.levelname for record in caplog.records if "so far" in record.message} == {"INFO"}


@anywhere
async def test_defect_11_another_attempt_does_not_overwrite_the_log_of_the_first(
    place: Place, hook: Hook, programs: Programs
) -> None:
    talks = programs.command(
        'if [ -e "$flags/began" ]; then echo second; exit 0; fi\n'
        'touch "$flags/began"; echo first; exit 1'
    )
    await hook.failure(place.machine(), talks)
    await hook.run(place.machine(), talks)
    logs = [(Path(job.intent.folder) / "output.log").read_text() for job in hook.records]
    assert logs == ["first\n", "second\n"]


# 15: a cache that does not know the iteration


@anywhere
async def test_defect_15_the_next_iteration_is_another_job_with_other_bits(
    place: Place, hook: Hook, programs: Programs
) -> None:
    draws = programs.command("echo $RANDOM$RANDOM$RANDOM > out")
    found = []
    for iteration in (1, 2):
        folder = await in_iteration(iteration, hook, place, draws)
        found.append((folder / "out").read_text())
    assert [job.key.iteration for job in hook.records] == [1, 2]
    assert found[0] != found[1]


@anywhere
async def test_defect_15_a_job_that_failed_is_not_asked_for_for_ever(
    place: Place, hook: Hook, programs: Programs
) -> None:
    mended = programs.command('[ -e "$flags/go" ] && echo done > out')
    await hook.failure(place.machine(), mended, outputs=["out"])
    programs.go()
    await hook.run(place.machine(), mended, outputs=["out"])
    first, second = hook.records
    assert (first.state, second.state) == ("FAILED", "COMPLETED")
    assert first.job_id != second.job_id


# 17: shots that are lost


async def test_defect_17_no_shot_is_lost_where_ranks_do_not_divide_them(
    hook: Hook, tmp_path: Path
) -> None:
    shots = np.arange(100_003, dtype=np.uint32).astype(">u2").view(np.uint8).reshape(-1, 2) & [
        3,
        255,
    ]
    source = tmp_path / "shots.npy"
    np.save(source, shots.astype(np.uint8))
    done = await hook.run(LocalMachine(ranks=8), PROGRAM, ["10", source, COUNTS], outputs=[COUNTS])
    with np.load(done.value / COUNTS) as counts:
        assert counts["counts"].sum() == 100_003


async def test_defect_17_a_shot_that_has_more_bits_than_declared_is_not_dropped_in_silence(
    hook: Hook, tmp_path: Path
) -> None:
    source = tmp_path / "shots.npy"
    np.save(source, np.full((3, 2), 255, np.uint8))
    words = ["10", source, COUNTS]
    failure = await hook.failure(LocalMachine(ranks=1), PROGRAM, arguments=words, outputs=[COUNTS])
    assert "a shot has a bit set above the 10 declared" in failure.tail


async def test_defect_17_a_missing_input_is_told_before_anything_is_submitted(
    hook: Hook, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError, match="no-shots"):
        await hook.run(LocalMachine(ranks=1), PROGRAM, ["10", tmp_path / "no-shots.npy", COUNTS])
    assert hook.records == []


# 18: programs that fail with exit code 0


@in_a_queue
@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("exit 0", "it left no out"),
        (": > out", "out is empty"),
    ],
    ids=["no output", "an empty one"],
)
async def test_defect_18_exit_code_0_without_a_good_result_is_a_failure(
    place: Place, hook: Hook, programs: Programs, body: str, says: str
) -> None:
    def read(folder: Path) -> int:
        return int((folder / "out").read_text())

    program = programs.command(body)
    failure = await hook.failure(place.machine(), program, outputs=["out"], collect=read)
    assert failure.state == "FAILED"
    assert says in str(failure)


@in_a_queue
async def test_defect_18_the_result_of_the_iteration_before_is_not_taken_for_this_ones(
    place: Place, hook: Hook, programs: Programs
) -> None:
    only_once = programs.command(
        'if [ -e "$flags/began" ]; then exit 0; fi; touch "$flags/began"; echo 1 > out'
    )
    await in_iteration(1, hook, place, only_once)
    with pytest.raises(JobFailed, match="it left no out"):
        await in_iteration(2, hook, place, only_once)


# 19: jobs' folders


@anywhere
async def test_defect_19_a_job_that_ended_well_keeps_its_files(
    place: Place, hook: Hook, programs: Programs
) -> None:
    talks = programs.command("echo what it did; echo done > out")
    folder = (await hook.run(place.machine(), talks, outputs=["out"])).value
    assert (folder / "output.log").read_text() == "what it did\n"
    assert (folder / "job.sh").is_file()


async def test_defect_19_but_not_for_ever(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    await Chain().run(store=store, run_id="kept", keep=2, stop=MaxIterations(5))
    left = sorted(path.name for path in (tmp_path / "kept" / "work").iterdir())
    assert left == ["00000004-evaluate", "00000005-evaluate"]


# 20: setting up


async def test_defect_20_a_first_job_needs_no_setting_no_server_and_no_account(
    hook: Hook, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    echo = Command(command_name="hello", executable_key="echo", default_args=["hello"])
    done = await hook.run(LocalMachine(ranks=1), echo)
    assert (done.value / "output.log").read_text() == "hello\n"


def test_defect_20_a_machine_is_said_in_one_place_and_checked_there() -> None:
    machine = HPCMachine.model_validate({"hpc_profile": {"preset": "miyabi"}, "type": "hpc"})
    assert machine.where.scheduler == "pbs"
    with pytest.raises(
        ValueError, match=r"did you mean 'miyabi'\?\); known: abci-3, frontier, fugaku"
    ):
        HPCProfile.model_validate({"preset": "miyabbi"})
