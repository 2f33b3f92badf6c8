"""Which faults are due, and whom they strike."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import get_args

from qcsc_loop.testing.ibm.fault import (
    JOB_FAULTS,
    NEED_SECONDS,
    USUAL_REQUEST,
    IBMFault,
    RequestKind,
)


@dataclass
class Injection:
    """A fault that is due.

    Attributes:
        request: the kind that it strikes; None for a fault of a job.
        skip: how many that fit it passes over first.
        times: how many it strikes then.
    """

    fault: IBMFault
    request: RequestKind | None
    times: int
    skip: int
    seconds: float | None
    reason: str
    code: int | None

    def strikes(self) -> bool:
        """Whether it strikes one that fits; counts it."""
        if self.skip:
            self.skip -= 1
            return False
        self.times -= 1
        return True


class Injections:
    """The faults that are due, in the order in which they were injected.

    Attributes:
        away: every connection is lost, whatever is due.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self.away = False
        self._due: list[Injection] = []

    def add(self, injection: Injection) -> None:
        """Has it strike from now on.

        Raises:
            ValueError: it fits no request, or lacks its seconds.
        """
        _check(injection)
        with self._lock:
            self._due.append(injection)

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        with self._lock:
            self._due.clear()

    def of_request(self, kind: RequestKind) -> Injection | None:
        """What strikes this request: one fault at most."""
        if self.away:
            return injection(IBMFault.CONNECTION_LOST, request=kind)
        with self._lock:
            return self._strike([due for due in self._due if due.request == kind])

    def of_job(self) -> list[Injection]:
        """What strikes this job: each kind of fault at most once."""
        with self._lock:
            kinds = [[due for due in self._due if due.fault == fault] for fault in JOB_FAULTS]
            return [struck for due in kinds if (struck := self._strike(due))]

    def _strike(self, fitting: list[Injection]) -> Injection | None:
        struck = next((injection for injection in fitting if injection.strikes()), None)
        self._due = [due for due in self._due if due.times > 0]
        return struck


def injection(
    fault: IBMFault,
    *,
    request: RequestKind | None = None,
    times: int = 1,
    skip: int = 0,
    seconds: float | None = None,
    reason: str = "",
    code: int | None = None,
) -> Injection:
    """A fault with the request that it is usually about."""
    request = request or USUAL_REQUEST.get(fault)
    return Injection(fault, request, times, skip, seconds, reason, code)


def _check(injection: Injection) -> None:
    fault, request = injection.fault, injection.request
    if fault in NEED_SECONDS and injection.seconds is None:
        raise ValueError(f"{fault} needs seconds")
    if fault in JOB_FAULTS:
        if request is not None:
            raise ValueError(f"{fault} is about a job, not about a request")
    elif request not in get_args(RequestKind):
        kinds = ", ".join(get_args(RequestKind))
        raise ValueError(f"{fault} needs the request it strikes ({kinds}), not {request!r}")
    elif fault is IBMFault.LIST_MISCOUNTED and request != "list":
        raise ValueError(f"{fault} cannot strike {request!r}")
