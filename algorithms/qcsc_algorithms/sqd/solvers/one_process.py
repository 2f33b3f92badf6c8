"""A diagonalisation by a function of arrays: in a worker of the driver, or in a job, by files."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from anyio import to_thread

from qcsc_algorithms.sqd.chemistry.hamiltonian import Hamiltonian
from qcsc_algorithms.sqd.determinants.subspace import Subspace
from qcsc_algorithms.sqd.solvers.problem_files import (
    PROBLEM,
    SOLUTION,
    Arrays,
    LowestState,
    load_arrays,
    save_arrays,
)
from qcsc_algorithms.sqd.solvers.solver import Solution, solution_of
from qcsc_hpc.machine import LocalMachine, Machine, Program
from qcsc_loop.concurrency.worker import in_worker
from qcsc_loop.steps.step import current_step


async def solve_in_one_process(
    lowest_state: LowestState,
    program: Program,
    problem: Arrays,
    hamiltonian: Hamiltonian,
    subspace: Subspace,
    machine: Machine,
    *,
    as_job: bool | None,
    ranks: int | None = None,
    keep: Callable[[Arrays], None] | None = None,
) -> Solution:
    """The solution of a problem in this subspace.

    Args:
        lowest_state: does the work; the program calls it, too.
        as_job: None: if the machine is another one than this, or ranks are asked for.
        ranks: of the job, whose program knows what to do with more than one; None: one.
        keep: is given all that was found, in this process, before the solution is made of it; as
            often as somebody comes to this step.
    """
    read = partial(_read, hamiltonian, subspace, keep)
    local = isinstance(machine, LocalMachine) and ranks is None
    here = local if as_job is None else not as_job
    if here:
        return await to_thread.run_sync(read, await in_worker(lowest_state, problem))
    source = current_step().work_dir / PROBLEM
    await to_thread.run_sync(save_arrays, source, problem)
    return await machine.run(
        program,
        [source, SOLUTION],
        ranks=ranks or 1,
        outputs=[SOLUTION],
        collect=lambda folder: read(load_arrays(folder / SOLUTION)),
    )


def problem_of(hamiltonian: Hamiltonian, **more: object) -> dict[str, npt.NDArray[Any]]:
    """The integrals, in double precision, and electrons, and what more a solver wants to be told."""
    arrays = {
        "one_body": np.asarray(hamiltonian.one_body, float),
        "two_body": np.asarray(hamiltonian.two_body, float),
        "electrons": hamiltonian.electrons,
        **more,
    }
    if hamiltonian.beta is not None:
        arrays |= {
            "beta_one_body": hamiltonian.beta.one_body,
            "beta_two_body": hamiltonian.beta.two_body,
            "mixed": hamiltonian.beta.mixed,
            "overlap": hamiltonian.beta.overlap,
        }
    return {name: np.array(value) for name, value in arrays.items()}


def _read(
    hamiltonian: Hamiltonian,
    subspace: Subspace,
    keep: Callable[[Arrays], None] | None,
    found: Arrays,
) -> Solution:
    if keep is not None:
        keep(found)
    return solution_of(subspace, found, float(found["energy"]) + hamiltonian.constant)
