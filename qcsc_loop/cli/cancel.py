"""`cancel`: ends runs with their jobs, wherever their drivers are."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import anyio

from qcsc_loop.errors import QcscLoopError, RunLocked
from qcsc_loop.exactly_once.cancel import Cancelled, Driver, Wish, cancel
from qcsc_loop.jobs.entries import JobRecord
from qcsc_loop.parameters.environment import environment
from qcsc_loop.plain import Json
from qcsc_loop.printing import as_typed, say, say_json
from qcsc_loop.rules.reason import Reason
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal
from qcsc_loop.store.records import CancelOrder

STILL_ALIVE = 1


def cancel_runs(
    run_ids: Sequence[str],
    *,
    store: Path | None,
    wait: float,
    force: bool,
    leave_jobs: bool,
    as_json: bool,
) -> int:
    """Ends each of them, and says what was done; the exit code says whether anything may be left."""
    wish = Wish(order=CancelOrder(by=_me(), leave_jobs=leave_jobs), wait_seconds=wait, force=force)
    place = DirectoryStore(store or environment().store)
    code, rows = 0, list[Json]()
    for run_id in dict.fromkeys(run_ids):
        tell = _tell_nothing if as_json else partial(_tell, run_id)
        asked = partial(_say_asked, run_id, wait, to_stderr=as_json)
        try:
            done = anyio.run(partial(cancel, asked=asked, tell=tell), Journal(place, run_id), wish)
        except QcscLoopError as error:
            if len(run_ids) == 1:
                raise
            say(f"qcsc-loop: {error}", to_stderr=True)
            rows.append(
                {"run_id": run_id, "error": as_typed(str(error)), "kind": type(error).__name__}
            )
            code = max(code, error.exit_code)
            continue
        rows.append(_facts(done))
        if done.left and not leave_jobs:
            code = max(code, STILL_ALIVE)
        if not as_json:
            say(_sentence(done, leave_jobs=leave_jobs))
    if as_json:
        say_json({"runs": rows})
    return code


def _me() -> str:
    try:
        return f"{getpass.getuser()} on {socket.gethostname()}"
    except (OSError, KeyError):  # a container's user without a name
        return f"somebody on {socket.gethostname()}"


def _say_asked(run_id: str, wait: float, driver: RunLocked, *, to_stderr: bool) -> None:
    where = f"process {driver.pid} on {driver.host}"
    say(f"{run_id}: {where} is asked to end; it is waited for {wait:.0f} s", to_stderr=to_stderr)


def _tell(run_id: str, job: JobRecord, trouble: str) -> None:
    number = f" (job {job.job_id})" if job.job_id else ""
    say(f"{run_id}: {job.key}: {trouble or f'{job.state}{number}'}")


def _tell_nothing(job: JobRecord, trouble: str) -> None:
    del job, trouble


def _sentence(done: Cancelled, *, leave_jobs: bool) -> str:
    said = [f"{done.run_id}: {_driver(done)}"]
    if done.ended:
        said.append(f"{_jobs(done.ended)} ended")
    if done.left and leave_jobs:
        said.append(f"{_jobs(done.left)} left to whoever resumes it")
    elif done.left:
        said.append(f"{_jobs(done.left)} may still be alive: qcsc-loop reap {done.run_id}")
    elif not done.ended:
        said.append("it has no jobs that could be alive")
    cancelled = done.stands == Reason.CANCELLED
    resume = f". To go on: qcsc-loop resume {done.run_id}" if cancelled else ""
    return f"{'; '.join(said)}{resume}"


def _driver(done: Cancelled) -> str:
    after = "" if done.iteration is None else f" after iteration {done.iteration}"
    who = f"process {done.pid} on {done.host}" if done.host else "its driver"
    if done.stands != Reason.CANCELLED:
        if done.stands == "new":
            return "no driver has come to it yet: there is nothing to cancel"
        return f"it had ended{after} ({done.stands.replace('_', ' ')}), and stays so"
    match done.driver:
        case Driver.ENDED:
            return f"cancelled; {who} has ended{after}"
        case Driver.TAKEN_OVER:
            return (
                f"cancelled{after}; {who} did not answer, and can write nothing to it any more; if it "
                "still runs, end it"
            )
        case _:
            return f"cancelled{after}; {who} was gone"


def _jobs(jobs: Sequence[JobRecord]) -> str:
    ids = ", ".join(job.job_id or "not submitted" for job in jobs[:5])
    return f"{len(jobs)} job{'' if len(jobs) == 1 else 's'} ({ids}{', …' if jobs[5:] else ''})"


def _facts(done: Cancelled) -> Json:
    return {
        "run_id": done.run_id,
        "driver": str(done.driver),
        "host": done.host,
        "pid": done.pid,
        "iteration": done.iteration,
        "stands": done.stands,
        "ended": [{"key": str(job.key), "job_id": job.job_id or ""} for job in done.ended],
        "left": [{"key": str(job.key), "job_id": job.job_id or ""} for job in done.left],
    }
