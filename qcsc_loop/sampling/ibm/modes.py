"""Batches and sessions: opened once for a run, written down, and closed by whoever ends it.

An open session is charged by the clock, whoever opened it. Its id stands in the ledger from the moment
that there is one, so that the next driver goes on in it, and closes it.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

from qcsc_loop.jobs.entries import Holding
from qcsc_loop.jobs.key import JobKey
from qcsc_loop.jobs.ledger import Ledger
from qcsc_loop.sampling.ibm.client import Service

if TYPE_CHECKING:
    from qiskit_ibm_runtime import QiskitRuntimeService
    from qiskit_ibm_runtime.ibm_backend import IBMBackend

Mode = Literal["job", "batch", "session"]


def open_mode(
    service: Service, backend: IBMBackend, mode: Mode, ledger: Ledger, key: JobKey
) -> Any:
    """The backend, or the run's batch or session there; opened if none takes jobs. Blocks.

    Raises:
        LeaseLost: another driver has the run, and opens its own.
    """
    if mode == "job":
        return backend
    with service.opening_mode:
        return _opened(service.modes, backend, mode, ledger, key)


def _opened(
    known: dict[str, Any], backend: IBMBackend, mode: Mode, ledger: Ledger, key: JobKey
) -> Any:
    from qiskit_ibm_runtime import Batch, Session

    kind: Any = Batch if mode == "batch" else Session
    what = f"{mode} {backend.name}"
    for held in [one.held for job in ledger.holding() for one in job.holding if one.what == what]:
        if (found := known.get(held) or _reopened(kind, held, backend)) is None:
            continue
        if (found.details() or {}).get("accepting_jobs"):
            known[held] = found
            return found
    ledger.check()
    opened = kind(backend=backend)
    known[opened.session_id] = opened
    ledger.write_blocking(Holding(key=key, epoch=ledger.epoch, held=opened.session_id, what=what))
    return opened


def close_mode(client: QiskitRuntimeService, held: str) -> None:
    """Lets it take no more jobs; nothing if there is none of that id."""
    from qiskit_ibm_runtime import Batch, Session
    from qiskit_ibm_runtime.exceptions import IBMInputValueError

    for kind in (Session, Batch):
        with suppress(IBMInputValueError):  # the other kind, or gone
            kind.from_id(held, client).close()
            return


def _reopened(kind: Any, held: str, backend: IBMBackend) -> Any:
    """One that an earlier driver opened; None if it is gone."""
    from qiskit_ibm_runtime.exceptions import IBMInputValueError, IBMRuntimeError

    try:
        return kind.from_id(held, backend.service)
    except (IBMInputValueError, IBMRuntimeError):
        return None
