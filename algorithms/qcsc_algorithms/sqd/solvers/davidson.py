"""The lowest eigenvectors of a large symmetric operator, by Davidson's method.

E. R. Davidson, J. Comput. Phys. 17, 87 (1975), with several vectors at a time: those that may yet
come out lowest are followed until they cannot. All is summed in one order, by no library that
chooses another on another processor: the same bits everywhere, and for any number of processes
among which the vectors' rows are shared out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from qcsc_algorithms.sqd.solvers.compiling import compiled
from qcsc_algorithms.sqd.solvers.crew import Crew
from qcsc_algorithms.sqd.solvers.string_tables import Floats

MAX_VECTORS = 16  # kept, and as many images; more, if many are asked for
GUARDS = 3  # vectors followed beside those asked for, as long as they may come out lower
SURELY = 2.5  # times what perturbation theory lowers a vector by, it is not lowered more
SMALLEST = 1e-4  # hartree: of the preconditioner's denominators
DEPENDENT = 1e-8  # what is left of a unit vector that is of the others' space
ENOUGH = 0.7  # is left of a unit vector: it need not be made orthogonal once more
SWEEPS = 60


class Lowest(NamedTuple):
    """Eigenvectors that were found.

    Attributes:
        values: float64 (roots,), ascending.
        vectors: float64 (roots, rows, columns), normalised; the rows of this process.
        residuals: float64 (roots,), norms of the operator's image less value times vector.
        converged: whether all reached the tolerance, and none was left that may be lower.
        products: how many the operator was asked for.
    """

    values: Floats
    vectors: Floats
    residuals: Floats
    converged: bool
    products: int


def find_lowest(
    multiply: Callable[[Floats, Floats], None],
    diagonal: Floats,
    starts: Iterable[Floats],
    *,
    roots: int,
    tolerance: float,
    max_cycles: int,
    crew: Crew,
    guards: int = GUARDS,
) -> Lowest:
    """The lowest eigenvectors.

    Args:
        multiply: writes the operator's image of its first argument to the second.
        diagonal: of the operator, in the shape of its vectors: (rows, columns), the rows of this
            process.
        starts: not zero, and overwritten; more of them than roots, lest one is missed. Each is asked
            for when it is needed, so that not all of them are in memory at a time.
        tolerance: of the residuals' norms.
        max_cycles: after so many the best so far is returned.
        crew: who else has rows.
        guards: vectors followed beside those asked for.
    """
    most = max(MAX_VECTORS, 3 * roots + 2 * guards + 2)
    basis = _Basis(multiply, diagonal.shape, crew, most)
    # used again in each cycle: to have new memory cleared takes as long as many a sum
    room, correction = np.empty((roots + guards, *diagonal.shape)), np.empty(diagonal.shape)
    for start in starts:
        basis.append(start)
    roots = min(roots, basis.size)
    cycle = 0
    while True:
        cycle += 1
        values, mixing = basis.solve()
        followed = min(basis.size, roots + guards)
        residuals = room[:followed]
        norms = basis.take_residuals(values[:followed], mixing[:followed], residuals)
        unsettled: list[int] = []
        for i, norm in enumerate(norms):
            if norm > tolerance:
                _precondition(residuals[i], diagonal, values[i], correction)
                # by so much does perturbation theory lower it
                lower = abs(basis.inner(residuals[i], correction))
                if i < roots or values[i] - SURELY * lower < values[roots - 1]:
                    unsettled.append(i)
        if not unsettled or cycle >= max_cycles:
            break
        if basis.size + len(unsettled) > most:
            basis.restart(mixing[: followed + 1])
        grown = False
        for i in unsettled:  # made again: kept, they would be as many vectors more
            _precondition(residuals[i], diagonal, values[i], correction)
            grown |= basis.append(correction)
        # of an operator that is its diagonal, corrections are what there is already
        if not grown and not any([basis.append(residuals[i]) for i in unsettled]):
            # the space is exhausted
            values, mixing = basis.solve()  # it may have been restarted
            break
    return Lowest(
        values=np.array(values[:roots]),
        vectors=basis.combine(mixing[:roots]),
        residuals=np.array(norms[:roots]),
        converged=max(norms[:roots]) <= tolerance or not unsettled,
        products=basis.products,
    )


class _Basis:
    """Orthonormal vectors, their images, and the operator's matrix between them.

    Vectors are (rows, columns), the rows of this process.
    """

    def __init__(
        self,
        multiply: Callable[[Floats, Floats], None],
        shape: tuple[int, ...],
        crew: Crew,
        most: int,
    ) -> None:
        self._multiply, self._crew, self._shape = multiply, crew, shape
        self._rows = crew.add_up(shape[0])
        most = min(most, self._rows * shape[1])
        self._vectors, self._images = np.empty((most, *shape)), np.empty((most, *shape))
        self._matrix = np.zeros((most, most))
        self.size = self.products = 0

    def append(self, vector: Floats) -> bool:
        """Takes a vector, which it overwrites, unless nothing of it is new."""
        norm = self._norm(vector)
        if not 0 < norm < np.inf or self.size >= len(self._vectors):
            return False
        multiply_by(vector, 1 / norm)
        for _ in range(2):  # the first time leaves rounding, where little is left
            _subtract(vector, self._vectors[: self.size], self._overlaps(self._vectors, vector))
            norm = self._norm(vector)
            if norm < DEPENDENT:
                return False
            multiply_by(vector, 1 / norm)
            if norm > ENOUGH:
                break
        image = self._images[self.size]
        self._multiply(vector, image)
        self.products += 1
        self._vectors[self.size] = vector
        self.size += 1
        row = self._overlaps(self._vectors, image)
        self._matrix[self.size - 1, : self.size] = self._matrix[: self.size, self.size - 1] = row
        return True

    def solve(self) -> tuple[Floats, Floats]:
        """Eigenvalues of the matrix, ascending, and its eigenvectors as rows."""
        return diagonalise(self._matrix[: self.size, : self.size].copy())

    def combine(self, mixing: Floats) -> Floats:
        """The vectors that are so much of each, a row of weights each."""
        combined = np.empty((len(mixing), *self._shape))
        combine(self._vectors[: self.size], mixing, combined)
        return combined

    def take_residuals(self, values: Floats, mixing: Floats, found: Floats) -> list[float]:
        """Writes image less value times the vector, of those that are so much of each; their norms."""
        _take_residuals(
            self._vectors[: self.size], self._images[: self.size], values, mixing, found
        )
        return [self._norm(residual) for residual in found]

    def restart(self, mixing: Floats) -> None:
        """Keeps these combinations only."""
        kept = len(mixing)
        for arrays in (self._vectors, self._images):
            combined = np.empty((kept, *self._shape))
            combine(arrays[: self.size], mixing, combined)
            arrays[:kept] = combined
        self.size = kept
        for i in range(kept):
            self._matrix[i, :kept] = self._overlaps(self._vectors, self._images[i])

    def inner(self, one: Floats, other: Floats) -> float:
        """The scalar product."""
        return inner_product(self._crew, self._rows, one, other)

    def _norm(self, vector: Floats) -> float:
        return float(self.inner(vector, vector) ** 0.5)

    def _overlaps(self, vectors: Floats, vector: Floats) -> Floats:
        """With each of the first ones."""
        sums = np.empty((len(vector), self.size))
        _dot_rows(vectors[: self.size], vector, sums)
        return _sum(self._crew.gather(sums, self._rows))


def inner_product(crew: Crew, rows: int, one: Floats, other: Floats) -> float:
    """Of two vectors, this process's rows of so many; summed by rows, and then over all rows."""
    sums = np.empty((len(one), 1))
    _dot_rows(one.reshape(1, *one.shape), other, sums)
    return float(_sum(crew.gather(sums, rows))[0])


