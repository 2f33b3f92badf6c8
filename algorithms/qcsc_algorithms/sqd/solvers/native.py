"""The default eigensolver: compiled string tables, on this machine's cores or as a job."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from anyio import to_thread
from pydantic import Field

from qcsc_algorithms.sqd.chemistry.hamiltonian import Hamiltonian
from qcsc_algorithms.sqd.determinants.subspace import Subspace
from qcsc_algorithms.sqd.solvers.native_program import CompilerMissing, lowest_state
from qcsc_algorithms.sqd.solvers.solver import (
    Solution,
    Solver,
    by_weight,
    lowest_spin_square,
)
from qcsc_hpc.machine import LocalMachine, Machine, Program
from qcsc_loop.concurrency.whole_file import write_whole
from qcsc_loop.concurrency.worker import in_worker
from qcsc_loop.errors import JobRefused
from qcsc_loop.parameters.operational import OPERATIONAL
from qcsc_loop.steps.step import current_step

PROGRAM = Program("sqd-native", "qcsc_algorithms.sqd.solvers.native_program", mpi=False)
PROBLEM, SOLUTION = "problem.npz", "solution.npz"


class NativeSolver(Solver):
    """Davidson diagonalisation that touches connected determinants only; any number of orbitals.

    The lowest state of the spin that is asked for, whatever its symmetry. The same bits on any
    processor and any number of threads.

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
        problem = self._problem(hamiltonian, subspace)
        here = isinstance(machine, LocalMachine) if self.as_job is None else not self.as_job
        if here:
            try:
                return _solution(hamiltonian, subspace, await in_worker(lowest_state, problem))
            except CompilerMissing as error:
                why = f"{error}; pip install 'qcsc-loop[sqd]', or take pyscf"
                raise JobRefused("native", "solver", why) from error
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
            "alpha": np.array(subspace.alpha),
            "beta": np.array(subspace.beta),
            "tolerance": np.array(self.tolerance),
            "max_cycles": np.array(self.max_cycles),
            "threads": np.array(self.threads or 0),
            "spin_square": np.array(self.asked_spin_square(hamiltonian.electrons)),
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
