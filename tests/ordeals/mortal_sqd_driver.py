"""A driver of SQD that dies, or says so, at an instant that it is told; and parts that leave a note.

Run as `python -m ordeals.mortal_sqd_driver ORDERS`; see `mortal_driver.Orders`. Instants are those of
`mortal_driver`, and what comes before and after the record of each walker and batch.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from ordeals.mortal_driver import Fate, main
from qcsc_algorithms.sqd.chemistry.ffsim_sampler import FfsimSampler
from qcsc_algorithms.sqd.chemistry.hamiltonian import Hamiltonian
from qcsc_algorithms.sqd.determinants.subspace import Subspace
from qcsc_algorithms.sqd.solvers.pyscf import PyscfSolver
from qcsc_algorithms.sqd.solvers.solver import Solution, Solver
from qcsc_hpc.machine import Machine
from qcsc_loop.concurrency.worker import in_worker
from qcsc_loop.parameters.operational import OPERATIONAL
from qcsc_loop.sampling.sampler import Sampler
from qcsc_loop.sampling.samples import Samples
from qcsc_loop.steps.step import current_step
from qcsc_loop.store.directory import DirectoryStore

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

PART = "part"  # the name of a part's record


class NotingSampler(Sampler):
    """ffsim's, that notes each call in a file.

    Attributes:
        fails: the part whose worker is killed at its first call, as it is noted.
    """

    type: Literal["noting-ffsim"] = "noting-ffsim"
    notes: Annotated[str, OPERATIONAL]
    fails: Annotated[str, OPERATIONAL] = ""

    async def sample(self, circuit: QuantumCircuit, *, shots: int) -> Samples:
        if _noted(self.notes, self.fails):
            await _die()
        return await FfsimSampler().sample(circuit, shots=shots)


class NotingSolver(Solver):
    """The same for pyscf's diagonalisations in workers."""

    type: Literal["noting-pyscf"] = "noting-pyscf"
    notes: Annotated[str, OPERATIONAL]
    fails: Annotated[str, OPERATIONAL] = ""

    async def solve(
        self, hamiltonian: Hamiltonian, subspace: Subspace, machine: Machine
    ) -> Solution:
        if _noted(self.notes, self.fails):
            await _die()
        return await PyscfSolver(as_job=False).solve(hamiltonian, subspace, machine)


def _noted(notes: str, fails: str) -> bool:
    """Notes a call of the current part; whether it is the one that is to fail."""
    step, path = current_step(), Path(notes)
    line = f"{step.iteration} {step.name} {step.label}"
    with path.open("a") as file:
        file.write(f"{line}\n")
    return line == fails and path.read_text().splitlines().count(line) == 1


async def _die() -> None:
    """A worker's death, as when memory runs out."""
    await in_worker(signal.raise_signal, signal.SIGKILL)


def mark_all(fate: Fate, algorithm: type) -> None:
    """Every step on a job's way and its iteration's, and every part that is recorded."""
    fate.mark_all(algorithm)
    fate.marks(DirectoryStore, "write", _part)
    fate.marks(DirectoryStore, "write", _nth_walker)


def _part(_store: DirectoryStore, name: str, *_: object) -> str | None:
    if name != PART:
        return None
    step = current_step()
    return "batch" if "/" in step.label else f"walker of {step.name}"


def _nth_walker(store: DirectoryStore, name: str, *_: object) -> str | None:
    """By how many are on disk: a driver may write again what an earlier one wrote."""
    if name != PART or "/" in current_step().label:
        return None
    there = len(list(store.root.parent.glob(f"*/{PART}.json")))
    return f"walker {there} of {current_step().name}"


if __name__ == "__main__":
    sys.exit(main(mark_all))
