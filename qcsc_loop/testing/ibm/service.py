"""What the service knows: jobs, sessions and backends."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from threading import Condition

# A job's parameters are whatever its client sends.
from typing import Any

from qcsc_loop.testing.ibm.devices import Device
from qcsc_loop.testing.ibm.fault import IBMFault
from qcsc_loop.testing.ibm.iam import IAM
from qcsc_loop.testing.ibm.injection import Injection, Injections
from qcsc_loop.testing.ibm.job import PENDING, Ending, Job, JobState
from qcsc_loop.testing.ibm.messages import Refused
from qcsc_loop.testing.ibm.qpu import QPU
from qcsc_loop.testing.ibm.session import MAX_TTL, Session

TRACEBACK = "Traceback (most recent call last):\nRuntimeError: the program failed\n"
NO_REASON = "no reason was told"


class Service:
    """The state behind the endpoints; `changed` is held by whoever reads or changes it.

    Attributes:
        queue_seconds: of the next jobs.
        run_seconds: that the next jobs take at least.
        usage_delay: from the end of a job until its usage is final.
    """

    def __init__(
        self, devices: Mapping[str, Device], iam: IAM, injections: Injections, seed: int
    ) -> None:
        self.devices = devices
        self.iam = iam
        self.injections = injections
        self.changed = Condition()
        self.qpu = QPU(self.changed, seed)
        self.jobs: dict[str, Job] = {}
        self.sessions: dict[str, Session] = {}
        self.queue_seconds = 0.0
        self.run_seconds = 0.0
        self.usage_delay = 0.0

    def submit(self, sent: Mapping[str, Any]) -> Job:
        """Accepts a job, with what is to go wrong with it.

        Raises:
            Refused: it lacks something, or its session takes no more.
        """
        self._check(sent)
        struck = {injection.fault: injection for injection in self.injections.of_job()}
        job = self._accepted(sent, struck)
        self.jobs[job.id] = job
        self.qpu.take(job)
        return job

    def job(self, job_id: str) -> Job:
        """A job by its id.

        Raises:
            Refused: there is none.
        """
        job = self.jobs.get(job_id)
        if job is None or job.deleted:
            raise Refused(404, 1291, "Job not found.")
        return job

    def device(self, name: str) -> Device:
        """A backend.

        Raises:
            Refused: there is none.
        """
        if name not in self.devices:
            raise Refused(404, 1216, f"Backend {name} not found.")
        return self.devices[name]

    def open_session(self, sent: Mapping[str, Any]) -> Session:
        """Opens a session.

        Raises:
            Refused: its backend is none.
        """
        device = self.device(sent.get("backend", ""))
        mode, max_ttl = sent.get("mode") or "dedicated", sent.get("max_ttl") or MAX_TTL
        session = Session(device.name, mode, max_ttl)
        self.sessions[session.id] = session
        return session

    def session(self, session_id: str) -> Session:
        """A session by its id.

        Raises:
            Refused: there is none.
        """
        if session_id not in self.sessions:
            raise Refused(404, 1404, "Session not found.")
        return self.sessions[session_id]

    def close_session(self, session: Session) -> None:
        """Closes a session at once: its queued jobs are cancelled."""
        session.accepting_jobs, session.closed = False, time.time()
        for job in self.jobs.values():
            if job.session_id == session.id and job.state is JobState.QUEUED:
                self.qpu.end(job, Ending(JobState.CANCELLED))

    def pending(self, backend: str) -> int:
        """How many jobs a backend has before it."""
        return sum(job.backend == backend and job.state in PENDING for job in self.jobs.values())

    def _check(self, sent: Mapping[str, Any]) -> None:
        if not isinstance(sent.get("program_id"), str) or not isinstance(sent.get("params"), dict):
            raise Refused(400, 1200, "program_id and params are required.")
        self.device(sent.get("backend", ""))
        session = sent.get("session_id")
        if session and self.session(session).state(self.jobs.values()) == "closed":
            raise Refused(400, 1217, "Session has been closed.")
        if session and not self.session(session).accepting_jobs:
            raise Refused(400, 1217, "Session is not accepting jobs.")

    def _accepted(self, sent: Mapping[str, Any], struck: Mapping[IBMFault, Injection]) -> Job:
        now = round(time.time(), 6)
        wait, late = struck.get(IBMFault.JOB_WAITS), struck.get(IBMFault.JOB_LISTED_LATE)
        return Job(
            id=f"d{uuid.uuid4().hex[:19]}",
            program=sent["program_id"],
            backend=sent["backend"],
            params=sent["params"],
            tags=list(sent.get("tags") or []),
            session_id=sent.get("session_id"),
            cost=sent.get("cost"),
            private=bool(sent.get("private")),
            runtime=sent.get("runtime"),
            created=now,
            queue_seconds=(wait.seconds or 0.0) if wait else self.queue_seconds,
            run_seconds=self.run_seconds,
            listed=now + ((late.seconds or 0.0) if late else 0.0),
            destined=_destined(struck),
        )


def failure(reason: str, code: int | None) -> Ending:
    """A job failed; without a reason and a code, all that is told is a traceback."""
    if code is not None:
        reason = reason or NO_REASON
    return Ending(JobState.FAILED, reason, code, TRACEBACK)


def cancellation(reason: str = "", code: int | None = None) -> Ending:
    """A job was cancelled; clients overlook a code that comes without a reason."""
    if code is not None:
        reason = reason or NO_REASON
    return Ending(JobState.CANCELLED, reason, code)


def _destined(struck: Mapping[IBMFault, Injection]) -> Ending | None:
    if fault := struck.get(IBMFault.JOB_FAILS):
        return failure(fault.reason, fault.code)
    if fault := struck.get(IBMFault.JOB_CANCELLED):
        return cancellation(fault.reason, fault.code)
    return None
