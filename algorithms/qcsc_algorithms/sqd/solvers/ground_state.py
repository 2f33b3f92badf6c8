"""The lowest states of a spin in a product space of strings.

Davidson's method stays in the symmetry, and the spin, of what it starts from. So it starts from
several vectors, each with a little of every determinant; where both spins have the same strings, in
whatever order, even spins are told from odd ones by what an exchange of the spins does; and where a
state has another spin all the same, a lower or a higher one, S^2 is added to the Hamiltonian until it
has not. The start vectors are the lowest of a space of fewer strings, found in the same way.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from functools import cache, partial
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from qcsc_algorithms.sqd.determinants.configurations import as_integers, unique_rows
from qcsc_algorithms.sqd.solvers.compiling import compile_in_turn
from qcsc_algorithms.sqd.solvers.crew import Alone, Crew
from qcsc_algorithms.sqd.solvers.davidson import (
    Lowest,
    add_multiple,
    combine,
    diagonalise,
    find_lowest,
    inner_product,
    multiply_by,
    overlaps,
)
from qcsc_algorithms.sqd.solvers.densities import one_body_density, two_body_density
from qcsc_algorithms.sqd.solvers.energy_variance import outside_square
from qcsc_algorithms.sqd.solvers.noise import fill_noise
from qcsc_algorithms.sqd.solvers.product_space import Integrals, ProductSpace
from qcsc_algorithms.sqd.solvers.spin_overlap import MAX_ORBITALS, spin_square_by_overlap
from qcsc_algorithms.sqd.solvers.string_product import average_exchange
from qcsc_algorithms.sqd.solvers.string_tables import Floats

ALONE = Alone()
Arrays = Mapping[str, npt.NDArray[Any]]

SMALLER, DENSE = 4, 10  # the start is from so many times fewer strings; from so few exactly
ROUGH, ROUGH_CYCLES = 6e-2, 12  # hartree: of the residuals of a start
MORE_STARTS = 3  # than roots
NOISE = 1e-3  # of a start vector's norm: a symmetry of all starts would never be left
NO_SPIN = 1e-6  # spins that differ by less are the same
NONE_OF_IT = 1e-16  # of a vector's square: what is left of it is rounding
PENALTIES = (0.0, 0.3, 1.0, 3.0)  # hartree for each unit of S^2, until it is right


def describe_lowest(problem: Arrays, crew: Crew | None = None) -> dict[str, npt.NDArray[Any]]:
    """What `native_program.lowest_state` returns, to each process of the crew."""
    order = _order_of_alpha(problem)
    if order is None:
        return _describe(problem, crew)
    told = _describe({**problem, "beta": problem["beta"][order]}, crew)
    given = np.argsort(order)
    told["beta_weights"] = told["beta_weights"][given]
    if "amplitudes" in told:
        told["amplitudes"] = np.ascontiguousarray(told["amplitudes"][:, :, given])
    return told


def _order_of_alpha(problem: Arrays) -> npt.NDArray[np.intp] | None:
    """Where beta strings stand in the order of alpha's, if these are the same in another order."""
    alpha, beta = problem["alpha"], problem["beta"]
    if alpha.shape != beta.shape or np.all(alpha == beta) or "mixed" in problem:
        return None
    (one, first, _), (other, second, _) = unique_rows(alpha), unique_rows(beta)
    if len(one) != len(alpha) or one.shape != other.shape or np.any(one != other):
        return None
    order = np.empty_like(second)
    order[first] = second
    return order


