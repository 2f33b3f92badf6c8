"""Time limits of jobs hold by one clock, whatever another one says."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from qcsc_hpc.profiles import HPCProfile
from qcsc_hpc.schedulers import scheduler_for
from qcsc_hpc.schedulers.scheduler import Status
from qcsc_hpc.script.job_folder import JobFolder
from qcsc_hpc.sites.limits import Standing, reason_to_cancel
from qcsc_loop.jobs.outcome import JobMetrics, JobState
from qcsc_loop.jobs.site import Waiting

WHERE = HPCProfile(scheduler="slurm")
LIMITED = Waiting(queue_seconds=600.0, run_seconds=600.0)
WAITS, RUNS = JobState.PENDING, JobState.RUNNING


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    """Of a job that was submitted, and has begun, just now."""
    found = JobFolder(tmp_path)
    found.script.touch()
    (tmp_path / "started").touch()
    return found


def made_older(folder: JobFolder, name: str, seconds: float) -> None:
    now = (folder.path / name).stat().st_mtime
    os.utime(folder.path / name, (now - seconds, now - seconds))


@pytest.mark.parametrize("state", [WAITS, RUNS])
@pytest.mark.parametrize("off", [-7200, 7200], ids=["behind", "ahead"])
@pytest.mark.anyio
async def test_a_schedulers_clock_that_is_off_ends_no_job(
    folder: JobFolder, state: JobState, off: int
) -> None:
    then = datetime.now(UTC) + timedelta(seconds=off)
    status = Status(state=state, metrics=JobMetrics(submitted=then, started=then))
    stood = await Standing(folder).seconds(state)
    assert reason_to_cancel(status, scheduler_for(WHERE), WHERE, LIMITED, stood) is None


@pytest.mark.parametrize(("state", "file"), [(WAITS, "job.sh"), (RUNS, "started")])
@pytest.mark.anyio
async def test_what_an_earlier_driver_waited_counts(
    folder: JobFolder, state: JobState, file: str
) -> None:
    made_older(folder, file, 700)
    stood = await Standing(folder).seconds(state)
    limit = reason_to_cancel(Status(state=state), scheduler_for(WHERE), WHERE, LIMITED, stood)
    assert limit is not None
    assert limit.state is JobState.TIMEOUT


@pytest.mark.anyio
async def test_its_time_in_the_queue_is_not_its_run(folder: JobFolder) -> None:
    made_older(folder, "job.sh", 700)
    standing = Standing(folder)
    assert await standing.seconds(WAITS) >= 700
    assert await standing.seconds(RUNS) < 600
    assert await standing.seconds(WAITS) < 600  # requeued: it waits anew


@pytest.mark.anyio
async def test_a_job_whose_start_is_not_seen_yet_has_just_begun(tmp_path: Path) -> None:
    assert await Standing(JobFolder(tmp_path)).seconds(RUNS) < 600
