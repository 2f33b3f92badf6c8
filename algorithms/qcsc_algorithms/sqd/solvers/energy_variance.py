"""The variance of the energy of a state among pairs of strings: how far it is from an eigenstate.

It is the squared norm of (H - E)|c>. What the Hamiltonian leads to out of the pairs counts, which is
most of it where the state was diagonalised among them. That is in three parts: the beta string is
another, the alpha string is, or both are; each is computed by the products that the eigensolver has,
some columns at a time.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from qcsc_algorithms.sqd.chemistry.hamiltonian import Hamiltonian
from qcsc_algorithms.sqd.determinants.configurations import Strings
from qcsc_algorithms.sqd.determinants.excitations import require_holdable
from qcsc_algorithms.sqd.solvers.product_space import Integrals, ProductSpace
from qcsc_algorithms.sqd.solvers.requirements import require_hamiltonian, require_strings
from qcsc_algorithms.sqd.solvers.string_product import add_opposite_spins, add_same_spin
from qcsc_algorithms.sqd.solvers.string_tables import Floats, StringTables, mean_field
from qcsc_algorithms.sqd.solvers.strings_outside import Outside, find_outside

HELD = 2**25  # elements of the image at a time


class EnergyVariance(NamedTuple):
    """Of a normalised state.

    Attributes:
        energy: <H> in hartree, with the Hamiltonian's constant.
        variance: <H^2> - <H>^2 in hartree^2; 0 for an eigenstate only.
    """

    energy: float
    variance: float


def energy_variance(
    hamiltonian: Hamiltonian, alpha: Strings, beta: Strings, amplitudes: npt.ArrayLike
) -> EnergyVariance:
    """Energy and variance of a state over all pairs of an alpha and a beta string.

    >>> import numpy as np
    >>> from qcsc_algorithms.sqd import Molecule, energy_variance
    >>> hydrogen = Molecule(geometry="H 0 0 0; H 0 0 0.735", basis="sto-3g").hamiltonian()
    >>> strings = np.array([[1]], np.uint8)  # orbital 0: Hartree-Fock
    >>> found = energy_variance(hydrogen, strings, strings, [[1.0]])
    >>> round(found.energy, 6), round(found.variance, 6)
    (-1.116999, 0.032736)

    Args:
        alpha, beta: distinct strings, uint8 (strings, ceil(norb / 8)), in any order, as those of a
            `Subspace`.
        amplitudes: real, (alpha strings, beta strings), of any norm but 0.

    Raises:
        ValueError: these do not belong together, or the Hamiltonian leads to more strings than are
            held; nothing was computed.
    """
    if np.iscomplexobj(amplitudes):
        raise ValueError("amplitudes are real, and these are complex: give those of a real state")
    state = np.ascontiguousarray(np.asarray(amplitudes, float).T)
    _require_state(hamiltonian, alpha, beta, state)
    for strings, electrons in zip((alpha, beta), hamiltonian.electrons, strict=True):
        require_holdable(len(strings), electrons, hamiltonian.norb)
    space = ProductSpace(
        _integrals(hamiltonian), hamiltonian.electrons, np.array(alpha), np.array(beta)
    )
    state /= math.sqrt(_square(state.copy()))
    image = np.empty_like(state)
    space.multiply(state, image)
    energy = float((state * image).sum())
    inside = _square(image - energy * state)
    return EnergyVariance(energy + hamiltonian.constant, inside + outside_square(space, state))


def outside_square(space: ProductSpace, state: Floats) -> float:
    """The squared norm of what H makes of a state outside of its space, in hartree^2.

    Args:
        state: float64 (beta strings, alpha strings), normalised and whole.
    """
    integrals = space.integrals
    one_spin = integrals.one_body, integrals.two_body
    by_alpha, by_beta = integrals.opposite
    alpha = find_outside(space.strings[0], *one_spin)
    beta = alpha
    if space.beta is not space.alpha:
        beta = find_outside(space.strings[1], *(integrals.beta or one_spin))
    one_leaves = _one_leaves(beta, space.alpha, state, by_beta)
    if space.mirrored:  # the other spin's is the same
        one_leaves *= 2
    else:
        turned = np.ascontiguousarray(state.T)
        one_leaves += _one_leaves(alpha, space.beta, turned, by_alpha)
    return one_leaves + _both_leave(beta, alpha, state, by_beta)


def _one_leaves(outside: Outside, within: StringTables, state: Floats, two_body: Floats) -> float:
    """Where the rows' string is outside, and the columns' is not."""
    field = mean_field(within, outside.pairs, two_body)
    squares = []
    for start, stop in _some_columns(outside.size, state.shape[1], state.shape[1]):
        image = np.zeros((outside.size, stop - start))
        add_same_spin(
            np.ascontiguousarray(state[:, start:stop]),
            image,
            outside.singles,
            outside.doubles,
            np.ascontiguousarray(field[:, start:stop]),
            0,
            outside.size,
        )
        _add_opposite_spins(state, image, outside, within, start, two_body)
        squares.append(_square(image))
    return math.fsum(squares)


def _both_leave(rows: Outside, columns: Outside, state: Floats, two_body: Floats) -> float:
    """Where both strings are outside: an electron of each spin has moved."""
    squares = []
    for start, stop in _some_columns(rows.near, columns.near, state.shape[1]):
        image = np.zeros((rows.near, stop - start))
        _add_opposite_spins(state, image, rows, columns, start, two_body)
        squares.append(_square(image))
    return math.fsum(squares)


def _add_opposite_spins(
    state: Floats,
    image: Floats,
    rows: Outside,
    columns: Outside | StringTables,
    start: int,
    two_body: Floats,
) -> None:
    """An electron of each spin moves; the image's columns are those from `start` on."""
    width = image.shape[1]
    singles = columns.singles
    add_opposite_spins(
        state,
        image,
        rows.moves,
        singles._replace(first=singles.first[start : start + width + 1]),
        (rows.pairs, columns.pairs),
        two_body,
        False,
        (0, rows.near),
        (0, width),
    )


