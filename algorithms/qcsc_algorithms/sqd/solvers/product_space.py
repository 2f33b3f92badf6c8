"""A Hamiltonian in the space of all pairs of an alpha and a beta string, as an operator."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from qcsc_algorithms.sqd.chemistry.unrestricted import same_spin_repulsion
from qcsc_algorithms.sqd.determinants.configurations import Strings
from qcsc_algorithms.sqd.solvers.crew import Alone, Crew
from qcsc_algorithms.sqd.solvers.string_product import (
    add_mirrored,
    add_opposite_spins,
    add_same_spin,
    add_transposed,
    determinant_energies,
    exchange_spins,
    halve_diagonal,
    multiply_diagonal,
    multiply_spin_diagonal,
)
from qcsc_algorithms.sqd.solvers.string_tables import (
    Floats,
    StringTables,
    mean_field,
    tabulate,
)

TILES = 4  # for each thread: rows differ in their work


class Integrals(NamedTuple):
    """Of the Hamiltonian, without its constant.

    Attributes:
        one_body: float64 (norb, norb).
        two_body: each of eight equal ones once, as a Hamiltonian keeps them.
        beta: one_body and two_body of beta orbitals, where these are not the alpha orbitals, whose
            the others are then.
        mixed: float64 (pairs, pairs), (pq|rs) of two alpha and two beta orbitals, with `beta`.
    """

    one_body: Floats
    two_body: Floats
    beta: tuple[Floats, Floats] | None = None
    mixed: Floats | None = None

    @property
    def opposite(self) -> tuple[Floats, Floats]:
        """Of both spins, as alpha electrons meet beta ones, and the other way round."""
        if self.mixed is None:
            return self.two_body, self.two_body
        return self.mixed, np.ascontiguousarray(self.mixed.T)


class ProductSpace:
    """The operators H and S^2 on vectors float64 (beta strings, alpha strings).

    Args:
        mirrored: 1 or -1: only vectors are meant that equal their transpose times it, of which half
            is computed; both spins have the same strings. 0: all vectors.
        threads: among which the work is shared out; results are the same bits for any number.
        crew: processes among which rows are shared out; the same bits for any number of them, too.
    """

    def __init__(
        self,
        integrals: Integrals,
        electrons: tuple[int, int],
        alpha: Strings,
        beta: Strings,
        *,
        mirrored: int = 0,
        threads: int = 1,
        crew: Crew | None = None,
    ) -> None:
        self.integrals, self.electrons = integrals, electrons
        self.strings = alpha, beta
        self.mirrored, self.threads = mirrored, threads
        self.crew = crew or Alone()
        one_spin = integrals.one_body, integrals.two_body
        self.alpha = tabulate(alpha, *one_spin)
        same = alpha.shape == beta.shape and bool(np.all(alpha == beta)) and integrals.beta is None
        self.beta = self.alpha if same else tabulate(beta, *(integrals.beta or one_spin))
        own = np.arange(len(integrals.one_body))
        by_alpha, by_beta = self._opposite_integrals = integrals.opposite
        repulsion = mean_field(self.beta, own * (own + 1) // 2 + own, by_alpha)
        self.diagonal = determinant_energies(self.alpha, self.beta, repulsion)
        if mirrored:  # to the last bit: what is not mirrored is amplified
            self.diagonal = self.diagonal + self.diagonal.T
            self.diagonal /= 2
        self.field_of_alpha = mean_field(self.alpha, self.beta.pairs, by_beta)
        self.field_of_beta = (
            self.field_of_alpha if same else mean_field(self.beta, self.alpha.pairs, by_alpha)
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Of its vectors."""
        return self.diagonal.shape[0], self.diagonal.shape[1]

    @property
    def own(self) -> slice:
        """The rows of vectors that this process has."""
        return slice(*self.crew.own(len(self.diagonal)))

    @property
    def exchange(self) -> Floats:
        """(pq|qp), float64 (norb, norb), where both spins have the same orbitals."""
        return same_spin_repulsion(self.integrals.two_body, len(self.integrals.one_body))[1]

    def restricted(self, alpha: list[int], beta: list[int]) -> ProductSpace:
        """The same over fewer strings, given by their positions."""
        return ProductSpace(
            self.integrals,
            self.electrons,
            self.strings[0][alpha],
            self.strings[1][beta],
            mirrored=self.mirrored,
            threads=self.threads,
            crew=self.crew,
        )

    def multiply(self, vector: Floats, image: Floats) -> None:
        """image = H times the vector; both are this process's rows."""
        if self.mirrored:
            self._multiply_half(vector, image)
        else:
            self._multiply_all(vector, image)

    def _multiply_half(self, vector: Floats, image: Floats) -> None:
        """One of each two elements that mirror each other, and then both."""
        first, last = self.own.start, self.own.stop
        whole, half = self.crew.gather(vector, len(self.diagonal)), np.empty(self.shape)
        with _sharing(self.threads) as team:
            team.by_rows(partial(multiply_diagonal, self.diagonal, whole, half, True), first, last)
            team.by_tiles(partial(self._opposite, whole, half), (first, last), self.shape[1])
            halve_diagonal(half, first, last)
            team.by_rows(partial(self._same_beta, whole, half), first, last)
            self.crew.make_whole(half)
            sign = float(self.mirrored)
            team.by_rows(partial(add_mirrored, half, image, sign, first), first, last)

    def _multiply_all(self, vector: Floats, image: Floats) -> None:
        first, last = self.own.start, self.own.stop
        whole = self.crew.gather(vector, len(self.diagonal))
        sums = image if whole is vector else np.empty(self.shape)
        turned = np.ascontiguousarray(whole.T)
        other = np.zeros_like(turned)
        with _sharing(self.threads) as team:
            team.by_rows(partial(multiply_diagonal, self.diagonal, whole, sums, False), first, last)
            team.by_tiles(partial(self._opposite, whole, sums), (first, last), self.shape[1])
            team.by_rows(partial(self._same_beta, whole, sums), first, last)
            team.by_rows(partial(self._same_alpha, turned, other), *self.crew.own(len(other)))
            self.crew.make_whole(other)
            if sums is not image:
                image[:] = sums[self.own]
            team.by_rows(partial(add_transposed, other, image, first), first, last)

    def _opposite(
        self, vector: Floats, image: Floats, first: int, last: int, start: int, stop: int
    ) -> None:
        add_opposite_spins(
            vector,
            image,
            self.beta.moves,
            self.alpha.singles,
            (self.beta.pairs, self.alpha.pairs),
            self._opposite_integrals[1],
            self.mirrored != 0,
            (first, last),
            (start, stop),
        )

    def _same_beta(self, vector: Floats, image: Floats, first: int, last: int) -> None:
        _add_same(self.beta, self.field_of_alpha, vector, image, first, last)

    def _same_alpha(self, vector: Floats, image: Floats, first: int, last: int) -> None:
        _add_same(self.alpha, self.field_of_beta, vector, image, first, last)

    def multiply_spin_square(self, vector: Floats, image: Floats) -> None:
        """image = S^2 times the vector, as far as that is in the space; this process's rows."""
        whole = self.crew.gather(vector, len(self.diagonal))
        result = image if whole is vector else np.empty_like(whole)
        self._multiply_spin_square(whole, result)
        if result is not image:
            image[:] = result[self.own]

    def _multiply_spin_square(self, vector: Floats, image: Floats) -> None:
        alpha, beta = self.electrons
        spin = (alpha - beta) / 2
        constant = spin * (spin + 1) + beta
        multiply_spin_diagonal(vector, image, self.alpha, self.beta, constant)
        exchange_spins(vector, image, self.alpha, self.beta)

    def spin_square(self, vector: Floats) -> float:
        """The expectation value of S^2 in a normalised vector, which is whole."""
        image = np.empty_like(vector)
        self._multiply_spin_square(vector, image)
        return math.fsum((vector * image).sum(axis=1))


