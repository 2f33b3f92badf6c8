"""The default eigensolver: compiled string tables, on this machine's cores or as a job."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from qcsc_algorithms.sqd.chemistry.hamiltonian import Hamiltonian
from qcsc_algorithms.sqd.determinants.subspace import Subspace
from qcsc_algorithms.sqd.solvers.native_program import CompilerMissing, lowest_state
from qcsc_algorithms.sqd.solvers.one_process import problem_of, solve_in_one_process
from qcsc_algorithms.sqd.solvers.solver import Solution, Solver, lowest_spin_square
from qcsc_hpc.machine import Machine, Program
from qcsc_loop.errors import JobRefused
from qcsc_loop.parameters.operational import OPERATIONAL

PROGRAM = Program("sqd-native", "qcsc_algorithms.sqd.solvers.native_program", mpi=False)


class NativeSolver(Solver):
    """Davidson diagonalisation that touches connected determinants only; any number of orbitals.

    The lowest state of the spin that is asked for, whatever its symmetry. The same bits on any
    number of threads.

    Attributes:
        tolerance: of the norm of H|c> - E|c>, in hartree; the energy is good to about its square.
        max_cycles: Davidson steps.
        spin_square: S^2 of the state: "electrons" is the lowest that the molecule's unpaired
            electrons allow, "any" takes the lowest state whatever it is.
        threads: of one diagonalisation; empty: one in a worker of the driver, in a job what the
            machine says.
        as_job: as a job on the machine; empty: if that is another one than this. On this one the
            work is done by worker processes of the driver, which live as long as it does.
    """

    type: Literal["native"] = "native"
    tolerance: float = Field(default=1e-5, gt=0)
    max_cycles: int = Field(default=100, ge=1)
    spin_square: Annotated[float, Field(ge=0)] | Literal["electrons", "any"] = "electrons"
    threads: Annotated[int | None, OPERATIONAL] = Field(default=None, ge=1)
    as_job: Annotated[bool | None, OPERATIONAL] = None

    def asked_spin_square(self, electrons: tuple[int, int]) -> float:
        if self.spin_square == "any":
            return math.nan
        if self.spin_square == "electrons":
            return lowest_spin_square(electrons)
        return self.spin_square

    async def solve(
        self, hamiltonian: Hamiltonian, subspace: Subspace, machine: Machine
    ) -> Solution:
        problem = problem_of(
            hamiltonian,
            alpha=subspace.alpha,
            beta=subspace.beta,
            tolerance=self.tolerance,
            max_cycles=self.max_cycles,
            threads=self.threads or 0,
            spin_square=self.asked_spin_square(hamiltonian.electrons),
        )
        what = (lowest_state, PROGRAM, problem, hamiltonian, subspace, machine)
        try:
            return await solve_in_one_process(*what, as_job=self.as_job)
        except CompilerMissing as error:
            why = f"{error}; pip install 'qcsc-loop[sqd]', or take pyscf"
            raise JobRefused("native", "solver", why) from error
