"""Integrals where beta electrons have orbitals of their own, as those of unrestricted Hartree-Fock."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from qcsc_loop.values.arrays import NDArray
from qcsc_loop.values.record import Record

Floats = npt.NDArray[np.float64]
Bits = npt.NDArray[np.bool_]
Order = npt.NDArray[np.int64]

FOCK_CYCLES = 30


class BetaIntegrals(Record):
    """The integrals that beta orbitals are in, in hartree; a Hamiltonian's other ones are alpha's.

    Attributes:
        one_body: float64 (norb, norb), symmetric.
        two_body: (pq|rs) of four beta orbitals, packed as `Hamiltonian.two_body`.
        mixed: float64 (pairs, pairs), (pq|rs) with alpha orbitals p >= q in the row p (p + 1) / 2 + q
            and beta orbitals r >= s in the column r (r + 1) / 2 + s.
        overlap: float64 (frozen + norb, frozen + norb), of alpha orbitals with beta orbitals, the
            frozen ones of each spin first; empty where it is not known, as in a file.
    """

    one_body: NDArray
    two_body: NDArray
    mixed: NDArray
    overlap: NDArray = np.empty((0, 0))


class Repulsion(NamedTuple):
    """(pp|qq) and (pq|qp) of each spin's orbitals, and (pp|qq) of alpha ones with beta ones."""

    coulomb: tuple[Floats, Floats]
    exchange: tuple[Floats, Floats]
    opposite: Floats


class Spins(NamedTuple):
    """What a determinant's energy depends on.

    Attributes:
        levels: diagonals of the one-electron integrals of each spin.
    """

    levels: tuple[Floats, Floats]
    repulsion: Repulsion

    def energy(self, filled: tuple[Bits, Bits]) -> float:
        """Of a determinant with these orbitals filled, without the constant."""
        alpha, beta = (spin.astype(float) for spin in filled)
        energy = alpha @ self.repulsion.opposite @ beta
        for spin, own in enumerate((alpha, beta)):
            between = self.repulsion.coulomb[spin] - self.repulsion.exchange[spin]
            energy += self.levels[spin] @ own + own @ between @ own / 2
        return float(energy)

    def fock(self, filled: tuple[Bits, Bits]) -> tuple[Floats, Floats]:
        """The Fock matrices' diagonals."""
        alpha, beta = (spin.astype(float) for spin in filled)
        met = self.repulsion.opposite @ beta, self.repulsion.opposite.T @ alpha
        first, second = (
            self.levels[spin]
            + (self.repulsion.coulomb[spin] - self.repulsion.exchange[spin]) @ own
            + met[spin]
            for spin, own in enumerate((alpha, beta))
        )
        return first, second

    def lowest_orders(self, electrons: tuple[int, int], margin: float) -> tuple[Order, Order]:
        """Orders of each spin's orbitals in which the first ones are those to fill.

        As they are, if no determinant is found that is lower by more than the margin, in hartree.
        """
        own = np.arange(len(self.levels[0]))
        best, energy = (own, own), self._filled_energy((own, own), electrons) - margin
        by_level = (
            np.argsort(self.levels[0], kind="stable"),
            np.argsort(self.levels[1], kind="stable"),
        )
        for orders in ((own, own), by_level):
            for _ in range(FOCK_CYCLES):
                levels = self.fock(_filled(orders, electrons))
                orders = (
                    np.argsort(levels[0], kind="stable"),
                    np.argsort(levels[1], kind="stable"),
                )
                if self._filled_energy(orders, electrons) < energy:
                    best, energy = orders, self._filled_energy(orders, electrons)
        return best

    def _filled_energy(self, orders: tuple[Order, Order], electrons: tuple[int, int]) -> float:
        return self.energy(_filled(orders, electrons))


def _filled(orders: tuple[Order, Order], electrons: tuple[int, int]) -> tuple[Bits, Bits]:
    return np.argsort(orders[0]) < electrons[0], np.argsort(orders[1]) < electrons[1]


def same_spin_repulsion(two_body: Floats, norb: int) -> tuple[Floats, Floats]:
    """(pp|qq) and (pq|qp) of packed integrals, float64 (norb, norb) each."""
    p, q = np.indices((norb, norb))
    high, low = np.maximum(p, q), np.minimum(p, q)
    pair, own = high * (high + 1) // 2 + low, np.arange(norb)
    bra, ket = (own * (own + 1) // 2 + own)[high], (own * (own + 1) // 2 + own)[low]
    return two_body[bra * (bra + 1) // 2 + ket], two_body[pair * (pair + 1) // 2 + pair]


def spins(one_body: Floats, two_body: Floats, beta: BetaIntegrals) -> Spins:
    """Of a Hamiltonian's integrals of alpha orbitals, and those of beta ones."""
    norb = len(one_body)
    own = np.arange(norb)
    diagonal = own * (own + 1) // 2 + own
    alike = [same_spin_repulsion(np.asarray(each), norb) for each in (two_body, beta.two_body)]
    return Spins(
        (np.diagonal(one_body), np.diagonal(beta.one_body)),
        Repulsion(
            (alike[0][0], alike[1][0]),
            (alike[0][1], alike[1][1]),
            np.asarray(beta.mixed)[np.ix_(diagonal, diagonal)],
        ),
    )


def pair_order(order: Order) -> Order:
    """Which pair of orbitals stands where, once the orbitals stand in another order."""
    p, q = np.tril_indices(len(order))
    high, low = np.maximum(order[p], order[q]), np.minimum(order[p], order[q])
    found: Order = high * (high + 1) // 2 + low
    return found


def reordered(beta: BetaIntegrals, alpha_order: Order, beta_order: Order) -> BetaIntegrals:
    """The same, the orbitals of each spin in another order."""
    overlap = np.asarray(beta.overlap)
    if overlap.size:
        frozen = len(overlap) - len(alpha_order)
        rows, columns = (
            np.concatenate([np.arange(frozen), frozen + order])
            for order in (alpha_order, beta_order)
        )
        overlap = overlap[np.ix_(rows, columns)]
    return BetaIntegrals(
        one_body=np.asarray(beta.one_body)[np.ix_(beta_order, beta_order)],
        two_body=reordered_packed(np.asarray(beta.two_body), beta_order),
        mixed=np.asarray(beta.mixed)[np.ix_(pair_order(alpha_order), pair_order(beta_order))],
        overlap=overlap,
    )


def reordered_packed(two_body: Floats, order: Order) -> Floats:
    """Packed integrals, the orbitals in another order."""
    pairs = pair_order(order)
    bra, ket = np.tril_indices(len(pairs))
    high, low = np.maximum(pairs[bra], pairs[ket]), np.minimum(pairs[bra], pairs[ket])
    found: Floats = two_body[high * (high + 1) // 2 + low]
    return found


def unpacked_mixed(mixed: Floats, norb: int) -> Floats:
    """(pq|rs) of two alpha and two beta orbitals, float64 (norb, norb, norb, norb)."""
    p, q = np.indices((norb, norb))
    high, low = np.maximum(p, q), np.minimum(p, q)
    pairs = (high * (high + 1) // 2 + low).ravel()
    found: Floats = mixed[np.ix_(pairs, pairs)].reshape((norb,) * 4)
    return found