def _add_same(
    own: StringTables, field: Floats, vector: Floats, image: Floats, first: int, last: int
) -> None:
    add_same_spin(vector, image, own.singles, own.doubles, field, first, last)


class _Team:
    """Threads that share out rows, or tiles of rows and columns; each row or tile is done once."""

    def __init__(self, threads: int, pool: Executor | None) -> None:
        self._threads, self._pool = threads, pool

    def by_rows(self, work: Callable[[int, int], None], first: int, last: int) -> None:
        """Calls it with ranges of rows."""
        if self._pool is None:
            work(first, last)
            return
        bounds = _bounds(first, last, self._threads * TILES)
        list(self._pool.map(work, bounds[:-1], bounds[1:]))

    def by_tiles(
        self, work: Callable[[int, int, int, int], None], rows: tuple[int, int], columns: int
    ) -> None:
        """Calls it with ranges of rows and of columns: what a tile gathers is for it alone."""
        if self._pool is None:
            work(*rows, 0, columns)
            return
        side = math.ceil(math.sqrt(self._threads * TILES))
        by_row, by_column = _bounds(*rows, side), _bounds(0, columns, side)
        tiles = [(*pair, *other) for pair in pairwise(by_row) for other in pairwise(by_column)]
        list(self._pool.map(work, *zip(*tiles, strict=True)))


@contextmanager
def _sharing(threads: int) -> Iterator[_Team]:
    if threads == 1:
        yield _Team(1, None)
        return
    with ThreadPoolExecutor(threads) as pool:
        yield _Team(threads, pool)


def _bounds(first: int, last: int, parts: int) -> list[int]:
    bounds: list[int] = np.linspace(first, last, parts + 1).astype(int).tolist()
    return bounds