def _describe(problem: Arrays, crew: Crew | None) -> dict[str, npt.NDArray[Any]]:
    space, states, spins, found = find_states(problem, crew or Alone())
    probabilities = np.mean([state * state for state in states], axis=0)
    weights = probabilities.sum(axis=0), probabilities.sum(axis=1)
    told = {
        "energy": np.asarray(found.values[0]),
        "occupancies": np.array(
            [
                np.add.reduce(own.occupied * share[:, None])
                for own, share in zip((space.alpha, space.beta), weights, strict=True)
            ]
        ),
        "alpha_weights": weights[0],
        "beta_weights": weights[1],
        "residual": np.asarray(found.residuals.max()),
        "converged": np.asarray(found.converged),
        "spin_square": np.asarray(spins[0]),
        "products": np.asarray(found.products),
        "levels": np.stack([found.values, spins], axis=1),
        "density": one_body_density(space, states[0]),
    }
    keep = str(problem.get("keep", "nothing"))
    if keep != "nothing":
        told["amplitudes"] = np.array([state.T for state in states])
    if "variance" in problem:
        outside = outside_square(space, states[0])
        told["variance"] = np.asarray(found.residuals[0] ** 2 + outside)
    if keep == "rdm":
        told["pair_density"] = two_body_density(space, states[0])
    return told


@cache
def compile_all() -> None:
    """Once in a process: compiles what a solve needs, or loads it, if no other process is at it."""
    compile_in_turn(_solve_small_ones)


def _solve_small_ones() -> None:
    """One problem of the same strings of both spins, with a penalty, and one of others."""
    for electrons, asked in (((2, 2), 6.0), ((2, 1), 0.75)):
        words = [
            np.array([[sum(1 << p for p in c)] for c in combinations(range(4), n)], np.uint8)
            for n in electrons
        ]
        describe_lowest(
            {
                "one_body": np.diag(np.arange(4.0)) + 0.1,
                "two_body": np.linspace(0.5, 0.1, 55),
                "electrons": np.array(electrons),
                "alpha": words[0],
                "beta": words[1],
                "tolerance": np.array(1e-3),
                "max_cycles": np.array(9),
                "threads": np.array(1),
                "spin_square": np.array(asked),
                "variance": np.array(True),
            }
        )


def find_states(problem: Arrays, crew: Crew) -> tuple[ProductSpace, list[Floats], Floats, Lowest]:
    """The space; states, each float64 (beta strings, alpha strings), their S^2, how they were found."""
    target, roots = float(problem["spin_square"]), int(problem.get("roots", 1))
    if "mixed" in problem:
        target = math.nan  # exchanges of spins are no part of a space whose orbitals differ
    space = _space(problem, target, crew)
    penalties = PENALTIES if not math.isnan(target) else PENALTIES[:1]
    for penalty in penalties:
        found = find_lowest(
            partial(_multiply, space, target, penalty),
            _preconditioner(space, target, penalty),
            _starts(space, target, penalty, roots + MORE_STARTS),
            roots=roots,
            tolerance=float(problem["tolerance"]),
            max_cycles=int(problem["max_cycles"]),
            crew=space.crew,
        )
        states = [space.crew.gather(state, space.shape[0]) for state in found.vectors]
        spins = np.array([_spin_square(space, problem, state) for state in states])
        right = [_is_of_spin(space, spin, target) for spin in spins]
        if all(right) or penalty == penalties[-1]:
            found = _of_the_hamiltonian(space, found) if penalty else found
            return space, *_of_the_spin(states, spins, found, right)
    raise AssertionError("there is a last penalty")


def _of_the_spin(
    states: list[Floats], spins: Floats, found: Lowest, right: list[bool]
) -> tuple[list[Floats], Floats, Lowest]:
    """Those states that are of the spin asked for, the lowest first; if none is, as they are."""
    if all(right) or not any(right):
        return states, spins, found
    own = np.flatnonzero(right)
    own = own[np.argsort(found.values[own], kind="stable")]
    kept = found._replace(
        values=found.values[own], vectors=found.vectors[own], residuals=found.residuals[own]
    )
    return [states[i] for i in own], spins[own], kept


def _is_of_spin(space: ProductSpace, square: float, target: float) -> bool:
    """Whether S^2 is of the spin asked for, or nearer to that than to any other; if none is, yes."""
    if math.isnan(target):
        return True
    below, above = _half_gaps(space, target)
    return bool(-below < square - target < above)


