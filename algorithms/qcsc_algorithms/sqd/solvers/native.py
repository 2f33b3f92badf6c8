"""The default eigensolver: compiled string tables, on this machine's cores or as a job."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from qcsc_algorithms.sqd.chemistry.hamiltonian import Hamiltonian, lowest_spin_square
from qcsc_algorithms.sqd.determinants.excitations import require_holdable
from qcsc_algorithms.sqd.determinants.subspace import Subspace
from qcsc_algorithms.sqd.solvers.native_program import CompilerMissing, lowest_state
from qcsc_algorithms.sqd.solvers.one_process import problem_of, solve_in_one_process
from qcsc_algorithms.sqd.solvers.problem_files import Arrays
from qcsc_algorithms.sqd.solvers.sci_states import MAX_ORBITALS, STATE, keep_state
from qcsc_algorithms.sqd.solvers.solver import Solution, Solver
from qcsc_hpc.machine import Machine, Program
from qcsc_loop.errors import JobRefused
from qcsc_loop.parameters.operational import OPERATIONAL
from qcsc_loop.steps.step import current_step

MODULE = "qcsc_algorithms.sqd.solvers.native_program"


class NativeSolver(Solver):
    """Davidson diagonalisation that touches connected determinants only; any number of orbitals.

    The lowest state, or states, of the spin that is asked for, whatever its symmetry. The same bits
    on any number of threads and ranks. Over unrestricted orbitals of any spin, which is told.

    Attributes:
        tolerance: of the norm of H|c> - E|c>, in hartree; the energy is good to about its square.
        max_cycles: Davidson steps.
        spin_square: S^2 of the state, S (S + 1): "electrons" is the lowest that the molecule's
            unpaired electrons allow, "any" takes the lowest state whatever it is.
        roots: how many states, the lowest of that spin, or all of it if it has fewer; energy, density
            and dipole are the lowest one's, occupancies and carried-over strings those of all
            states' mean.
        keep: "rdm" writes amplitudes and reduced density matrices of one and two bodies to
            `sci-state.npz` in the step's folder, as an SCIState of qiskit-addon-sqd is saved.
        threads: of one diagonalisation; empty: one in a worker of the driver, in a job what the
            machine says.
        ranks: MPI ranks of a job that share the rows of vectors out among them, for what is too
            large for a node; empty: one process. The same bits for any number.
        as_job: as a job on the machine; empty: if that is another one than this, or ranks are given.
            On this one the work is done by worker processes of the driver, which live as long as it
            does.
    """

    type: Literal["native"] = "native"
    tolerance: float = Field(default=1e-5, gt=0)
    max_cycles: int = Field(default=100, ge=1)
    spin_square: Annotated[float, Field(ge=0)] | Literal["electrons", "any"] = "electrons"
    roots: int = Field(default=1, ge=1, description="states")
    keep: Literal["nothing", "rdm"] = "nothing"
    threads: Annotated[int | None, OPERATIONAL] = Field(default=None, ge=1)
    ranks: Annotated[int | None, OPERATIONAL] = Field(default=None, ge=1)
    as_job: Annotated[bool | None, OPERATIONAL] = None

    def asked_spin_square(self, electrons: tuple[int, int]) -> float:
        if self.spin_square == "any":
            return math.nan
        if self.spin_square == "electrons":
            return lowest_spin_square(electrons)
        return self.spin_square

    def require_orbitals(self, hamiltonian: Hamiltonian) -> None:
        """Refuses a spin, too, that the electrons have in no orbitals of this number."""
        if hamiltonian.beta is None:
            self.require_spin(hamiltonian)
            return
        if not isinstance(self.spin_square, str):
            why = (
                "a state over unrestricted orbitals, alpha and beta ones that differ, is of the spin "
                "that is lowest; take any: S^2 is told"
            )
            raise JobRefused(self.type, "solver.spin_square", why)
        if self.keep == "rdm":
            why = (
                "density matrices of two electrons are kept over orbitals common to both spins, and "
                "these are unrestricted; take nothing"
            )
            raise JobRefused(self.type, "solver.keep", why)

    async def solve(
        self, hamiltonian: Hamiltonian, subspace: Subspace, machine: Machine
    ) -> Solution:
        keep = None
        if self.keep == "rdm":
            keep = partial(keep_state, current_step().work_dir / STATE, hamiltonian, subspace)
        return await self._solved(hamiltonian, subspace, machine, keep)

    async def solve_with_pairs(
        self, hamiltonian: Hamiltonian, subspace: Subspace, machine: Machine
    ) -> tuple[Solution, npt.NDArray[np.float64]]:
        found: list[Arrays] = []
        solution = await self._solved(hamiltonian, subspace, machine, found.append)
        return solution, np.asarray(found[-1]["pair_density"], np.float64)

    async def solve_with_variance(
        self, hamiltonian: Hamiltonian, subspace: Subspace, machine: Machine
    ) -> Solution:
        self._require_holdable(hamiltonian, subspace)
        return await self._solved(hamiltonian, subspace, machine, None, variance=True)

    def _require_holdable(self, hamiltonian: Hamiltonian, subspace: Subspace) -> None:
        sizes = len(subspace.alpha), len(subspace.beta)
        for strings, electrons in zip(sizes, hamiltonian.electrons, strict=True):
            try:
                require_holdable(strings, electrons, hamiltonian.norb)
            except ValueError as error:
                raise JobRefused(self.type, "max_strings", str(error)) from error

    async def _solved(
        self,
        hamiltonian: Hamiltonian,
        subspace: Subspace,
        machine: Machine,
        keep: Callable[[Arrays], None] | None,
        *,
        variance: bool = False,
    ) -> Solution:
        """The solution; `keep` is given all that was found, with densities of two electrons."""
        if keep is not None and hamiltonian.norb > MAX_ORBITALS:
            why = f"density matrices are kept of at most {MAX_ORBITALS} orbitals; take nothing"
            raise JobRefused(self.type, "solver.keep", why)
        self.require_problem(hamiltonian, subspace)
        problem = problem_of(
            hamiltonian,
            alpha=subspace.alpha,
            beta=subspace.beta,
            tolerance=self.tolerance,
            max_cycles=self.max_cycles,
            threads=self.threads or 0,
            spin_square=self.asked_spin_square(hamiltonian.electrons),
            roots=self.roots,
            keep="nothing" if keep is None else "rdm",
            **({"variance": True} if variance else {}),
        )
        program = Program("sqd-native", MODULE, mpi=self.ranks is not None)
        what = (lowest_state, program, problem, hamiltonian, subspace, machine)
        try:
            return await solve_in_one_process(
                *what, as_job=self.as_job, ranks=self.ranks, keep=keep
            )
        except CompilerMissing as error:
            why = f"{error}; pip install 'qcsc-loop[sqd]', or take pyscf"
            raise JobRefused("native", "solver", why) from error
