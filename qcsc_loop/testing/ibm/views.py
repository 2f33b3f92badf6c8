"""A job as its owner sees it, and as a test does."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from qcsc_loop.testing.ibm.job import Ending, Job, JobState

DEFAULT_COST = 600
ESTIMATED_SECONDS = 1.5


@dataclass(frozen=True)
class FakeIBMJob:
    """A job that was accepted.

    Attributes:
        program: sampler, executor or estimator.
        state: Queued, Running, Completed, Failed or Cancelled.
        cost: the seconds that its owner allows it; None if they said nothing.
        created: seconds since the epoch, as are the others.
        qpu_seconds: it is charged for.
        params_digest: of what its program was given, SHA-256. It differs for the same circuit
            under another name, and Qiskit numbers circuits by process.
        deleted: its owner deleted it.
    """

    id: str
    program: str
    backend: str
    tags: tuple[str, ...]
    state: str
    session_id: str | None
    cost: int | None
    created: float
    started: float | None
    ended: float | None
    qpu_seconds: float
    params_digest: str
    deleted: bool


def seen(job: Job) -> FakeIBMJob:
    """What a test sees of a job."""
    return FakeIBMJob(
        id=job.id,
        program=job.program,
        backend=job.backend,
        tags=tuple(job.tags),
        state=job.state.value,
        session_id=job.session_id,
        cost=job.cost,
        created=job.created,
        started=job.started,
        ended=job.ended,
        qpu_seconds=job.ending.qpu_seconds if job.ending else 0.0,
        params_digest=hashlib.sha256(json.dumps(job.params, sort_keys=True).encode()).hexdigest(),
        deleted=job.deleted,
    )


def described(job: Job, *, with_params: bool) -> dict[str, object]:
    """A job as the service describes it; a private one keeps its parameters to itself."""
    facts = {
        "id": job.id,
        "backend": job.backend,
        "program": {"id": job.program},
        "status": job.state.value,
        "state": _state(job.state, job.ending),
        "created": timestamp(job.created),
        "runtime": job.runtime,
        "tags": job.tags,
        "session_id": job.session_id,
        "cost": DEFAULT_COST if job.cost is None else job.cost,
        "private": job.private,
        "user_id": "IBMid-0",
        "estimated_running_time_seconds": ESTIMATED_SECONDS,
        "params": job.params if with_params and not job.private else None,
    }
    return {name: fact for name, fact in facts.items() if fact is not None}


def metrics(job: Job, usage_delay: float) -> dict[str, object]:
    """When a job did what, and what it is charged.

    Args:
        job: the job.
        usage_delay: seconds from its end until its usage is final.
    """
    seconds = job.ending.qpu_seconds if job.ending else 0.0
    is_final = job.ended is not None and time.time() >= job.ended + usage_delay
    return {
        "timestamps": {
            "created": timestamp(job.created),
            "running": timestamp(job.started),
            "finished": timestamp(job.ended),
        },
        "usage": {
            "status": "final" if is_final else "pending",
            "qpu_charge_time_seconds": seconds,
            "quantum_seconds": seconds,
        },
        "bss": {"seconds": seconds},
    }


def timestamp(moment: float | None) -> str | None:
    """A time in the service's words."""
    if moment is None:
        return None
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _state(state: JobState, ending: Ending | None) -> dict[str, object]:
    if ending is None or not ending.reason:
        return {"status": state.value}
    return {"status": state.value, "reason": ending.reason, "reason_code": ending.code}