def _some_columns(rows: int, columns: int, most: int) -> list[tuple[int, int]]:
    """From which to which, so that not too many elements are held.

    Args:
        most: columns at a time: a product sums as many side by side as the state has.
    """
    width = min(most, max(1, HELD // max(1, rows)))
    return [(start, min(columns, start + width)) for start in range(0, columns, width)]


def _square(image: Floats) -> float:
    """The squared norm; the image is spent."""
    return float(np.square(image, out=image).sum())


def _integrals(hamiltonian: Hamiltonian) -> Integrals:
    one_body, two_body = np.array(hamiltonian.one_body), np.array(hamiltonian.two_body)
    if hamiltonian.beta is None:
        return Integrals(one_body, two_body)
    other = np.array(hamiltonian.beta.one_body), np.array(hamiltonian.beta.two_body)
    return Integrals(one_body, two_body, other, np.array(hamiltonian.beta.mixed))


def _require_state(hamiltonian: Hamiltonian, alpha: Strings, beta: Strings, state: Floats) -> None:
    require_hamiltonian(hamiltonian)
    for spin, strings, electrons in zip(
        ("alpha", "beta"), (alpha, beta), hamiltonian.electrons, strict=True
    ):
        require_strings(spin, strings, electrons, hamiltonian.norb)
    if state.shape != (len(beta), len(alpha)):
        raise ValueError(
            f"amplitudes of {len(alpha)} alpha and {len(beta)} beta strings are "
            f"({len(alpha)}, {len(beta)}), not {state.shape[::-1]}"
        )
    if not np.all(np.isfinite(state)) or not np.any(state):
        raise ValueError("amplitudes are finite numbers of which one is not 0, and these are not")
