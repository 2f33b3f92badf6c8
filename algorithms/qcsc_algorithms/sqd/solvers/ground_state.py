"""The lowest state of a spin in a product space of strings.

Davidson's method stays in the symmetry, and the spin, of what it starts from. So it starts from
several vectors, each with a little of every determinant; where both spins have the same strings,
even spins are told from odd ones by what an exchange of the spins does; and where the state has
another spin all the same, S^2 is added to the Hamiltonian until it has not.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from qcsc_algorithms.sqd.solvers.davidson import (
    Lowest,
    add_multiple,
    diagonalise,
    dot,
    find_lowest,
)
from qcsc_algorithms.sqd.solvers.product_space import Integrals, ProductSpace
from qcsc_algorithms.sqd.solvers.string_tables import Floats

Arrays = Mapping[str, npt.NDArray[Any]]

START_STRINGS = 10  # of each spin, whose small space is diagonalised for the start
STARTS = 4
NOISE = 1e-3  # of a start vector's norm: a symmetry of all starts would never be left
PENALTIES = (0.0, 0.3, 1.0, 3.0)  # hartree for each unit of S^2, until it is right


def describe_lowest(problem: Arrays) -> dict[str, npt.NDArray[Any]]:
    """What `native_program.lowest_state` returns."""
    space, state, found = find_state(problem)
    probabilities = state * state
    weights = probabilities.sum(axis=0), probabilities.sum(axis=1)
    return {
        "energy": np.asarray(found.values[0]),
        "occupancies": np.array(
            [
                np.add.reduce(own.occupied * share[:, None])
                for own, share in zip((space.alpha, space.beta), weights, strict=True)
            ]
        ),
        "alpha_weights": weights[0],
        "beta_weights": weights[1],
        "residual": np.asarray(found.residuals[0]),
        "converged": np.asarray(found.converged),
        "spin_square": np.asarray(space.spin_square(state)),
        "products": np.asarray(found.products),
    }


def find_state(problem: Arrays) -> tuple[ProductSpace, Floats, Lowest]:
    """The space, the state in it, float64 (beta strings, alpha strings), and how it was found."""
    target = float(problem["spin_square"])
    space = _space(problem, target)
    penalty, *larger = PENALTIES
    found = _find(space, problem, target, penalty)
    while larger and not _is_of_spin(space, found, target):
        penalty, *larger = larger
        found = _find(space, problem, target, penalty)
    state = found.vectors[0]
    if penalty:
        found = _of_the_hamiltonian(space, found)
    return space, state, found


def _is_of_spin(space: ProductSpace, found: Lowest, target: float) -> bool:
    """Whether the lowest state is of the spin that is asked for; of any, where none is."""
    if math.isnan(target):
        return True
    return abs(space.spin_square(found.vectors[0]) - target) < _half_gap(space, target)


def _space(problem: Arrays, target: float) -> ProductSpace:
    alpha, beta = problem["alpha"], problem["beta"]
    electrons = int(problem["electrons"][0]), int(problem["electrons"][1])
    mirrored = 0
    same = electrons[0] == electrons[1] and alpha.shape == beta.shape and np.all(alpha == beta)
    if same and not math.isnan(target):
        spin = (math.sqrt(1 + 4 * target) - 1) / 2
        mirrored = -1 if round(spin) % 2 else 1
        if len(alpha) == 1 and mirrored < 0:
            mirrored = 0  # one string of both spins is no triplet; what it is, is told
    return ProductSpace(
        Integrals(np.asarray(problem["one_body"], float), np.asarray(problem["two_body"], float)),
        electrons,
        alpha,
        beta,
        mirrored=mirrored,
        threads=int(problem["threads"]) or int(os.environ.get("OMP_NUM_THREADS") or 1),
    )


def _half_gap(space: ProductSpace, target: float) -> float:
    """Half the distance of S^2 to that of the next spin that the space has."""
    spin = (math.sqrt(1 + 4 * target) - 1) / 2
    step = 2 if space.mirrored else 1
    return (step * (2 * spin + 1) + step * step) / 2


def _find(space: ProductSpace, problem: Arrays, target: float, penalty: float) -> Lowest:
    multiply = partial(_multiply, space, target, penalty)
    return find_lowest(
        multiply,
        space.diagonal,
        _starts(space, target, penalty),
        roots=1,
        tolerance=float(problem["tolerance"]),
        max_cycles=int(problem["max_cycles"]),
    )


def _multiply(
    space: ProductSpace, target: float, penalty: float, vector: Floats, image: Floats
) -> None:
    """image = (H + penalty (S^2 - target)) vector; squared if lower spins than the target exist."""
    space.multiply(vector, image)
    if not penalty:
        return
    off = _off(space, target, vector)
    lowest = abs(space.electrons[0] - space.electrons[1]) / 2
    if space.mirrored < 0:
        lowest = 1
    if target > lowest * (lowest + 1) + 1e-9:
        off = _off(space, target, off)
    add_multiple(image, penalty, off)


def _off(space: ProductSpace, target: float, vector: Floats) -> Floats:
    """(S^2 - target) vector."""
    image = np.empty_like(vector)
    space.multiply_spin_square(vector, image)
    add_multiple(image, -target, vector)
    return image


def _of_the_hamiltonian(space: ProductSpace, found: Lowest) -> Lowest:
    """The same state's energy and residual without the penalty."""
    state = found.vectors[0]
    image = np.empty_like(state)
    space.multiply(state, image)
    energy = dot(state.ravel(), image.ravel())
    add_multiple(image, -energy, state)
    residual = dot(image.ravel(), image.ravel()) ** 0.5
    return found._replace(values=np.array([energy]), residuals=np.array([residual]))


