"""Diagonalisation by compiled string tables, in whatever process it is done.

As a program: `python -m qcsc_algorithms.sqd.solvers.native_program PROBLEM.npz SOLUTION.npz`.
"""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from qcsc_algorithms.sqd.solvers.problem_files import Arrays, run_as_program


class CompilerMissing(ValueError):
    """numba is not installed."""


def lowest_state(problem: Arrays) -> dict[str, npt.NDArray[Any]]:
    """The lowest eigenstate of a spin in a product space of strings.

    Args:
        problem: `one_body` (norb, norb), `two_body` packed, `electrons` (2,), `alpha` and `beta`,
            packed strings in any order; `tolerance` of the residual's norm, `max_cycles`,
            `threads`, 0 for what OMP_NUM_THREADS says; `spin_square`, of the state that is asked
            for, or NaN for the lowest of any spin.

    Returns:
        `energy` without a constant, `occupancies` (2, norb), `alpha_weights`, `beta_weights` in
        the order of the strings given, `residual`, `converged`, `spin_square`, and `products`, how
        often the Hamiltonian was applied.

    Raises:
        CompilerMissing: without numba it cannot be done.
    """
    try:  # it takes 0.7 s to import
        from qcsc_algorithms.sqd.solvers.ground_state import describe_lowest
    except ModuleNotFoundError as error:
        raise CompilerMissing(str(error)) from error
    return describe_lowest(problem)


if __name__ == "__main__":
    run_as_program(lowest_state)
