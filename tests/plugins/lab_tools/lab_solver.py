"""An eigensolver of another distribution."""

from __future__ import annotations

from typing import Literal

from qcsc_algorithms.sqd import Hamiltonian, PyscfSolver, Solution, Solver, Subspace
from qcsc_hpc import Machine


class LabSolver(Solver):
    """PySCF's, whatever the machine."""

    type: Literal["lab-solver"] = "lab-solver"

    async def solve(
        self, hamiltonian: Hamiltonian, subspace: Subspace, machine: Machine
    ) -> Solution:
        return await PyscfSolver().solve(hamiltonian, subspace, machine)
