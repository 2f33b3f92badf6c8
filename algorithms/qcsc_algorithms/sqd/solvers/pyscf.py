"""pyscf as the eigensolver, on this machine's cores or as a job."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from qcsc_algorithms.sqd.chemistry.hamiltonian import Hamiltonian
from qcsc_algorithms.sqd.determinants.configurations import as_integers
from qcsc_algorithms.sqd.determinants.subspace import Subspace
from qcsc_algorithms.sqd.solvers.one_process import problem_of, solve_in_one_process
from qcsc_algorithms.sqd.solvers.selected_ci import lowest_state
from qcsc_algorithms.sqd.solvers.solver import Solution, Solver
from qcsc_hpc.machine import Machine, Program
from qcsc_loop.errors import JobRefused
from qcsc_loop.parameters.operational import OPERATIONAL

PROGRAM = Program("sqd-pyscf", "qcsc_algorithms.sqd.solvers.selected_ci", mpi=False)
MAX_ORBITALS = 63


class PyscfSolver(Solver):
    """Davidson diagonalisation by pyscf's selected CI; up to 63 orbitals.

    It starts at the lowest determinant, and finds the lowest state of that one's symmetry. Over
    unrestricted orbitals too; then towards no spin.

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

    def require_orbitals(self, hamiltonian: Hamiltonian) -> None:
        if hamiltonian.norb > MAX_ORBITALS:
            why = (
                f"pyscf takes at most {MAX_ORBITALS} orbitals, not {hamiltonian.norb}; take native"
            )
            raise JobRefused("pyscf", "solver", why)
        if hamiltonian.beta is None:
            self.require_spin(hamiltonian)
            return
        if self.spin_square is not None:
            why = (
                "a state over unrestricted orbitals, alpha and beta ones that differ, cannot be driven "
                "towards a spin; leave it empty: S^2 is told"
            )
            raise JobRefused(self.type, "solver.spin_square", why)
        if not all(hamiltonian.electrons):
            why = "over unrestricted orbitals pyscf needs an electron of each spin; take native"
            raise JobRefused(self.type, "solver", why)

    async def solve(
        self, hamiltonian: Hamiltonian, subspace: Subspace, machine: Machine
    ) -> Solution:
        self.require_problem(hamiltonian, subspace)
        problem = problem_of(
            hamiltonian,
            alpha=as_integers(subspace.alpha),
            beta=as_integers(subspace.beta),
            tolerance=self.tolerance,
            max_cycles=self.max_cycles,
            threads=self.threads,
            spin_square=np.nan if self.spin_square is None else self.spin_square,
        )
        what = (lowest_state, PROGRAM, problem, hamiltonian, subspace, machine)
        return await solve_in_one_process(*what, as_job=self.as_job)
