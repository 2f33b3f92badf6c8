"""The lowest eigenvectors of a large symmetric operator, by Davidson's method.

E. R. Davidson, J. Comput. Phys. 17, 87 (1975), with several vectors at a time: those that may yet
come out lowest are followed until they cannot. All is summed in one order, by no library that
chooses another on another processor: the same bits everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from qcsc_algorithms.sqd.solvers.compiling import compiled
from qcsc_algorithms.sqd.solvers.string_tables import Floats

MAX_VECTORS = 16  # kept, and as many images
GUARDS = 3  # vectors followed beside those asked for
SMALLEST = 1e-4  # hartree: of the preconditioner's denominators
DEPENDENT = 1e-8  # what is left of a unit vector that is of the others' space
SWEEPS = 60


class Lowest(NamedTuple):
    """Eigenvectors that were found.

    Attributes:
        values: float64 (roots,), ascending.
        vectors: float64 (roots, ...), normalised.
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
    starts: list[Floats],
    *,
    roots: int,
    tolerance: float,
    max_cycles: int,
) -> Lowest:
    """The lowest eigenvectors.

    Args:
        multiply: writes the operator's image of its first argument to the second.
        diagonal: of the operator, in the shape of its vectors.
        starts: not zero; more of them than roots, lest one is missed.
        tolerance: of the residuals' norms.
        max_cycles: after so many the best so far is returned.
    """
    basis = _Basis(multiply, diagonal.shape)
    for start in starts:
        basis.append(start.copy())
    roots = min(roots, basis.size)
    cycle = 0
    while True:
        cycle += 1
        values, mixing = basis.solve()
        followed = min(basis.size, roots + GUARDS)
        found = [basis.residual(values[i], mixing[i]) for i in range(followed)]
        norms = [norm for _, norm in found]
        worst = values[roots - 1]
        open_ = [
            i
            for i, norm in enumerate(norms)
            if norm > tolerance and (i < roots or values[i] - norm < worst)
        ]
        if not open_ or cycle >= max_cycles:
            break
        if basis.size + len(open_) > MAX_VECTORS:
            basis.restart(mixing[: followed + 1])
        corrections = [_corrected(found[i][0], diagonal, values[i]) for i in open_]
        if not any([basis.append(vector) for vector in corrections]):
            break  # nothing new: the space is exhausted
    return Lowest(
        values=np.array(values[:roots]),
        vectors=np.array([basis.combine(mixing[i]) for i in range(roots)]),
        residuals=np.array(norms[:roots]),
        converged=max(norms[:roots]) <= tolerance or not open_,
        products=basis.products,
    )


class _Basis:
    """Orthonormal vectors, their images, and the operator's matrix between them."""

    def __init__(self, multiply: Callable[[Floats, Floats], None], shape: tuple[int, ...]) -> None:
        self._multiply, self._shape = multiply, shape
        self._vectors: list[Floats] = []
        self._images: list[Floats] = []
        self._matrix = np.zeros((MAX_VECTORS, MAX_VECTORS))
        self.products = 0

    @property
    def size(self) -> int:
        return len(self._vectors)

    def append(self, vector: Floats) -> bool:
        """Takes a vector, which it overwrites, unless nothing of it is new."""
        norm = _dot(vector, vector) ** 0.5
        if not 0 < norm < np.inf or self.size >= min(MAX_VECTORS, vector.size):
            return False
        vector *= 1 / norm
        for _ in range(2):  # the first time leaves rounding
            for other in self._vectors:
                add_multiple(vector, -_dot(other, vector), other)
            norm = _dot(vector, vector) ** 0.5
            if norm < DEPENDENT:
                return False
            vector *= 1 / norm
        image = np.empty_like(vector)
        self._multiply(vector, image)
        self.products += 1
        self._vectors.append(vector)
        self._images.append(image)
        last = self.size - 1
        for i, other in enumerate(self._vectors):
            self._matrix[i, last] = self._matrix[last, i] = _dot(other, image)
        return True

    def solve(self) -> tuple[Floats, Floats]:
        """Eigenvalues of the matrix, ascending, and its eigenvectors as rows."""
        return diagonalise(self._matrix[: self.size, : self.size].copy())

    def combine(self, weights: Floats) -> Floats:
        """The vector that is so much of each."""
        return self._combined(self._vectors, weights)

    def residual(self, value: float, weights: Floats) -> tuple[Floats, float]:
        """Image less value times the vector that is so much of each; its norm."""
        vector = self._combined(self._images, weights)
        for weight, other in zip(weights, self._vectors, strict=True):
            add_multiple(vector, -value * weight, other)
        return vector, float(_dot(vector, vector) ** 0.5)

    def restart(self, mixing: Floats) -> None:
        """Keeps these combinations only."""
        self._vectors, self._images = (
            [self._combined(arrays, weights) for weights in mixing]
            for arrays in (self._vectors, self._images)
        )
        for i, vector in enumerate(self._vectors):
            for j, image in enumerate(self._images):
                self._matrix[i, j] = _dot(vector, image)

    def _combined(self, arrays: list[Floats], weights: Floats) -> Floats:
        total = np.zeros(self._shape)
        for weight, array in zip(weights, arrays, strict=True):
            add_multiple(total, weight, array)
        return total


def _corrected(residual: Floats, diagonal: Floats, value: float) -> Floats:
    correction = np.empty_like(residual)
    _precondition(residual.ravel(), diagonal.ravel(), value, correction.ravel())
    return correction


def _dot(one: Floats, other: Floats) -> float:
    return dot(one.ravel(), other.ravel())


def add_multiple(vector: Floats, factor: float, other: Floats) -> None:
    """vector += factor * other."""
    _add_multiple(vector.ravel(), factor, other.ravel())


@compiled
def dot(one: Floats, other: Floats) -> float:
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
def _add_multiple(vector: Floats, factor: float, other: Floats) -> None:
    for i in range(len(vector)):
        vector[i] += factor * other[i]


@compiled
def _precondition(residual: Floats, diagonal: Floats, value: float, correction: Floats) -> None:
    for i in range(len(residual)):
        below = value - diagonal[i]
        if abs(below) < SMALLEST:
            below = SMALLEST if below > 0 else -SMALLEST
        correction[i] = residual[i] / below


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
