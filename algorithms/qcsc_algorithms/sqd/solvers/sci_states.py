"""States and results of our eigensolver as qiskit-addon-sqd has them, and its solver slot.

An `SCIState` has amplitudes (alpha strings, beta strings) and int64 strings in ascending order.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from qcsc_algorithms.sqd.chemistry.hamiltonian import Hamiltonian, lowest_spin_square
from qcsc_algorithms.sqd.determinants.configurations import as_integers, from_integers
from qcsc_algorithms.sqd.determinants.subspace import Subspace
from qcsc_algorithms.sqd.solvers.native_program import lowest_state
from qcsc_algorithms.sqd.solvers.problem_files import Arrays, save_arrays
from qcsc_algorithms.sqd.solvers.requirements import (
    require_electrons,
    require_real,
    require_spin_square,
    require_strings,
    require_symmetric,
)

if TYPE_CHECKING:
    from qiskit_addon_sqd.fermion import SCIResult

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

STATE = "sci-state.npz"
MAX_ORBITALS = 63


def solve_sci_batch(
    ci_strings: list[tuple[Integers, Integers]],
    one_body_tensor: Floats,
    two_body_tensor: Floats,
    norb: int,
    nelec: tuple[int, int],
    *,
    spin_sq: float | None = None,
    tolerance: float = 1e-5,
    max_cycles: int = 100,
    threads: int = 1,
    rdm: bool = False,
) -> list[SCIResult]:
    """Our eigensolver for the slot `sci_solver` of qiskit-addon-sqd.

    >>> from qiskit_addon_sqd.fermion import diagonalize_fermionic_hamiltonian
    >>> # diagonalize_fermionic_hamiltonian(..., sci_solver=solve_sci_batch)

    Args:
        ci_strings: alpha and beta strings of each subspace; repeated ones count once.
        one_body_tensor, two_body_tensor: real integrals, (norb, norb) and (norb,) * 4, in hartree.
        spin_sq: S^2 of the states, S (S + 1); None: the lowest that the electrons allow, NaN: of any
            spin.
        tolerance: of the norm of H|c> - E|c>, in hartree.
        rdm: whether results have the two-body density, too.

    Raises:
        ValueError: integrals, electrons, strings or the spin are none that there can be; nothing was
            computed.
    """
    electrons = int(nelec[0]), int(nelec[1])
    asked = lowest_spin_square(electrons) if spin_sq is None else spin_sq
    require_electrons(electrons, norb)
    require_spin_square(asked, electrons, norb)
    problem = {
        "one_body": _one_body(one_body_tensor, norb),
        "two_body": _two_body(two_body_tensor, norb),
        "electrons": np.array(electrons),
        "tolerance": np.array(tolerance),
        "max_cycles": np.array(max_cycles),
        "threads": np.array(threads),
        "spin_square": np.array(asked),
        "keep": np.array("rdm" if rdm else "amplitudes"),
    }
    strings = [
        (_distinct("alpha", alpha, electrons[0], norb), _distinct("beta", beta, electrons[1], norb))
        for alpha, beta in ci_strings
    ]
    return [_result(problem, alpha, beta) for alpha, beta in strings]


def _one_body(tensor: npt.ArrayLike, norb: int) -> Floats:
    integrals = np.asarray(tensor)
    require_real("one_body_tensor", integrals, (norb, norb), norb)
    require_symmetric("one_body_tensor", integrals, (1, 0))
    return integrals.astype(float)


def _two_body(tensor: npt.ArrayLike, norb: int) -> Floats:
    """Packed; what is packed already, in either of pyscf's ways, is taken, too."""
    from pyscf import ao2mo

    integrals, pairs = np.asarray(tensor), norb * (norb + 1) // 2
    shapes = {1: (pairs * (pairs + 1) // 2,), 2: (pairs, pairs)}
    shape = shapes.get(integrals.ndim, (norb,) * 4)
    require_real("two_body_tensor", integrals, shape, norb)
    if integrals.ndim == 4:
        require_symmetric("two_body_tensor", integrals, (1, 0, 2, 3), (2, 3, 0, 1))
    return np.asarray(ao2mo.restore(8, integrals.astype(float), norb))


def _distinct(spin: str, strings: npt.ArrayLike, electrons: int, norb: int) -> Integers:
    """In ascending order, each once."""
    found = np.unique(np.asarray(strings))
    if found.size and (found.dtype.kind not in "iu" or found[0] < 0 or int(found[-1]) >> norb):
        raise ValueError(
            f"{spin} strings of {norb} orbitals are integers from 0 to 2^{norb} - 1, and some of "
            "these are not"
        )
    found = found.astype(np.int64)
    require_strings(spin, from_integers(found, norb), electrons, norb)
    return found


def keep_state(path: Path, hamiltonian: Hamiltonian, subspace: Subspace, found: Arrays) -> None:
    """Writes the lowest state as `SCIState.load` reads it, with `energy`, `rdm1` and `rdm2` beside.

    The matrices are summed over spins, <a+(p) a(q)> and <a+(p) a+(r) a(s) a(q)> in the order p, q,
    r, s. Of several states `all_amplitudes` (roots, alpha strings, beta strings) has each.
    """
    alpha, beta = as_integers(subspace.alpha), as_integers(subspace.beta)
    orders = np.argsort(alpha, kind="stable"), np.argsort(beta, kind="stable")
    amplitudes = found["amplitudes"][:, orders[0][:, None], orders[1][None, :]]
    arrays = {
        "amplitudes": amplitudes[0],
        "ci_strs_a": alpha[orders[0]],
        "ci_strs_b": beta[orders[1]],
        "norb": np.asarray(hamiltonian.norb),
        "nelec": np.array(hamiltonian.electrons),
        "energy": np.asarray(float(found["energy"]) + hamiltonian.constant),
        "rdm1": found["density"].sum(axis=0),
        "rdm2": found["pair_density"],
    }
    if len(amplitudes) > 1:
        arrays["all_amplitudes"] = amplitudes
    save_arrays(path, arrays)


def _result(problem: Arrays, alpha: Integers, beta: Integers) -> SCIResult:
    from qiskit_addon_sqd.fermion import SCIResult, SCIState

    norb, electrons = len(problem["one_body"]), problem["electrons"].tolist()
    strings = {"alpha": from_integers(alpha, norb), "beta": from_integers(beta, norb)}
    found: Any = lowest_state({**problem, **strings})
    state = SCIState(found["amplitudes"][0], alpha, beta, norb, tuple(electrons))
    return SCIResult(
        energy=float(found["energy"]),
        sci_state=state,
        orbital_occupancies=tuple(found["occupancies"]),
        rdm1=found["density"].sum(axis=0),
        rdm2=found.get("pair_density"),
    )