def _spin_square(space: ProductSpace, problem: Arrays, state: Floats) -> float:
    if space.integrals.beta is None:
        return space.spin_square(state)
    if len(space.integrals.one_body) > MAX_ORBITALS:
        return math.nan
    strings = [as_integers(each) for each in space.strings]
    orders = [np.argsort(each, kind="stable") for each in strings]
    return spin_square_by_overlap(
        state.T[np.ix_(*orders)],
        (strings[0][orders[0]], strings[1][orders[1]]),
        len(space.integrals.one_body),
        space.electrons,
        np.asarray(problem["overlap"]),
    )


def _integrals(problem: Arrays) -> Integrals:
    one_body, two_body = (np.asarray(problem[name], float) for name in ("one_body", "two_body"))
    if "mixed" not in problem:
        return Integrals(one_body, two_body)
    first, second = (
        np.asarray(problem[name], float) for name in ("beta_one_body", "beta_two_body")
    )
    return Integrals(one_body, two_body, (first, second), np.asarray(problem["mixed"], float))


def _space(problem: Arrays, target: float, crew: Crew) -> ProductSpace:
    alpha, beta = problem["alpha"], problem["beta"]
    electrons = int(problem["electrons"][0]), int(problem["electrons"][1])
    mirrored = 0
    same = electrons[0] == electrons[1] and alpha.shape == beta.shape and np.all(alpha == beta)
    if same and not math.isnan(target):
        mirrored = -1 if round(_spin(target)) % 2 else 1
        if len(alpha) == 1 and mirrored < 0:
            mirrored = 0  # one string of both spins is no triplet; what it is, is told
    crew = crew.for_halves() if mirrored else crew
    return ProductSpace(
        _integrals(problem),
        electrons,
        alpha,
        beta,
        mirrored=mirrored,
        threads=int(problem["threads"]) or int(os.environ.get("OMP_NUM_THREADS") or 1),
        crew=crew,
    )


def _half_gaps(space: ProductSpace, target: float) -> tuple[float, float]:
    """Half the distances of S^2 to those of the next spins that the space has, below and above.

    Nothing is below the lowest spin, so that below is then as far as above.
    """
    spin, step = _spin(target), 2 if space.mirrored else 1
    above = (step * (2 * spin + 1) + step * step) / 2
    if spin - step < _lowest_spin(space) - NO_SPIN:
        return above, above
    return (step * (2 * spin + 1) - step * step) / 2, above


def _spin(square: float) -> float:
    """S, of S (S + 1)."""
    return (math.sqrt(1 + 4 * square) - 1) / 2


def _lowest_spin(space: ProductSpace) -> float:
    """Of the states that the space can have."""
    if space.mirrored < 0:
        return 1
    return abs(space.electrons[0] - space.electrons[1]) / 2


def _multiply(
    space: ProductSpace, target: float, penalty: float, vector: Floats, image: Floats
) -> None:
    """image = (H + penalty (S^2 - target)) vector; squared if lower spins than the target exist.

    What is squared is divided by the distance of the next lower spin, which is raised as a higher
    one is by what is not: more than it takes would have Davidson's method find nothing else.
    """
    space.multiply(vector, image)
    if not penalty:
        return
    off = _off(space, target, vector)
    if _are_lower_spins(space, target):
        off = _off(space, target, off)
        penalty /= 2 * _half_gaps(space, target)[0]
    add_multiple(image, penalty, off)


def _are_lower_spins(space: ProductSpace, target: float) -> bool:
    return _spin(target) > _lowest_spin(space) + NO_SPIN


def _preconditioner(space: ProductSpace, target: float, penalty: float) -> Floats:
    """What stands for the Hamiltonian in corrections of its vectors; this process's rows.

    Where lower spins are kept away it is the mean over determinants that differ in the spins of
    their unpaired electrons only. It commutes with S^2, so that corrections have the spin of what
    they correct; the diagonal itself would bring the lower spins back each time.
    """
    if not penalty or not _are_lower_spins(space, target):
        return space.diagonal[space.own]
    mean = space.diagonal.copy()
    average_exchange(mean, space.alpha, space.beta, space.exchange)
    return mean[space.own]


