"""Diagonalisation by compiled string tables, in whatever process it is done.

As a program: `python -m qcsc_algorithms.sqd.solvers.native_program PROBLEM.npz SOLUTION.npz`; on
several ranks these share the rows of vectors out among them.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from qcsc_algorithms.sqd.solvers.problem_files import Arrays, ranks_asked_for, run_as_program
from qcsc_hpc.mpi.world import world

if TYPE_CHECKING:
    from qcsc_algorithms.sqd.solvers.crew import Crew


class CompilerMissing(ValueError):
    """numba is not installed."""


def lowest_state(problem: Arrays, crew: Crew | None = None) -> dict[str, npt.NDArray[Any]]:
    """The lowest eigenstates of a spin in a product space of strings.

    Args:
        problem: `one_body` (norb, norb), `two_body` packed, `electrons` (2,), `alpha` and `beta`,
            packed strings in any order; `tolerance` of the residual's norm, `max_cycles`,
            `threads`, 0 for what OMP_NUM_THREADS says; `spin_square`, of the state that is asked
            for, or NaN for the lowest of any spin; `roots`, how many states, 1 unless told; `keep`,
            "amplitudes", or "rdm" for these and the two-body density, which are told, too; `variance`,
            whatever its value, if that is to be told. Where
            beta orbitals differ from alpha's, whose the integrals are then: `beta_one_body`,
            `beta_two_body`, `mixed`, `overlap`; then the states are of any spin.

        crew: processes that call it together, each with the same problem.

    Returns:
        `energy` of the lowest state without a constant; of all states' mean `occupancies` (2, norb)
        and `alpha_weights`, `beta_weights` in the order of the strings given; `residual`, the
        largest; `converged`; `spin_square` and `density` (2, norb, norb) of the lowest; `levels`
        (roots, 2), each state's energy and S^2; `products`, how often the Hamiltonian was applied;
        if kept `amplitudes` (roots, alpha, beta) and `pair_density` (norb, norb, norb, norb); if
        asked for `variance` of the lowest, <H^2> - <H>^2 with what is outside of the space.

    Raises:
        CompilerMissing: without numba it cannot be done.
    """
    try:  # it takes 0.7 s to import
        from qcsc_algorithms.sqd.solvers.ground_state import compile_all, describe_lowest
    except ModuleNotFoundError as error:
        raise CompilerMissing(str(error)) from error
    compile_all()
    return describe_lowest(problem, crew)


def main() -> None:
    """Runs one rank; the first one writes the result."""
    if ranks_asked_for() == 1:
        run_as_program(lowest_state)
        return
    from qcsc_algorithms.sqd.solvers.crew import Ranks

    comm = world()
    run_as_program(partial(lowest_state, crew=Ranks(comm)), writes=comm.rank == 0)


if __name__ == "__main__":
    main()
