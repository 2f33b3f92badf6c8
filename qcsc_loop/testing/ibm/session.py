"""Sessions and batches."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field

from qcsc_loop.testing.ibm.job import PENDING, Job
from qcsc_loop.testing.ibm.views import timestamp

MAX_TTL = 28_800
INTERACTIVE_TTL = 60


@dataclass
class Session:
    """A session, changed only while its service's lock is held.

    Attributes:
        mode: dedicated, or batch.
        max_ttl: is told to who asks, but ends nothing.
    """

    backend: str
    mode: str
    max_ttl: int
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    created: float = field(default_factory=time.time)
    accepting_jobs: bool = True
    closed: float | None = None

    def state(self, jobs: Iterable[Job]) -> str:
        """open before its first job, active, or closed: at once, or after its last one."""
        mine = [job for job in jobs if job.session_id == self.id]
        pending = any(job.state in PENDING for job in mine)
        if self.closed is not None or not (self.accepting_jobs or pending):
            return "closed"
        return "active" if any(job.started for job in mine) else "open"

    def described(self, jobs: Iterable[Job]) -> dict[str, object]:
        """The session as the service describes it."""
        return {
            "id": self.id,
            "backend_name": self.backend,
            "mode": self.mode,
            "state": self.state(jobs),
            "accepting_jobs": self.accepting_jobs,
            "max_ttl": self.max_ttl,
            "active_ttl": self.max_ttl,
            "interactive_ttl": INTERACTIVE_TTL,
            "started_at": timestamp(self.created),
            "closed_at": timestamp(self.closed),
            "elapsed_time": round((self.closed or time.time()) - self.created, 3),
            "timestamps": [],
        }
