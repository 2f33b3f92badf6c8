"""A Hamiltonian in the space of all pairs of an alpha and a beta string, as an operator."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import numpy as np

from qcsc_algorithms.sqd.determinants.configurations import Strings
from qcsc_algorithms.sqd.solvers.string_product import (
    add_opposite_spins,
    add_same_spin,
    add_transposed,
    determinant_energies,
    exchange_spins,
    mirror,
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
    """

    one_body: Floats
    two_body: Floats


class ProductSpace:
    """The operators H and S^2 on vectors float64 (beta strings, alpha strings).

    Args:
        mirrored: 1 or -1: only vectors are meant that equal their transpose times it, of which half
            is computed; both spins have the same strings. 0: all vectors.
        threads: among which rows are shared out; results are the same bits for any number.
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
    ) -> None:
        self.integrals, self.electrons = integrals, electrons
        self.strings = alpha, beta
        self.mirrored, self.threads = mirrored, threads
        self.alpha = tabulate(alpha, *integrals)
        same = alpha.shape == beta.shape and bool(np.all(alpha == beta))
        self.beta = self.alpha if same else tabulate(beta, *integrals)
        own = np.arange(len(integrals.one_body))
        two_body = integrals.two_body
        repulsion = mean_field(self.beta, own * (own + 1) // 2 + own, two_body)
        self.diagonal = determinant_energies(self.alpha, self.beta, repulsion)
        if mirrored:  # to the last bit: what is not mirrored is amplified
            self.diagonal = (self.diagonal + self.diagonal.T) / 2
        self.field_of_alpha = mean_field(self.alpha, self.beta.pairs, two_body)
        self.field_of_beta = (
            self.field_of_alpha if same else mean_field(self.beta, self.alpha.pairs, two_body)
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Of its vectors."""
        return self.diagonal.shape[0], self.diagonal.shape[1]

    def restricted(self, alpha: list[int], beta: list[int]) -> ProductSpace:
        """The same over fewer strings, given by their positions."""
        return ProductSpace(
            self.integrals,
            self.electrons,
            self.strings[0][alpha],
            self.strings[1][beta],
            mirrored=self.mirrored,
        )

    def multiply(self, vector: Floats, image: Floats) -> None:
        """image = H times the vector."""
        multiply_diagonal(self.diagonal, vector, image)
        with self._sharing() as share:
            share(len(vector), partial(_opposite, self, vector, image))
            half = image if not self.mirrored else np.zeros_like(image)
            share(len(vector), partial(_same, self.beta, self.field_of_alpha, vector, half))
            if self.mirrored:
                mirror(half, image, float(self.mirrored))
                return
            turned = np.ascontiguousarray(vector.T)
            other = np.zeros_like(turned)
            share(len(turned), partial(_same, self.alpha, self.field_of_beta, turned, other))
        add_transposed(other, image)

    def multiply_spin_square(self, vector: Floats, image: Floats) -> None:
        """image = S^2 times the vector, as far as that is in the space."""
        alpha, beta = self.electrons
        spin = (alpha - beta) / 2
        constant = spin * (spin + 1) + beta
        multiply_spin_diagonal(vector, image, self.alpha, self.beta, constant)
        exchange_spins(vector, image, self.alpha, self.beta)

    def spin_square(self, vector: Floats) -> float:
        """The expectation value of S^2 in a normalised vector."""
        image = np.empty_like(vector)
        self.multiply_spin_square(vector, image)
        return math.fsum((vector * image).sum(axis=1))

    @contextmanager
    def _sharing(self) -> Iterator[Callable[[int, Callable[[int, int], None]], None]]:
        """Calls a function with ranges of rows, each row once."""
        if self.threads == 1:
            yield lambda rows, work: work(0, rows)
            return
        with ThreadPoolExecutor(self.threads) as pool:

            def share(rows: int, work: Callable[[int, int], None]) -> None:
                bounds = np.linspace(0, rows, self.threads * TILES + 1).astype(int).tolist()
                list(pool.map(work, bounds[:-1], bounds[1:]))

            yield share


def _opposite(space: ProductSpace, vector: Floats, image: Floats, first: int, last: int) -> None:
    add_opposite_spins(
        vector,
        image,
        space.alpha.moves,
        space.beta.singles,
        (space.alpha.pairs, space.beta.pairs),
        space.integrals.two_body,
        first,
        last,
        space.mirrored != 0,
    )


def _same(
    own: StringTables, field: Floats, vector: Floats, image: Floats, first: int, last: int
) -> None:
    add_same_spin(vector, image, own.singles, own.doubles, field, first, last)
