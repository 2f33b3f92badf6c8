"""A bad end that the scheduler has no helpful words for has ours, and they name the folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpc.places import Hook, Place, Programs  # noqa: TID251  # the folder of these tests
from qcsc_hpc.machine import LocalMachine
from qcsc_hpc.profiles import Command
from qcsc_hpc.schedulers.scheduler import Status
from qcsc_hpc.script.job_folder import (
    DUPLICATE_EXIT,
    FOLDER_EXIT,
    UNWRITABLE_EXIT,
    ExitRecord,
    JobFolder,
)
from qcsc_hpc.sites.explaining import explain
from qcsc_hpc.sites.verdict import Sighting, reach_verdict
from qcsc_loop.jobs.outcome import JobOutcome, JobState
from waiting import until_async

FOLDER = JobFolder(Path("/nfs/store/run/job"))
S = JobState


def reason(code: int | None = None, said: str = "") -> str:
    return explain(JobOutcome(state=S.FAILED, exit_code=code, reason=said), FOLDER).reason


def test_a_store_that_the_nodes_do_not_see_is_named() -> None:
    assert reason(FOLDER_EXIT).startswith(
        f"the nodes do not see {FOLDER.path}: the store (--store)"
    )


def test_a_store_that_the_nodes_cannot_write_is_named() -> None:
    assert f"cannot write {FOLDER.path}, which is read-only or full" in reason(UNWRITABLE_EXIT)


def test_slurm_s_launch_failure_is_put_in_words() -> None:
    said = reason(15, "JobLaunchFailure")
    assert f"the nodes do not see, or cannot write, {FOLDER.path}" in said
    assert said.endswith("(JobLaunchFailure)")


@pytest.mark.parametrize("code", [DUPLICATE_EXIT, 1, 137])
def test_another_exit_code_says_nothing_of_the_folder(code: int) -> None:
    assert reason(code) == ""


@pytest.mark.parametrize("state", [state for state in S if state is not S.FAILED])
def test_what_did_not_fail_is_not_explained(state: JobState) -> None:
    outcome = JobOutcome(state=state, exit_code=FOLDER_EXIT)
    assert explain(outcome, FOLDER) == outcome


@pytest.mark.parametrize(
    ("kills", "code", "state"),
    [(1, 9, S.OUT_OF_MEMORY), (2, 137, S.OUT_OF_MEMORY), (0, 9, S.FAILED), (1, 3, S.FAILED)],
)
@pytest.mark.parametrize("said", [S.FAILED, S.COMPLETED, None])
def test_a_job_whose_process_the_kernel_killed_for_memory_is_out_of_memory(
    said: JobState | None, kills: int, code: int, state: JobState
) -> None:
    record = ExitRecord(job="12", exit_code=code, oom_kills=kills)
    status = None if said is None else Status(said)
    outcome = reach_verdict(Sighting(status, record, unknown_seconds=1e9), 60.0)
    assert outcome is not None
    assert (outcome.state, outcome.exit_code) == (state, code)


@pytest.mark.parametrize("said", [S.TIMEOUT, S.CANCELLED, S.NODE_FAIL])
def test_what_the_scheduler_ended_was_not_ended_for_memory(said: JobState) -> None:
    record = ExitRecord(job="12", exit_code=137, oom_kills=1)
    outcome = reach_verdict(Sighting(Status(said), record), 60.0)
    assert outcome is not None
    assert outcome.state is said


@pytest.mark.anyio
async def test_a_local_rank_that_is_killed_is_called_that(hook: Hook, tmp_path: Path) -> None:
    (tmp_path / "dies.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    machine = LocalMachine(ranks=2)
    dies = Command(
        command_name="dies", executable_key="python3", default_args=[str(tmp_path / "dies.py")]
    )
    failed = await hook.failure(machine, dies)
    assert "killed by signal 9 (SIGKILL), as the kernel does when memory runs out" in str(failed)


@pytest.mark.anyio
@pytest.mark.parametrize("place", ["fake-pbs", "slurm"], indirect=True)
async def test_a_job_whose_folder_is_not_there_on_its_node_says_which(
    place: Place, hook: Hook, programs: Programs
) -> None:
    async with hook.asking(place.holding(), programs.working) as job:
        job_id = await job.until_id()
        await until_async(lambda: hook.reasons, "it is followed, and why it waits is told")
        folder = Path(hook.record.intent.folder)
        folder.rename(folder.with_name("elsewhere"))
        place.queue.release(job_id)
        failed = await job.failure()
    assert failed.state == S.FAILED
    assert "the nodes do not see" in str(failed)
    assert str(folder) in str(failed)
    assert programs.worked == []
