"""Diagonalisation by pyscf's selected CI: the work itself, in whatever process it is done.

As a program: `python -m qcsc_algorithms.sqd.solvers.selected_ci PROBLEM.npz SOLUTION.npz`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from qcsc_algorithms.sqd.chemistry.unrestricted import unpacked_mixed
from qcsc_algorithms.sqd.solvers.problem_files import Arrays, run_as_program
from qcsc_algorithms.sqd.solvers.spin_overlap import spin_square_by_overlap
from qcsc_algorithms.sqd.solvers.unrestricted_ci import SpinIntegrals, UnrestrictedCI


def lowest_state(problem: Arrays) -> dict[str, npt.NDArray[Any]]:
    """The lowest eigenstate in a product space of strings.

    Args:
        problem: `one_body` (norb, norb), `two_body` (norb, norb, norb, norb) or packed,
            `electrons` (2,), `alpha` and `beta` int64 strings in any order, `tolerance` of the
            energy between two Davidson steps, `max_cycles`, `threads`, and `spin_square`, NaN or
            the value towards which the state is driven. Where beta orbitals differ from alpha's,
            whose the integrals are then: `beta_one_body`, `beta_two_body`, `mixed`, `overlap`.

    Returns:
        `energy` without a constant, `occupancies` (2, norb), `alpha_weights`, `beta_weights` in
        the order of the strings given, `residual`, `converged`, `spin_square`.
    """
    from threadpoolctl import threadpool_limits

    threads = int(problem["threads"])
    with threadpool_limits(threads):
        from pyscf import lib

        lib.num_threads(threads)
        return _lowest_state(problem)


def _lowest_state(problem: Arrays) -> dict[str, npt.NDArray[Any]]:
    from pyscf import ao2mo, fci
    from pyscf.fci import selected_ci

    one_body = problem["one_body"]
    norb, electrons = len(one_body), (int(problem["electrons"][0]), int(problem["electrons"][1]))
    two_body = ao2mo.restore(1, problem["two_body"], norb)
    # pyscf's links need the strings in ascending order
    orders = [np.argsort(problem[spin], kind="stable") for spin in ("alpha", "beta")]
    strings: Any = tuple(
        np.ascontiguousarray(problem[spin][order])
        for spin, order in zip(("alpha", "beta"), orders, strict=True)
    )
    if "mixed" in problem:
        return _described(*_unrestricted(problem, norb, electrons, strings), orders)
    solver: Any = selected_ci.SelectedCI()
    plain = solver
    target = float(problem["spin_square"])
    if not np.isnan(target):
        solver = fci.addons.fix_spin_(selected_ci.SelectedCI(), ss=target)
    solver.verbose = 0
    _, state = selected_ci.kernel_fixed_space(
        solver,
        one_body,
        two_body,
        norb,
        electrons,
        strings,
        tol=float(problem["tolerance"]),
        max_cycle=int(problem["max_cycles"]),
    )
    image = _image(plain, one_body, two_body, norb, electrons, state, strings)
    amplitudes = np.asarray(state)
    energy = float(np.vdot(amplitudes, image))
    density: Any = plain.make_rdm1s(state, norb, electrons)
    told = {
        "energy": energy,
        "occupancies": np.array([np.diagonal(spin) for spin in density]),
        "residual": float(np.linalg.norm(image - energy * amplitudes)),
        "converged": bool(np.all(solver.converged)),
        "spin_square": float(plain.spin_square(state, norb, electrons)[0]),
    }
    return _described(told, amplitudes, orders)


def _described(
    told: dict[str, Any], amplitudes: npt.NDArray[np.float64], orders: list[Any]
) -> dict[str, npt.NDArray[Any]]:
    """With the weights, in the order of the strings given."""
    probabilities = amplitudes**2
    result = dict(told)
    for name, axis, order in (("alpha", 1, orders[0]), ("beta", 0, orders[1])):
        weights = np.empty(len(order))
        weights[order] = probabilities.sum(axis=axis)
        result[f"{name}_weights"] = weights
    return {name: np.asarray(value) for name, value in result.items()}


def _unrestricted(
    problem: Arrays, norb: int, electrons: tuple[int, int], strings: Any
) -> tuple[dict[str, Any], npt.NDArray[np.float64]]:
    """What is found over orbitals that differ between the spins, and the amplitudes."""
    from pyscf import ao2mo
    from pyscf.fci import selected_ci

    one, other = (
        ao2mo.restore(1, np.array(problem[name]), norb) for name in ("two_body", "beta_two_body")
    )
    matrices = np.array(problem["one_body"]), np.array(problem["beta_one_body"])
    mixed = unpacked_mixed(problem["mixed"], norb)
    space = UnrestrictedCI(SpinIntegrals(matrices, (one, other), mixed), electrons, strings)
    shape, solver = space.diagonal.shape, selected_ci.SelectedCI()
    solver.verbose = 0
    levels = space.diagonal.ravel()
    start: Any = solver.get_init_guess(strings, norb, electrons, 1, levels)
    _, found = solver.eig(
        lambda vector: space.image(np.ascontiguousarray(vector).reshape(shape)).ravel(),
        [np.asarray(vector).ravel() for vector in start],
        lambda vector, energy, *_: vector / (levels - energy + 1e-4),
        tol=float(problem["tolerance"]),
        max_cycle=int(problem["max_cycles"]),
        lindep=solver.lindep,
        max_space=solver.max_space,
        nroots=1,
        verbose=0,
    )
    amplitudes = np.asarray(found).reshape(shape)
    image = space.image(amplitudes)
    energy = float(np.vdot(amplitudes, image))
    wrap: Any = selected_ci._as_SCIvector
    make: Any = selected_ci.make_rdm1s
    density = make(wrap(amplitudes, strings), norb, electrons)
    overlap = np.asarray(problem["overlap"])
    told = {
        "energy": energy,
        "occupancies": np.array([np.diagonal(spin) for spin in density]),
        "residual": float(np.linalg.norm(image - energy * amplitudes)),
        "converged": bool(np.all(solver.converged)),
        "spin_square": spin_square_by_overlap(amplitudes, strings, norb, electrons, overlap),
    }
    return told, amplitudes


def _image(
    solver: Any, one_body: Any, two_body: Any, norb: int, electrons: Any, state: Any, strings: Any
) -> npt.NDArray[np.float64]:
    """H|c>, by the plain Hamiltonian."""
    from pyscf import ao2mo
    from pyscf.fci import direct_spin1, selected_ci

    absorb: Any = direct_spin1.absorb_h1e
    absorbed = absorb(one_body, two_body, norb, electrons, 0.5)
    vector = selected_ci._as_SCIvector(np.asarray(state), strings)
    image = solver.contract_2e(ao2mo.restore(1, absorbed, norb), vector, norb, electrons)
    return np.asarray(image).reshape(np.asarray(state).shape)


if __name__ == "__main__":
    run_as_program(lowest_state)
