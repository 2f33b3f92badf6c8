"""This machine as a site: jobs are children of the driver, and die with it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Literal

import anyio
import psutil
from anyio import to_thread
from anyio.lowlevel import RunVar

from qcsc_hpc.profiles import changes_a_job
from qcsc_hpc.script.job_folder import CLOSED, ExitRecord, JobFolder
from qcsc_hpc.sites.explaining import explain
from qcsc_hpc.sites.guarded import guardian_here
from qcsc_hpc.sites.guardian import VARIABLE
from qcsc_hpc.sites.rank_end import with_output
from qcsc_hpc.sites.verdict import own_end
from qcsc_loop.concurrency.child import tie_to_this_process
from qcsc_loop.concurrency.per_event_loop import of_this_loop
from qcsc_loop.jobs.key import JobKey
from qcsc_loop.jobs.outcome import JobMetrics, JobOutcome, JobState
from qcsc_loop.jobs.site import JobSite, PlacedJob, Waiting

GRACE_SECONDS = 2.0  # between asking a cancelled program to end and killing it
LOOK_SECONDS = 0.1  # at the log, and at a job that another driver started

_children: RunVar[dict[str, asyncio.subprocess.Process]] = RunVar("qcsc_hpc_children")
_tokens: RunVar[dict[str, str]] = RunVar("qcsc_hpc_tokens")  # of jobs whose guardian watches


class LocalSite(JobSite):
    """The driver's own machine.

    A job lives in a session of its own, is killed by the kernel when its driver dies, and is then
    PREEMPTED: it cost nothing that is not had again at once. What it has started itself, and memory
    that its ranks shared, go with it, by a guardian that outlives the driver.
    """

    type: Literal["local"] = "local"

    @property
    def title(self) -> str:
        return "this machine"

    @property
    def remote(self) -> bool:
        return False

    async def submit(self, key: JobKey, folder: Path) -> str:
        """Starts the folder's script."""
        place, guardian = JobFolder(folder), await guardian_here()
        token = guardian.begin()
        with place.log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *tie_to_this_process(["bash", str(place.script)]),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**_own_environment(), VARIABLE: token},
                start_new_session=True,
            )
        job_id = str(process.pid)
        of_this_loop(_tokens)[job_id] = token
        of_this_loop(_children)[job_id] = process
        return job_id

    async def find(self, key: JobKey, folder: Path) -> str | None:
        owner = JobFolder(folder).owner()
        return None if owner == CLOSED else owner

    async def outcome(self, job: PlacedJob, waiting: Waiting) -> JobOutcome:
        waiting.tell(JobState.RUNNING, "")
        folder = JobFolder(job.folder)
        started = time.time()
        with anyio.move_on_after(waiting.run_seconds) as limit:
            await self._wait_for_end(job, folder, waiting)
        if limit.cancelled_caught:
            await self._end(job)
            why = f"it ran longer than {waiting.run_seconds:g} s and was killed"
            outcome = JobOutcome(state=JobState.TIMEOUT, reason=why)
        else:
            outcome = self._verdict(job, folder.exit())
        left = folder.exit()
        record = left or ExitRecord(job=job.job_id, exit_code=0, started=started, ended=time.time())
        await _clean_up(job)
        begun, over = record.times
        metrics = JobMetrics(submitted=begun, started=begun, ended=over)
        ended = with_output(outcome, folder.tail()).model_copy(update={"metrics": metrics})
        return ended if left is not None else explain(ended, folder)

    async def _wait_for_end(self, job: PlacedJob, folder: JobFolder, waiting: Waiting) -> None:
        process, position = of_this_loop(_children).get(job.job_id), 0
        over = False
        while not over:
            if process is None:  # another driver's
                await anyio.sleep(LOOK_SECONDS)
                over = not _alive(job)
            else:
                with anyio.move_on_after(LOOK_SECONDS):
                    await process.wait()
                over = process.returncode is not None
            text, position = await to_thread.run_sync(folder.written_since, position, 1 << 16)
            if text:
                waiting.output(text)

    def _verdict(self, job: PlacedJob, record: ExitRecord | None) -> JobOutcome:
        process = of_this_loop(_children).pop(job.job_id, None)
        if record is not None and record.job == job.job_id:
            return own_end(record, JobMetrics())
        code = None if process is None else process.returncode
        if code is None:
            return JobOutcome(state=JobState.PREEMPTED, reason="it went down with its driver")
        if code < 0:
            why = f"it was killed by {signal.Signals(-code).name}"
            return JobOutcome(state=JobState.FAILED, signal=-code, reason=why)
        return JobOutcome(state=JobState.FAILED, exit_code=code)

    async def cancel(self, job: PlacedJob) -> JobOutcome:
        JobFolder(job.folder).close()
        record = JobFolder(job.folder).exit()
        if record is not None and not _alive(job):
            return self._verdict(job, record)
        await self._end(job)
        await _clean_up(job)
        return JobOutcome(state=JobState.CANCELLED)

    async def _end(self, job: PlacedJob) -> None:
        process = of_this_loop(_children).pop(job.job_id, None)
        if process is None and not _alive(job):
            return
        pid = int(job.job_id)
        try:
            _kill_group(pid, signal.SIGTERM)
            with anyio.CancelScope(shield=True), anyio.move_on_after(GRACE_SECONDS):
                while _alive(job):  # noqa: ASYNC110  # another driver's child sends no event
                    await anyio.sleep(0.02)
        finally:
            # no await before it: a second Ctrl-C cannot skip it
            _kill_group(pid, signal.SIGKILL)
        if process is not None:
            with anyio.CancelScope(shield=True), anyio.move_on_after(GRACE_SECONDS):
                await process.wait()

    @property
    def fences(self) -> bool:
        return True

    def forbid(self, key: JobKey, folder: Path) -> str | None:
        return JobFolder(folder).close()


# by these a rank would take itself for one of the job step in which the driver runs
_OF_A_STEP = ("PMI_", "PMIX_", "PMI2_", "HYDI_", "PALS_", "PRTE_", "OMPI_COMM_", "OMPI_MCA_ess")
_OF_A_RANK = ("MPI_LOCALRANKID", "MPI_LOCALNRANKS")


def _own_environment() -> dict[str, str]:
    """The driver's environment, without the allocation that it may run in: that is not the job's."""
    return {
        name: value
        for name, value in os.environ.items()
        if not (changes_a_job(name) or name.startswith(_OF_A_STEP) or name in _OF_A_RANK)
    }


async def _clean_up(job: PlacedJob) -> None:
    """Ends what a job of this driver has left."""
    if (token := of_this_loop(_tokens).pop(job.job_id, None)) is not None:
        (await guardian_here()).end(token)


def _alive(job: PlacedJob) -> bool:
    """Whether the job's script runs: numbers of processes are used again."""
    with suppress(psutil.Error, ValueError):
        process = psutil.Process(int(job.job_id))
        if process.status() != psutil.STATUS_ZOMBIE:
            return str(JobFolder(job.folder).script) in process.cmdline()
    return False


def _kill_group(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, number)