def _starts(space: ProductSpace, target: float, penalty: float) -> list[Floats]:
    """The lowest vectors of a small space of the lowest determinants, and a little of all others."""
    alpha, beta = _lowest_strings(space)
    small = space.restricted(alpha, beta)
    basis = _basis(small)
    matrix = np.empty((len(basis), len(basis)))
    image = np.empty(small.shape)
    for i, vector in enumerate(basis):
        _multiply(small, target, penalty, vector, image)
        for j, other in enumerate(basis):
            matrix[j, i] = dot(other.ravel(), image.ravel())
    _, mixing = diagonalise((matrix + matrix.T) / 2)
    starts = []
    for i in range(min(STARTS, len(basis))):
        start = _noise(space, i)
        block = np.zeros(small.shape)
        for weight, vector in zip(mixing[i], basis, strict=True):
            add_multiple(block, weight, vector)
        start[np.ix_(beta, alpha)] += block
        starts.append(start)
    return starts


def _lowest_strings(space: ProductSpace) -> tuple[list[int], list[int]]:
    """Positions of the strings of the lowest determinants."""
    alpha, beta = dict[int, None](), dict[int, None]()
    order = np.argsort(space.diagonal.ravel(), kind="stable")[: START_STRINGS**4]
    for position in order.tolist():
        row, column = divmod(position, space.shape[1])
        if max(len(alpha), len(beta)) >= START_STRINGS:
            break
        alpha[column] = beta[row] = None
        if space.mirrored:
            alpha[row] = beta[column] = None
    return sorted(alpha), sorted(beta)


def _basis(space: ProductSpace) -> list[Floats]:
    """Orthonormal vectors that span it."""
    basis = []
    for row in range(space.shape[0]):
        for column in range(row if space.mirrored else 0, space.shape[1]):
            if space.mirrored < 0 and row == column:
                continue
            vector = np.zeros(space.shape)
            vector[row, column] = 1
            if space.mirrored and row != column:
                vector[row, column] = math.sqrt(0.5)
                vector[column, row] = space.mirrored * math.sqrt(0.5)
            basis.append(vector)
    return basis


def _noise(space: ProductSpace, number: int) -> Floats:
    """A small vector without any symmetry but the space's, the same on every machine."""
    height, width = space.shape
    words = np.arange(height * width, dtype=np.uint64) + np.uint64((number + 1) << 40)
    # splitmix64: Steele, Lea and Flood, OOPSLA 2014
    words = words * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        words = (words ^ (words >> np.uint64(shift))) * np.uint64(factor)
    noise = ((words >> np.uint64(11)).astype(float) / 2.0**52 - 1).reshape(height, width)
    noise /= 1 + (space.diagonal - space.diagonal.min()) ** 2  # high determinants matter little
    if space.mirrored:
        noise = noise + space.mirrored * noise.T
    norm = dot(noise.ravel(), noise.ravel()) ** 0.5
    result: Floats = noise * (NOISE / norm if norm else 0.0)
    return result
