"""Selected CI of pyscf over alpha and beta orbitals that differ, which it has of common ones only.

Its compiled loops take integrals of one spin, and of both, apart: here they are given those of each.
"""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class SpinIntegrals(NamedTuple):
    """Integrals of alpha and of beta orbitals, and (pq|rs) of two of each: full arrays."""

    one_body: tuple[Floats, Floats]
    two_body: tuple[Floats, Floats]
    mixed: Floats


class UnrestrictedCI:
    """The Hamiltonian between all pairs of an alpha and a beta string, as pyscf's loops apply it.

    Args:
        strings: int64, ascending.
        electrons: at least one of each spin.
    """

    def __init__(
        self, integrals: SpinIntegrals, electrons: tuple[int, int], strings: tuple[Any, Any]
    ) -> None:
        from pyscf import ao2mo
        from pyscf.fci import selected_ci

        self._norb, self._electrons = len(integrals.one_body[0]), electrons
        link: Any = selected_ci._all_linkstr_index
        self._links = link(strings, self._norb, electrons)
        self._same = [_antisymmetric(two_body) for two_body in integrals.two_body]
        # one electron's energy, shared out among the other spin's electrons, that it meets anyway
        one, both = np.eye(self._norb), integrals.mixed.copy()
        both += np.einsum("pq,rs->pqrs", integrals.one_body[0] / electrons[1], one)
        both += np.einsum("pq,rs->pqrs", one, integrals.one_body[1] / electrons[0])
        packed = np.asarray(ao2mo.restore(4, both, self._norb))
        self._mixed = np.ascontiguousarray(packed.T)  # rows are pairs of beta orbitals there
        self.diagonal = _diagonal(integrals, [_occupied(each, self._norb) for each in strings])

    def image(self, vector: Floats) -> Floats:
        """H times a vector (alpha strings, beta strings)."""
        alpha_moves, alpha_pairs, beta_moves, beta_pairs = self._links
        result = np.zeros_like(vector)
        if self._electrons[1] > 1:
            turned = np.ascontiguousarray(vector.T)
            image = np.zeros_like(turned)
            self._apply_same(1, turned, image, beta_pairs)
            result += image.T
        if self._electrons[0] > 1:
            self._apply_same(0, vector, result, alpha_pairs)
        _loops().SCIcontract_2e_bbaa(
            *_pointers(self._mixed, vector, result),
            *_integers(self._norb, *vector.shape, alpha_moves.shape[1], beta_moves.shape[1]),
            *_pointers(alpha_moves, beta_moves),
        )
        return result

    def _apply_same(self, spin: int, vector: Floats, image: Floats, pairs: Any) -> None:
        """Adds what two electrons of the rows' spin do to each other."""
        _loops().SCIcontract_2e_aaaa(
            *_pointers(self._same[spin], vector, image),
            *_integers(self._norb, *vector.shape, *pairs.shape[:2]),
            *_pointers(pairs),
        )


def _loops() -> Any:
    from pyscf.fci import selected_ci

    return selected_ci.libfci


def _pointers(*arrays: Any) -> list[Any]:
    return [array.ctypes.data_as(ctypes.c_void_p) for array in arrays]


def _integers(*numbers: int) -> list[Any]:
    return [ctypes.c_int(number) for number in numbers]


def _antisymmetric(two_body: Floats) -> Floats:
    """(pr|qs) - (ps|qr) between pairs p > q and r > s."""
    norb = len(two_body)
    table = two_body.transpose(0, 2, 1, 3) - two_body.transpose(0, 2, 3, 1)
    p, q = np.tril_indices(norb, -1)
    pairs = p * norb + q
    found: Floats = np.ascontiguousarray(table.reshape(norb * norb, -1)[np.ix_(pairs, pairs)])
    return found


def _occupied(strings: Any, norb: int) -> Floats:
    """Float64 (strings, norb), 0 or 1."""
    found: Floats = ((strings[:, None] >> np.arange(norb)) & 1).astype(np.float64)
    return found


def _diagonal(integrals: SpinIntegrals, occupied: list[Floats]) -> Floats:
    """The determinants' energies, (alpha strings, beta strings)."""
    alone = []
    for spin in (0, 1):
        two_body = integrals.two_body[spin]
        between = np.einsum("ppqq->pq", two_body) - np.einsum("pqqp->pq", two_body)
        level = occupied[spin] @ np.diagonal(integrals.one_body[spin])
        alone.append(level + np.einsum("ip,pq,iq->i", occupied[spin], between, occupied[spin]) / 2)
    met: Floats = occupied[0] @ np.einsum("ppqq->pq", integrals.mixed) @ occupied[1].T
    energies: Floats = alone[0][:, None] + alone[1] + met
    return energies
