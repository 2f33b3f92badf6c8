"""Eigensolvers over MPI: `sbd`, RIKEN's selected-basis diagonalisation (r-ccs-cms/sbd)."""

from __future__ import annotations

from abc import ABC
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from anyio import to_thread
from pydantic import Field, model_validator

from qcsc_algorithms.sqd.chemistry.hamiltonian import Hamiltonian
from qcsc_algorithms.sqd.determinants.subspace import Subspace
from qcsc_algorithms.sqd.solvers.site_program import runs_here
from qcsc_algorithms.sqd.solvers.solver import Solution, Solver, solution_of
from qcsc_hpc.machine import Machine, Program
from qcsc_loop.concurrency.whole_file import write_whole
from qcsc_loop.errors import JobRefused
from qcsc_loop.parameters.operational import OPERATIONAL
from qcsc_loop.steps.step import current_step

PROGRAM = Program("sqd-sbd", "qcsc_algorithms.sqd.solvers.sbd_program")
PROBLEM, INTEGRALS, SOLUTION = "sbd.npz", "sbd.fcidump", "solution.npz"


class Sbd(Solver, ABC):
    """What `sbd` can be told, however it is called.

    It starts at the Hartree-Fock determinant, and finds the lowest state of that one's symmetry.
    Ranks that are not spoken for by a `..._comm_size` share the rows of each matrix product.

    Attributes:
        tolerance: of the residual's norm, in hartree; the energy is good to about its square.
        block: Davidson vectors before a restart; the memory is that of twice as many vectors.
        iterations: how many times at most it restarts.
        store_hamiltonian: keeps the matrix elements: five to ten times as fast, for 4 to 20 kB of
            memory a determinant (H2O and N2 in 6-31G).
        adet_comm_size, bdet_comm_size: parts that the alpha and beta strings are divided into, and
            with them the vectors; each on ranks of its own.
        task_comm_size: parts that the excitations of a matrix product are divided into.
        ranks: MPI ranks, a multiple of the three sizes' product; empty: as the machine's profile
            says. Results differ by rounding alone.
    """

    tolerance: float = Field(default=1e-6, ge=1e-12)  # below is rounding, over which sbd stumbles
    block: int = Field(default=20, ge=2)
    iterations: int = Field(default=10, ge=1)
    store_hamiltonian: bool = False
    adet_comm_size: int = Field(default=1, ge=1)
    bdet_comm_size: int = Field(default=1, ge=1)
    task_comm_size: int = Field(default=1, ge=1)
    ranks: Annotated[int | None, OPERATIONAL] = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _enough_tasks(self) -> Sbd:
        alpha, beta = self.adet_comm_size, self.bdet_comm_size
        tasks = alpha * beta + alpha + beta  # sbd crashes where a rank has none
        if self.task_comm_size > tasks:
            raise ValueError(
                f"task_comm_size: {alpha} x {beta} parts of the strings make {tasks} tasks, which "
                f"cannot be divided into {self.task_comm_size}"
            )
        return self

    async def require(self, hamiltonian: Hamiltonian, machine: Machine) -> None:
        await super().require(hamiltonian, machine)
        self.require_ranks(machine)

    def require_ranks(self, machine: Machine) -> None:
        """Refuses ranks that the sizes do not divide.

        Raises:
            JobRefused: they do not, or the machine has not so many.
        """
        ranks = machine.shaped(self.ranks).ranks
        share = self.adet_comm_size * self.bdet_comm_size * self.task_comm_size
        if ranks % share:
            why = (
                f"{ranks} are no multiple of adet_comm_size x bdet_comm_size x task_comm_size, "
                f"which is {share}"
            )
            raise JobRefused(self.type, "ranks", why)


class SbdSolver(Sbd):
    """Davidson diagonalisation over MPI ranks by the package `sbd-eigensolver`; any orbitals.

    Each rank runs as many OpenMP threads as the machine says. With one, the same ranks give the
    same bits on every run. Residual and convergence are what sbd says of its last step; it does
    not tell S^2. The amplitudes, 8 bytes for each determinant, pass through a file in the job's
    folder and the memory of one rank.
    """

    type: Literal["sbd"] = "sbd"

    async def require(self, hamiltonian: Hamiltonian, machine: Machine) -> None:
        await super().require(hamiltonian, machine)
        if runs_here(machine, PROGRAM.name) and find_spec("sbd") is None:
            why = "the package sbd-eigensolver is not installed here; `make sbd` or the extra sbd do it"
            raise JobRefused(self.type, "solver", why)

    async def solve(
        self, hamiltonian: Hamiltonian, subspace: Subspace, machine: Machine
    ) -> Solution:
        self.require_problem(hamiltonian, subspace)
        self.require_ranks(machine)
        folder = current_step().work_dir
        await to_thread.run_sync(hamiltonian.write_fcidump, folder / INTEGRALS)
        await to_thread.run_sync(self._save, folder / PROBLEM, hamiltonian.norb, subspace)
        return await machine.run(
            PROGRAM,
            [folder / PROBLEM, folder / INTEGRALS, SOLUTION],
            ranks=self.ranks,
            outputs=[SOLUTION],
            collect=partial(_read, hamiltonian.norb, subspace),
        )

    def _save(self, path: Path, norb: int, subspace: Subspace) -> None:
        with write_whole(path) as file:
            np.savez(
                file,
                norb=norb,
                alpha=subspace.alpha,
                beta=subspace.beta,
                tolerance=self.tolerance,
                block=self.block,
                iterations=self.iterations,
                store_hamiltonian=self.store_hamiltonian,
                comm_sizes=[self.adet_comm_size, self.bdet_comm_size, self.task_comm_size],
            )


def _read(norb: int, subspace: Subspace, folder: Path) -> Solution:
    with np.load(folder / SOLUTION, allow_pickle=False) as file:
        found = dict(file)
    shapes = [found[name].shape for name in ("occupancies", "alpha_weights", "beta_weights")]
    if shapes != [(2, norb), (len(subspace.alpha),), (len(subspace.beta),)]:
        raise ValueError(f"{SOLUTION} has arrays of the shapes {shapes}: of another subspace")
    return solution_of(subspace, found, float(found["energy"]))
