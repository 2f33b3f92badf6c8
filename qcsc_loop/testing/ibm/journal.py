"""What was asked of the service."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, replace
from threading import Lock

from qcsc_loop.testing.ibm.fault import IBMFault, RequestKind
from qcsc_loop.testing.ibm.messages import Request


@dataclass(frozen=True)
class FakeIBMRequest:
    """A request that arrived.

    Attributes:
        kind: None if the service has no such path.
        path: with its query.
        status: of the answer; None until it is sent, and if the connection was reset instead.
        time: of its arrival, in seconds since the epoch.
        authorization: the SHA-256 of that header; empty if it had none.
        fault: that struck it.
    """

    kind: RequestKind | None
    method: str
    path: str
    status: int | None
    time: float
    authorization: str
    fault: IBMFault | None


class Journal:
    """All requests, in the order of their arrival."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._requests: list[FakeIBMRequest] = []

    def arrived(self, request: Request, kind: RequestKind | None, fault: IBMFault | None) -> int:
        """Notes a request.

        Returns:
            Its number.
        """
        header = request.headers.get("authorization", "")
        digest = hashlib.sha256(header.encode()).hexdigest() if header else ""
        entry = FakeIBMRequest(
            kind, request.method, request.target, None, time.time(), digest, fault
        )
        with self._lock:
            self._requests.append(entry)
            return len(self._requests) - 1

    def answered(self, number: int, status: int) -> None:
        """Notes what a request is answered with."""
        with self._lock:
            self._requests[number] = replace(self._requests[number], status=status)

    def requests(self) -> list[FakeIBMRequest]:
        """All of them so far."""
        with self._lock:
            return list(self._requests)
