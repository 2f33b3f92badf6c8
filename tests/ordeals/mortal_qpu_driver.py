"""A driver with QPU jobs that dies, or says so, at an instant that it is told.

Run as `python -m ordeals.mortal_qpu_driver ORDERS`; see `mortal_driver.Orders`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from qiskit_ibm_runtime.executor_sampler import Sampler as Client

import qcsc_loop.sampling.ibm.ibm_site
import qcsc_loop.sampling.ibm.sampler
from loop.sampling.sampling_toys import Sampling
from ordeals.mortal_driver import Fate, Orders
from qcsc_loop.errors import QcscLoopError
from qcsc_loop.jobs.ledger import Ledger
from qcsc_loop.rules.stop import MaxIterations
from qcsc_loop.sampling.ibm.client import Service
from qcsc_loop.sampling.ibm.ibm_site import IBMSite
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Lease

READY = "ready"


def mark_all(fate: Fate) -> None:
    """Every step on a QPU job's way, and on the way of its iteration."""
    fate.marks(Ledger, "_write", lambda _ledger, line: line.kind)
    fate.marks(Service, "ask", lambda *_: "question")
    fate.marks(qcsc_loop.sampling.ibm.sampler, "submit", lambda *_: "submit")
    fate.marks(Client, "run", lambda *_, **__: "request")
    fate.marks(IBMSite, "find", lambda *_: "find")
    fate.marks(qcsc_loop.sampling.ibm.ibm_site, "save_result", lambda *_: "save")
    fate.marks(Sampling, "update", lambda *_: "update")
    fate.marks(Lease, "save_step", lambda _lease, note, *_: f"keep {note.step}")
    fate.marks(Lease, "commit", lambda *_: "commit")


def main() -> int:
    """Drives the run; the exit code and stderr are as of the command line."""
    orders = Orders(**json.loads(sys.argv[1]))
    fate = Fate(orders)
    mark_all(fate)
    algorithm = Sampling.model_validate(orders.parameters)
    fate.instant(READY)
    try:
        outcome = asyncio.run(
            algorithm.run(
                store=DirectoryStore(Path(orders.store)),
                run_id=orders.run_id,
                stop=MaxIterations(orders.limit),
                observers=[fate.observe],
                lease_seconds=orders.lease_seconds,
            )
        )
    except QcscLoopError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(json.dumps(outcome.summary()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
