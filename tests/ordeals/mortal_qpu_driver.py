"""A driver with QPU jobs that dies, or says so, at an instant that it is told.

Run as `python -m ordeals.mortal_qpu_driver ORDERS`; see `mortal_driver.Orders`.
"""

from __future__ import annotations

import sys

from qiskit_ibm_runtime.executor_sampler import Sampler as Client

import qcsc_loop.sampling.ibm.ibm_site
import qcsc_loop.sampling.ibm.sampler
from ordeals.mortal_driver import Fate, main
from qcsc_loop.jobs.ledger import Ledger
from qcsc_loop.sampling.ibm.client import Service
from qcsc_loop.sampling.ibm.ibm_site import IBMSite
from qcsc_loop.store.journal import Lease


def mark_all(fate: Fate, algorithm: type) -> None:
    """Every step on a QPU job's way, and on the way of its iteration."""
    fate.marks(Ledger, "_write", lambda _ledger, line: line.kind)
    fate.marks(Service, "ask", lambda *_: "question")
    fate.marks(qcsc_loop.sampling.ibm.sampler, "submit", lambda *_: "submit")
    fate.marks(Client, "run", lambda *_, **__: "request")
    fate.marks(IBMSite, "find", lambda *_: "find")
    fate.marks(qcsc_loop.sampling.ibm.ibm_site, "save_results", lambda *_: "save")
    fate.marks(algorithm, "update", lambda *_: "update")
    fate.marks(Lease, "save_step", lambda _lease, note, *_: f"keep {note.step}")
    fate.marks(Lease, "commit", lambda *_: "commit")


if __name__ == "__main__":
    sys.exit(main(mark_all))