def overlaps(ones: Floats, others: Floats) -> Floats:
    """The scalar products of each of the ones with each of the others, float64 (ones, others)."""
    table = np.empty((len(ones), len(others)))
    for j, other in enumerate(others):
        sums = np.empty((len(other), len(ones)))
        _dot_rows(ones, other, sums)
        table[:, j] = _sum(sums)
    return table


@compiled
def _dot_rows(vectors: Floats, vector: Floats, sums: Floats) -> None:
    """The scalar product of each row of each vector with that of the one, (rows, vectors)."""
    for row in range(len(vector)):
        for i in range(len(vectors)):
            sums[row, i] = _dot(vectors[i, row], vector[row])


@compiled
def _sum(values: Floats) -> Floats:
    """Of the rows."""
    total = np.zeros(values.shape[1])
    for row in range(len(values)):
        for i in range(values.shape[1]):
            total[i] += values[row, i]
    return total


@compiled
def _dot(one: Floats, other: Floats) -> float:
    """The scalar product, by eight sums."""
    a = b = c = d = e = f = g = h = 0.0
    whole = len(one) // 8 * 8
    for i in range(0, whole, 8):
        a += one[i] * other[i]
        b += one[i + 1] * other[i + 1]
        c += one[i + 2] * other[i + 2]
        d += one[i + 3] * other[i + 3]
        e += one[i + 4] * other[i + 4]
        f += one[i + 5] * other[i + 5]
        g += one[i + 6] * other[i + 6]
        h += one[i + 7] * other[i + 7]
    for i in range(whole, len(one)):
        a += one[i] * other[i]
    return ((a + b) + (c + d)) + ((e + f) + (g + h))


