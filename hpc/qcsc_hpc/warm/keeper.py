"""The driver's care for a warm job: requested when there is work, replaced in time, ended with the run.

The warm job is a job of the run's ledger like any other. Its keeper lives in one event loop, holds
nothing that a killed driver would lose, and begins with what the ledger says.
"""

from __future__ import annotations

import asyncio
import math
import os
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from anyio import to_thread
from anyio.lowlevel import RunVar

from qcsc_hpc.schedulers import dialect_for
from qcsc_hpc.script.job_folder import JobFolder
from qcsc_hpc.script.job_script import ScriptFacts, rank_script, render
from qcsc_hpc.script.launchers import launcher_words
from qcsc_hpc.sites.batch import BatchSite
from qcsc_hpc.sites.local import LocalSite
from qcsc_hpc.warm import small_records as records
from qcsc_hpc.warm.epoch import BEAT, SERVER
from qcsc_hpc.warm.mailbox import Ended
from qcsc_hpc.warm.orders import BEGAN, END, NO_RESTART, ORDERS, Orders
from qcsc_hpc.warm.pool_place import PoolPlace
from qcsc_loop.concurrency.per_event_loop import of_this_loop
from qcsc_loop.concurrency.whole_file import write_whole
from qcsc_loop.errors import DamagedDocument, JobFailed, LeaseLost
from qcsc_loop.events import Trouble
from qcsc_loop.exactly_once.request import JobRequest, JobResult
from qcsc_loop.exactly_once.run_once import run_once
from qcsc_loop.jobs.entries import JobRecord, Measured
from qcsc_loop.jobs.key import JobKey
from qcsc_loop.jobs.ledger import Ledger
from qcsc_loop.jobs.outcome import JobMetrics
from qcsc_loop.steps.step import Step, current_step, stepping

STEP = "warm"  # of the keys of warm jobs
FRUITLESS = 2  # warm jobs in a row that never served, after which a request fails
MEASURE_SECONDS = 10.0  # between notes of what a running warm job has cost: for budgets
END_SECONDS = 3.0  # for one that was told to end

# a supervisor that dies is started again, for as long as it does not die at once
LOOP = f"""\
export {BEGAN}=$(date +%s.%N)
quick=0
while :; do
  begun=$SECONDS
  "$@" && exit 0
  code=$?
  [ $code = {NO_RESTART} ] && exit $code
  if [ $((SECONDS - begun)) -lt 10 ]; then quick=$((quick + 1)); else quick=0; fi
  [ $quick -ge 5 ] && exit $code
done"""


@dataclass
class _Job:
    """One warm job that this driver follows."""

    name: str
    task: asyncio.Task[JobResult[Path]]
    began: float = field(default_factory=time.monotonic)
    served: bool = False  # its supervisor has been seen ready
    began_at: float | None = None  # by its own clock
    measured: float = 0.0  # when its cost was noted, by the monotonic clock


