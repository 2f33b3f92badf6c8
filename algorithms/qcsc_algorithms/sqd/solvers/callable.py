"""Any function written for the solver slot of qiskit-addon-sqd as an eigensolver of ours."""

from __future__ import annotations

import json
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from qcsc_algorithms.sqd.chemistry.hamiltonian import Hamiltonian
from qcsc_algorithms.sqd.determinants.configurations import as_integers
from qcsc_algorithms.sqd.determinants.subspace import Subspace
from qcsc_algorithms.sqd.solvers.callable_program import (
    FunctionNotFound,
    lowest_state,
    require_function,
)
from qcsc_algorithms.sqd.solvers.one_process import problem_of, solve_in_one_process
from qcsc_algorithms.sqd.solvers.site_program import runs_here
from qcsc_algorithms.sqd.solvers.solver import Solution, Solver
from qcsc_hpc.machine import Machine, Program
from qcsc_loop.concurrency.worker import in_worker
from qcsc_loop.errors import JobRefused
from qcsc_loop.parameters.operational import OPERATIONAL

MODULE = "qcsc_algorithms.sqd.solvers.callable_program"
MAX_ORBITALS = 63


class CallableSolver(Solver):
    """A function that qiskit-addon-sqd takes as `sci_solver`; up to 63 orbitals.

    It is called as `function([(alpha, beta)], one_body, two_body, norb, nelec, **options)`, with
    int64 strings in ascending order, and returns a list with one `SCIResult`. Each call is a part of
    its step, done once. Residual and S^2 of the state that it gives are computed here.

    Attributes:
        function: its name, `package.module:function`, or `file.py:function`.
        options: keyword arguments that it is given, too.
        tolerance: of the norm of H|c> - E|c>, in hartree, above which its state is said not to be
            converged.
        ranks: MPI ranks that call it together, as one job; empty: one process calls it.
        as_job: as a job on the machine; empty: if that is another one than this, or ranks are given.
            On this one the work is done by worker processes of the driver.
    """

    type: Literal["callable"] = "callable"
    function: str = Field(
        default="qiskit_addon_sqd.fermion:solve_sci_batch",
        pattern=r"[:.]",
        description="package.module:function, in the form of qiskit-addon-sqd's sci_solver",
    )
    options: dict[str, JsonValue] = Field(default={}, description="its keyword arguments")
    tolerance: float = Field(default=1e-3, gt=0)
    ranks: Annotated[int | None, OPERATIONAL] = Field(default=None, ge=1)
    as_job: Annotated[bool | None, OPERATIONAL] = None

    def require_orbitals(self, hamiltonian: Hamiltonian) -> None:
        super().require_orbitals(hamiltonian)
        if hamiltonian.norb > MAX_ORBITALS:
            why = (
                f"functions of this kind take at most {MAX_ORBITALS} orbitals, not "
                f"{hamiltonian.norb}; take native"
            )
            raise JobRefused(self.type, "solver", why)

    async def require(self, hamiltonian: Hamiltonian, machine: Machine) -> None:
        await super().require(hamiltonian, machine)
        if runs_here(machine, self._program().name):
            try:
                await in_worker(require_function, self.function, self.options)
            except FunctionNotFound as error:
                raise self._refusal(error) from error

    async def solve(
        self, hamiltonian: Hamiltonian, subspace: Subspace, machine: Machine
    ) -> Solution:
        self.require_problem(hamiltonian, subspace)
        problem = problem_of(
            hamiltonian,
            alpha=as_integers(subspace.alpha),
            beta=as_integers(subspace.beta),
            function=self.function,
            options=json.dumps(self.options),
            tolerance=self.tolerance,
        )
        what = (lowest_state, self._program(), problem, hamiltonian, subspace, machine)
        try:
            return await solve_in_one_process(*what, as_job=self.as_job, ranks=self.ranks)
        except FunctionNotFound as error:
            raise self._refusal(error) from error

    def _refusal(self, error: Exception) -> JobRefused:
        said = " ".join(str(error).split())
        why = f"{said}; give package.module:function, or file.py:function"
        return JobRefused(self.type, "solver.function", why)

    def _program(self) -> Program:
        place = self.function.rpartition(":" if ":" in self.function else ".")[0]
        return Program("sqd-callable", MODULE, mpi=self.ranks is not None, source=place)
