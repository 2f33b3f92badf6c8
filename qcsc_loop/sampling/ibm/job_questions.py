"""What IBM Quantum is asked about one job, and its answers in our words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from qcsc_loop.jobs.outcome import JobMetrics, JobState
from qcsc_loop.sampling.ibm.client import Service

if TYPE_CHECKING:
    from qiskit_ibm_runtime.runtime_job_v2 import RuntimeJobV2

RAN_TOO_LONG = 1305  # reason code of a job that the service ended at its maximum time

_STATES = {
    "QUEUED": JobState.PENDING,
    "INITIALIZING": JobState.PENDING,
    "RUNNING": JobState.RUNNING,
    "DONE": JobState.COMPLETED,
    "COMPLETED": JobState.COMPLETED,
    "CANCELLED": JobState.CANCELLED,
    "ERROR": JobState.FAILED,
    "FAILED": JobState.FAILED,
}


@dataclass(frozen=True)
class JobStatus:
    """Where a job stands.

    Attributes:
        reason, code: of its end, if the service says one.
    """

    state: JobState
    reason: str
    code: int | None

    @property
    def ran_too_long(self) -> bool:
        return self.code == RAN_TOO_LONG


async def ask_status(service: Service, job_id: str) -> JobStatus:
    """Where the job stands. Raises as `Service.ask`."""

    def question(client: Any) -> JobStatus:
        known = client.job(job_id)
        status = str(known.status()).upper().rpartition(".")[2]
        state = _STATES.get(status)
        if state is None:
            raise ValueError(f"the status {status!r} is not known")
        facts = known._api_client.job_get(job_id).get("state") or {} if state.final else {}
        return JobStatus(state, facts.get("reason") or "", facts.get("reason_code"))

    return await service.ask(question)


async def cancel_job(service: Service, job: RuntimeJobV2) -> None:
    """Cancels it; one that is over stays as it is."""
    from qiskit_ibm_runtime.exceptions import RuntimeInvalidStateError

    def question(_: Any) -> None:
        try:
            job.cancel()
        except RuntimeInvalidStateError:
            return

    await service.ask(question)


@dataclass(frozen=True)
class Usage:
    """What a job took.

    Attributes:
        is_pending: the service will say more.
    """

    metrics: JobMetrics
    is_pending: bool


async def ask_metrics(service: Service, job_id: str) -> Usage:
    """What the job took, as far as the service knows. Raises as `Service.ask`."""
    facts: Mapping[str, Any] = await service.ask(lambda client: client.job(job_id).metrics())
    times = facts.get("timestamps") or {}
    usage = facts.get("usage") or {}
    is_pending = usage.get("status") == "pending"
    charged = usage.get("qpu_charge_time_seconds", usage.get("quantum_seconds"))
    metrics = JobMetrics(
        submitted=_time(times.get("created")),
        started=_time(times.get("running")),
        ended=_time(times.get("finished")),
        qpu_seconds=None if is_pending else charged,
    )
    return Usage(metrics, is_pending)


def _time(text: str | None) -> datetime | None:
    if not text:
        return None
    found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return found if found.tzinfo else found.replace(tzinfo=UTC)
