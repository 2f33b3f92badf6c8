"""`reap`: ends the jobs that a run has left."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import anyio

from qcsc_loop.exactly_once.reap import reap
from qcsc_loop.jobs.entries import JobRecord
from qcsc_loop.parameters.environment import environment
from qcsc_loop.printing import say, say_json
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal

STILL_ALIVE = 1


def reap_run(*, run_id: str, store: Path | None, unread: bool, as_json: bool) -> int:
    """Ends them, says of each how; the exit code says whether one may be alive."""
    journal = Journal(DirectoryStore(store or environment().store), run_id)
    said: list[dict[str, str]] = []

    def tell(job: JobRecord, trouble: str) -> None:
        said.append(
            {
                "key": str(job.key),
                "job_id": job.job_id or "",
                "state": job.state,
                "trouble": trouble,
            }
        )
        if not as_json:
            text = trouble or f"{job.state}{f' (job {job.job_id})' if job.job_id else ''}"
            say(f"{job.key}: {text}")

    left = anyio.run(partial(reap, unread=unread), journal, tell)
    if as_json:
        say_json({"run_id": run_id, "jobs": said, "left": [str(job.key) for job in left]})
    elif not said:
        what = ", nor one whose result could not be read" if unread else ""
        say(f"run {run_id} has no job that could be alive{what}")
    elif left:
        say(f"{len(left)} jobs may still be alive; try again: qcsc-loop reap {run_id}")
    return STILL_ALIVE if left else 0
