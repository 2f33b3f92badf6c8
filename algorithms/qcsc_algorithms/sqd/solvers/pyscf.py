"""pyscf as the eigensolver, on this machine's cores or as a job."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from anyio import to_thread
from pydantic import Field

from qcsc_algorithms.sqd.chemistry.hamiltonian import Hamiltonian
from qcsc_algorithms.sqd.determinants.configurations import as_integers
from qcsc_algorithms.sqd.determinants.subspace import Subspace
from qcsc_algorithms.sqd.solvers.selected_ci import lowest_state
from qcsc_algorithms.sqd.solvers.solver import Solution, Solver, by_weight
from qcsc_hpc.machine import LocalMachine, Machine, Program
from qcsc_loop.concurrency.whole_file import write_whole
from qcsc_loop.concurrency.worker import in_worker
from qcsc_loop.errors import JobRefused
from qcsc_loop.parameters.operational import OPERATIONAL
from qcsc_loop.steps.step import current_step

PROGRAM = Program("sqd-pyscf", "qcsc_algorithms.sqd.solvers.selected_ci", mpi=False)
PROBLEM, SOLUTION = "problem.npz", "solution.npz"
MAX_ORBITALS = 63


class PyscfSolver(Solver):
    """Davidson diagonalisation by pyscf's selected CI; up to 63 orbitals.

    It starts at the lowest determinant, and finds the lowest state of that one's symmetry.

    Attributes:
        tolerance: of the energy between two Davidson steps, in hartree.
        max_cycles: Davidson steps.
        threads: OpenMP and BLAS threads of one diagonalisation. One gives the same bits on
            every run; more may not.
        spin_square: the S^2 towards which the state is driven; empty: none.
        as_job: as a job on the machine; empty: if that is another one than this. On this one the
            work is done by worker processes of the driver, which live as long as it does.
    """

    type: Literal["pyscf"] = "pyscf"
    tolerance: float = Field(default=1e-10, gt=0)
    max_cycles: int = Field(default=100, ge=1)
    threads: int = Field(default=1, ge=1)
    spin_square: float | None = Field(default=None, ge=0)
    as_job: Annotated[bool | None, OPERATIONAL] = None

    def asked_spin_square(self, electrons: tuple[int, int]) -> float:
        told = self.spin_square
        return super().asked_spin_square(electrons) if told is None else told

    async def solve(
        self, hamiltonian: Hamiltonian, subspace: Subspace, machine: Machine
    ) -> Solution:
        if hamiltonian.norb > MAX_ORBITALS:
            why = (
                f"pyscf takes at most {MAX_ORBITALS} orbitals, not {hamiltonian.norb}; take native"
            )
            raise JobRefused("pyscf", "solver", why)
        problem = self._problem(hamiltonian, subspace)
        here = isinstance(machine, LocalMachine) if self.as_job is None else not self.as_job
        if here:
            found = await in_worker(lowest_state, problem)
            return _solution(hamiltonian, subspace, found)
        source = current_step().work_dir / PROBLEM
        await to_thread.run_sync(_save, source, problem)
        return await machine.run(
            PROGRAM,
            [source, SOLUTION],
            ranks=1,
            outputs=[SOLUTION],
            collect=partial(_read, hamiltonian, subspace),
        )

    def _problem(self, hamiltonian: Hamiltonian, subspace: Subspace) -> dict[str, Any]:
        return {
            "one_body": np.array(hamiltonian.one_body),
            "two_body": np.array(hamiltonian.two_body),
            "electrons": np.array(hamiltonian.electrons),
            "alpha": as_integers(subspace.alpha),
            "beta": as_integers(subspace.beta),
            "tolerance": np.array(self.tolerance),
            "max_cycles": np.array(self.max_cycles),
            "threads": np.array(self.threads),
            "spin_square": np.array(np.nan if self.spin_square is None else self.spin_square),
        }


def _save(path: Path, problem: dict[str, Any]) -> None:
    with write_whole(path) as file:
        np.savez(file, **problem)


def _read(hamiltonian: Hamiltonian, subspace: Subspace, folder: Path) -> Solution:
    with np.load(folder / SOLUTION, allow_pickle=False) as found:
        return _solution(hamiltonian, subspace, dict(found))


def _solution(
    hamiltonian: Hamiltonian, subspace: Subspace, found: dict[str, npt.NDArray[Any]]
) -> Solution:
    alpha, alpha_weights = by_weight(subspace.alpha, found["alpha_weights"])
    beta, beta_weights = by_weight(subspace.beta, found["beta_weights"])
    return Solution(
        energy=float(found["energy"]) + hamiltonian.constant,
        occupancies=found["occupancies"],
        alpha=alpha,
        beta=beta,
        alpha_weights=alpha_weights,
        beta_weights=beta_weights,
        residual=float(found["residual"]),
        converged=bool(found["converged"]),
        spin_square=float(found["spin_square"]),
    )