class Keeper:
    """Of the warm job of one run on one machine."""

    def __init__(self, ledger: Ledger, place: PoolPlace) -> None:
        self._ledger, self._place = ledger, place
        self._root = place.root
        self._jobs: list[_Job] = []  # the last one is the newest
        self._fruitless = 0  # that ended before they served
        self._failure: JobFailed | None = None
        self._failed_at: float | None = None  # when one had not been begun in its queue_timeout
        self._beat, self._beaten = b"", time.monotonic()
        ledger.endings[f"warm {place.root}"] = self.end

    @property
    def tail(self) -> str:
        """The end of the output of a warm job that did not serve."""
        return self._failure.tail if self._failure else ""

    async def served(self, ended: Ended) -> None:
        """A request has been done; what the warm job has cost until now goes into the ledger."""
        if not ended.place:
            return
        self._fruitless, self._failure = 0, None
        for job in self._jobs:
            if (record := self._record(job)) is not None and record.job_id == ended.job:
                job.served = True
                if time.monotonic() - job.measured > MEASURE_SECONDS:
                    await to_thread.run_sync(self._look)
                    await self._measure(job, record)

    async def _measure(self, job: _Job, record: JobRecord) -> None:
        if record.over or job.began_at is None:
            return
        job.measured = time.monotonic()
        metrics = JobMetrics(
            started=datetime.fromtimestamp(job.began_at, UTC),
            ended=datetime.now(UTC),
            nodes=self._place.how.num_nodes,
        )
        key, epoch = record.key, self._ledger.epoch
        await self._ledger.write(Measured(key=key, epoch=epoch, metrics=metrics))

    async def is_worth_asking(self) -> bool:
        """Whether a warm job serves, or has not been waited for too long."""
        await to_thread.run_sync(self._look)
        return not self._not_to_be_had() and not (self._jobs and self._too_late())

    async def care(self) -> Ended | None:
        """Sees to it that a warm job serves, or is on its way.

        Returns:
            Why a request is not to wait any longer, if so.
        """
        for job in [job for job in self._jobs if job.task.done()]:
            self._jobs.remove(job)
            self._over(job)
        if self._not_to_be_had():
            return Ended("PREEMPTED", reason="the warm job was not begun in its queue_timeout")
        if self._fruitless >= FRUITLESS and self._failure is not None:
            self._fruitless = 0  # a later attempt may have better luck
            reason = f"the warm job ended {self._failure.state} before it served"
            return Ended("FAILED", exit_code=self._failure.exit_code_of_job, reason=reason)
        if not self._jobs:
            self._begin()
        await to_thread.run_sync(self._look)
        newest = self._jobs[-1]
        if self._too_late():
            why = f"the warm job has not served for {self._place.warm.fallback_seconds:g} s"
            return Ended("PREEMPTED", reason=why)
        if newest.served and await to_thread.run_sync(self._is_near_its_end, newest):
            self._follow(self._next)
        elif newest.served and time.monotonic() - self._beaten > self._place.warm.silent_seconds:
            await self._replace(newest)
        return None

    def _not_to_be_had(self) -> bool:
        """Whether the last one has just waited in vain; after a while another one is asked for."""
        since = math.inf if self._failed_at is None else time.monotonic() - self._failed_at
        return not self._jobs and since <= self._place.warm.fallback_seconds

    def _too_late(self) -> bool:
        waited = time.monotonic() - self._jobs[-1].began
        served = any(job.served for job in self._jobs)
        return not served and waited > self._place.warm.fallback_seconds

    def _over(self, job: _Job) -> None:
        error = None if job.task.cancelled() else job.task.exception()
        if error is not None and not isinstance(error, JobFailed):
            raise error
        record = self._record(job)
        begun = job.served or (record is not None and record.metrics.started is not None)
        if error is not None and error.state == "TIMEOUT" and not begun:
            self._failed_at = time.monotonic()
            return
        self._fruitless = 0 if job.served else self._fruitless + 1
        self._failure = error or self._failure

    def _begin(self) -> None:
        """Follows the warm jobs that the ledger shows alive, or makes the next one."""
        alive = [record.key.name for record in self._records() if not record.over]
        for name in alive or [self._next]:
            self._follow(name)

    def _follow(self, name: str) -> None:
        step = Step(
            run_id=self._ledger.run_id,
            iteration=0,
            name=STEP,
            label=self._root.name,
            ledger=self._ledger,
            make_folder=lambda: self._root / "jobs",
        )
        with stepping(step):
            task = asyncio.ensure_future(run_once(self._request(name)))
        task.add_done_callback(_heard)
        self._jobs.append(_Job(name, task))
        self._beaten = time.monotonic()

    def _records(self) -> list[JobRecord]:
        return self._ledger.of(0, STEP, self._root.name)

    def _record(self, job: _Job) -> JobRecord | None:
        return next((r for r in reversed(self._records()) if r.key.name == job.name), None)

    @property
    def _next(self) -> str:
        """The name of a warm job that there has not been."""
        numbers = [int(record.key.name.rpartition("-")[2]) for record in self._records()]
        return f"{STEP}-{max(numbers, default=0) + 1}"

    def _request(self, name: str) -> JobRequest[Path]:
        where, how = self._place.where, self._place.how
        site = LocalSite() if where.scheduler == "local" else BatchSite(where=where)
        return JobRequest(
            name=name,
            site=site,
            input_sha256=self._root.name,
            prepare=self._prepare,
            submit=site.submit,
            collect=Path,
            queue_seconds=how.queue_timeout,
        )

    def _prepare(self, key: JobKey, folder: Path) -> None:
        where, how, warm = self._place.where, self._place.how, self._place.warm
        alone = how.launcher == "single" or (where.scheduler == "local" and how.num_nodes == 1)
        if where.scheduler != "local":
            BatchSite(where=where).require()
        self._place.box.make()
        orders = Orders(
            mailbox=str(self._root),
            launcher=launcher_words(where, how),
            ranks=how.ranks,
            alone=alone,
            walltime=None if where.scheduler == "local" else how.walltime_seconds,
            reserve=warm.reserve_seconds,
            idle=warm.idle_seconds,
            tries=warm.tries,
        )
        python = where.executable_map.get("python", sys.executable)
        module = [python, "-P", "-m"]
        once = how.model_copy(update={"launcher": "single", "mpi_options": []})
        program = ["bash", "-c", LOOP, STEP, *module, "qcsc_hpc.warm.supervisor", str(folder)]
        facts = ScriptFacts(
            job_name=key.job_name,
            key=str(key),
            folder=folder,
            program=program,
            where=where,
            how=once,
            # srun(1): programs start on the cores of the waiting ranks, also where it is an
            # mpiexec that calls srun, which has no option for it
            environment={"QCSC_JOB_KEY": str(key), "SLURM_OVERLAP": "1"},
        )
        records.write_once(folder / ORDERS, asdict(orders))
        _write(folder / "pool.sh", rank_script(facts, [*module, "qcsc_hpc.warm.rank"]))
        _write(JobFolder(folder).script, render(dialect_for(where), facts))

    # signs of life

    def _look(self) -> None:
        """Reads the newest supervisor's beat: what counts is that it changes, by our clock."""
        box = self._place.box
        box.make()
        epoch = box.epoch(box.newest_epoch())
        with suppress(OSError, DamagedDocument, KeyError):
            beat = (epoch / BEAT).read_bytes()
            if beat == self._beat:
                return
            server = records.read(epoch / SERVER)
            self._beat, self._beaten = beat, time.monotonic()
            starting = records.read(epoch / BEAT)["state"] == "starting"
            for job in self._jobs:
                record = self._record(job)
                if record is not None and record.job_id == server["job"]:
                    job.began_at, job.served = server["began"], job.served or not starting

    def _is_near_its_end(self, job: _Job) -> bool:
        """Whether a successor that is asked for now is there just in time."""
        box, record = self._place.box, self._record(job)
        epoch = box.epoch(box.newest_epoch())
        with suppress(OSError, DamagedDocument, KeyError):
            left, server = records.read(epoch / BEAT)["left"], records.read(epoch / SERVER)
            if left is None or record is None or server["job"] != record.job_id:
                return False
            queued = server["began"] - record.intent.at.timestamp()
            return bool(left < self._place.warm.reserve_seconds + max(0.0, queued))
        return False

    async def _replace(self, job: _Job) -> None:
        silent = self._place.warm.silent_seconds
        self._ledger.observe(
            Trouble(f"the warm job has shown no sign of life for {silent:g} s; it is replaced")
        )
        self._jobs.remove(job)
        job.task.cancel()
        await asyncio.wait([job.task])
        self._begin()

    # the end of the run

    async def end(self) -> None:
        """Ends the warm job with its run; a driver that others follow leaves it to them."""
        jobs, self._jobs = self._jobs, []
        if not self._ledger.leave_jobs():
            with suppress(LeaseLost, OSError):
                self._ledger.check()
                await self._told_to_end(jobs)
        for job in jobs:
            job.task.cancel()
        if jobs:
            await asyncio.wait([job.task for job in jobs], timeout=END_SECONDS)

    async def _told_to_end(self, jobs: list[_Job]) -> None:
        for job in jobs:
            if (record := self._record(job)) is not None:
                (Path(record.intent.folder) / END).touch()
        if served := [job.task for job in jobs if job.served]:
            await asyncio.wait(served, timeout=END_SECONDS)


_keepers: RunVar[dict[str, Keeper]] = RunVar("qcsc_hpc_keepers")


def keeper_of(place: PoolPlace) -> Keeper:
    """The keeper of the current run's warm job."""
    ledger = current_step().ledger
    known, name = of_this_loop(_keepers), f"{id(ledger)} {place.root}"
    if name not in known:
        known[name] = Keeper(ledger, place)
    return known[name]


def _write(path: Path, text: str) -> None:
    with write_whole(path) as file:
        file.write(os.fsencode(text))


def _heard(task: asyncio.Task[JobResult[Path]]) -> None:
    """An end is looked at when somebody asks for the job; it is no error that nobody does."""
    if not task.cancelled():
        task.exception()