@compiled
def multiply_by(vector: Floats, factor: float) -> None:
    """vector *= factor."""
    for row in range(len(vector)):
        for k in range(vector.shape[1]):
            vector[row, k] *= factor


@compiled
def add_multiple(vector: Floats, factor: float, other: Floats) -> None:
    """vector += factor * other."""
    for row in range(len(vector)):
        for k in range(vector.shape[1]):
            vector[row, k] += factor * other[row, k]


@compiled
def _subtract(vector: Floats, others: Floats, weights: Floats) -> None:
    for row in range(len(vector)):
        for i in range(len(others)):
            weight = weights[i]
            for k in range(vector.shape[1]):
                vector[row, k] -= weight * others[i, row, k]


@compiled
def combine(vectors: Floats, mixing: Floats, combined: Floats) -> None:
    """combined = the vectors that are so much of each, a row of weights each."""
    for row in range(vectors.shape[1]):
        combined[:, row] = 0.0
        for i in range(len(vectors)):
            for j in range(len(mixing)):
                weight = mixing[j, i]
                for k in range(vectors.shape[2]):
                    combined[j, row, k] += weight * vectors[i, row, k]


@compiled
def _take_residuals(
    vectors: Floats, images: Floats, values: Floats, mixing: Floats, found: Floats
) -> None:
    for row in range(vectors.shape[1]):
        found[:, row] = 0.0
        for i in range(len(vectors)):
            for j in range(len(mixing)):
                weight, less = mixing[j, i], values[j] * mixing[j, i]
                for k in range(vectors.shape[2]):
                    found[j, row, k] += weight * images[i, row, k] - less * vectors[i, row, k]


@compiled
def _precondition(residual: Floats, diagonal: Floats, value: float, correction: Floats) -> None:
    for row in range(len(residual)):
        for k in range(residual.shape[1]):
            below = value - diagonal[row, k]
            if abs(below) < SMALLEST:
                below = SMALLEST if below > 0 else -SMALLEST
            correction[row, k] = residual[row, k] / below


@compiled
def _rotate(one: Floats, other: Floats, cosine: float, sine: float) -> None:
    for k in range(len(one)):
        left, right = one[k], other[k]
        one[k] = cosine * left - sine * right
        other[k] = sine * left + cosine * right


@compiled
def diagonalise(matrix: Floats) -> tuple[Floats, Floats]:
    """Eigenvalues, ascending, and eigenvectors as rows, of a symmetric matrix it overwrites.

    By Jacobi's rotations, which need nothing but arithmetic and square roots: exactly rounded, so
    that they are the same on every machine.
    """
    size = len(matrix)
    vectors = np.eye(size)
    for _ in range(SWEEPS):
        rotated = False
        for p in range(size):
            for q in range(p + 1, size):
                off = matrix[p, q]
                if abs(off) <= 1e-17 * (abs(matrix[p, p]) + abs(matrix[q, q])) or off == 0.0:
                    continue
                rotated = True
                slope = (matrix[q, q] - matrix[p, p]) / (2 * off)
                tangent = 1.0 / (abs(slope) + np.sqrt(slope * slope + 1.0))
                if slope < 0:
                    tangent = -tangent
                cosine = 1.0 / np.sqrt(tangent * tangent + 1.0)
                sine = tangent * cosine
                _rotate(matrix[p], matrix[q], cosine, sine)
                _rotate(matrix[:, p], matrix[:, q], cosine, sine)
                _rotate(vectors[p], vectors[q], cosine, sine)
        if not rotated:
            break
    values = np.empty(size)
    for p in range(size):
        values[p] = matrix[p, p]
    order = np.argsort(values, kind="mergesort")
    return values[order], vectors[order]