def _of_spin_alone(space: ProductSpace, target: float, vector: Floats) -> Floats:
    """Its part of that spin (Loewdin, Phys. Rev. 97, 1509, 1955); itself if it has none of it."""
    part, spin = vector, _lowest_spin(space)
    step = 2 if space.mirrored else 1
    while spin <= sum(space.electrons) / 2 + NO_SPIN:
        other = spin * (spin + 1)
        if abs(spin - _spin(target)) > NO_SPIN:
            image = _off(space, other, part)
            part = np.zeros_like(image)
            add_multiple(part, 1 / (target - other), image)
        spin += step
    dot = partial(inner_product, space.crew, space.shape[0])
    return part if dot(part, part) > NONE_OF_IT * dot(vector, vector) else vector


def _off(space: ProductSpace, target: float, vector: Floats) -> Floats:
    """(S^2 - target) vector."""
    image = np.empty_like(vector)
    space.multiply_spin_square(vector, image)
    add_multiple(image, -target, vector)
    return image


def _of_the_hamiltonian(space: ProductSpace, found: Lowest) -> Lowest:
    """The same states' energies and residuals without the penalty."""
    energies, residuals = np.empty(len(found.vectors)), np.empty(len(found.vectors))
    dot = partial(inner_product, space.crew, space.shape[0])
    for i, state in enumerate(found.vectors):
        image = np.empty_like(state)
        space.multiply(state, image)
        energies[i] = dot(state, image)
        add_multiple(image, -energies[i], state)
        residuals[i] = dot(image, image) ** 0.5
    return found._replace(values=energies, residuals=residuals)


def _starts(space: ProductSpace, target: float, penalty: float, count: int) -> Iterator[Floats]:
    """The lowest vectors of a smaller space, and a little of all other determinants."""
    size = max(space.shape) // SMALLER
    alpha, beta = (_lowest_strings(space, spin, max(size, DENSE)) for spin in (0, 1))
    small = space.restricted(alpha, beta)
    if size > DENSE:
        vectors = _lowest_vectors(small, target, penalty, count)
    else:
        vectors = list(_all_vectors(small, target, penalty))
    for i, vector in enumerate(vectors[:count]):
        start = _noise(space, i)
        start[np.ix_(beta, alpha)] += vector
        own = np.ascontiguousarray(start[space.own])
        pure = bool(penalty) and _are_lower_spins(space, target)
        yield _of_spin_alone(space, target, own) if pure else own


def _lowest_vectors(space: ProductSpace, target: float, penalty: float, count: int) -> list[Floats]:
    """Roughly."""
    found = find_lowest(
        partial(_multiply, space, target, penalty),
        _preconditioner(space, target, penalty),
        _starts(space, target, penalty, count),
        roots=count,
        tolerance=ROUGH,
        max_cycles=ROUGH_CYCLES,
        crew=space.crew,
        guards=0,
    )
    return [space.crew.gather(vector, space.shape[0]) for vector in found.vectors]


def _all_vectors(space: ProductSpace, target: float, penalty: float) -> Floats:
    """Of a space so small that its matrix is written out; the lowest first."""
    basis = np.array(_basis(space))
    images = np.empty_like(basis)
    for vector, whole in zip(basis, images, strict=True):
        image = np.empty_like(vector[space.own])
        _multiply(space, target, penalty, np.ascontiguousarray(vector[space.own]), image)
        whole[:] = space.crew.gather(image, space.shape[0])
    matrix = overlaps(basis, images)
    _, mixing = diagonalise((matrix + matrix.T) / 2)
    vectors = np.empty_like(basis)
    combine(basis, mixing, vectors)
    return vectors


def _lowest_strings(space: ProductSpace, spin: int, count: int) -> list[int]:
    """Positions of the strings of one spin that have the lowest determinants."""
    lowest = space.diagonal.min(axis=spin)
    return sorted(np.argsort(lowest, kind="stable")[:count].tolist())


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
    """A small vector without any symmetry but the space's."""
    noise = np.empty(space.shape)
    fill_noise(number, space.diagonal, space.mirrored, noise)
    norm = inner_product(ALONE, len(noise), noise, noise) ** 0.5
    multiply_by(noise, NOISE / norm if norm else 0.0)
    return noise
