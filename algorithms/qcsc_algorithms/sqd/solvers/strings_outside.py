"""Which strings beyond given ones the Hamiltonian leads to, and by how much.

As `string_tables`, where rows are of given strings; here they are of strings outside of these.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from qcsc_algorithms.sqd.determinants.configurations import Strings, unique_rows, unpack
from qcsc_algorithms.sqd.determinants.excitations import count_excitations
from qcsc_algorithms.sqd.solvers.string_tables import (
    Counts,
    Floats,
    Indices,
    Moves,
    Rows,
    fill_excitations,
    moves_by_pair,
)

Integers = npt.NDArray[np.int64]


class Outside(NamedTuple):
    """Strings of one spin that given ones are connected with, without these.

    Attributes:
        size: how many.
        near: how many one electron leads to; those come first.
        singles, doubles: their elements; columns are positions of the given strings.
        moves: `singles` by pairs.
        pairs: int64 (numbered,), which pairs those are.
    """

    size: int
    near: int
    singles: Rows
    doubles: Rows
    moves: Moves
    pairs: Counts


class Excitations(NamedTuple):
    """As `fill_excitations` writes them; those within the given strings are left out.

    Attributes:
        to: int64 (excitations,), the number of the string outside.
    """

    to: Integers
    source: Indices
    move: Indices
    value: Floats

    def only(self, chosen: npt.NDArray[np.bool_]) -> Excitations:
        """Some of them."""
        return Excitations(
            self.to[chosen], self.source[chosen], self.move[chosen], self.value[chosen]
        )


def find_outside(strings: Strings, one_body: Floats, two_body: Floats) -> Outside:
    """What is outside of distinct packed strings, all with as many electrons.

    It takes some 80 bytes for each excitation.
    """
    distinct, found = _excite(strings, one_body, two_body)
    single = found.move >= 0
    far = np.ones(len(distinct), bool)
    far[found.to[single]] = False
    order = np.argsort(far, kind="stable")
    found.to[:] = np.argsort(order)[found.to]
    ones = found.only(single)
    pairs, number = np.unique(ones.move // 2, return_inverse=True)
    ones.move[:] = 2 * number.reshape(-1) + ones.move % 2
    singles = _by_row(len(distinct), ones, moves=True)
    occupied = unpack(distinct[order], len(one_body)).astype(np.uint8)
    return Outside(
        size=len(distinct),
        near=int(len(distinct) - far.sum()),
        singles=singles,
        doubles=_by_row(len(distinct), found.only(~single), moves=False),
        moves=moves_by_pair(singles, occupied, pairs.astype(np.int64)),
        pairs=pairs.astype(np.int64),
    )


def _excite(strings: Strings, one_body: Floats, two_body: Floats) -> tuple[Strings, Excitations]:
    """The distinct strings outside, and what leads to them."""
    strings = np.array(strings)
    occupied = np.ascontiguousarray(unpack(strings, len(one_body)).astype(np.uint8))
    size = len(strings) * count_excitations(int(occupied[0].sum()), len(one_body))
    reached = np.empty((size, strings.shape[1]), np.uint8)
    source, move, value = np.empty(size, np.int32), np.empty(size, np.int32), np.empty(size)
    fill_excitations(strings, occupied, one_body, two_body, reached, source, move, value)
    distinct, first, which = unique_rows(np.concatenate([strings, reached]))
    new = first >= len(strings)
    to = (np.cumsum(new) - 1)[which.reshape(-1)[len(strings) :]]
    outside = new[which.reshape(-1)[len(strings) :]]
    return distinct[new], Excitations(to, source, move, value).only(outside)


def _by_row(count: int, found: Excitations, *, moves: bool) -> Rows:
    """Elements of so many rows; columns ascend, as the excitations' strings do."""
    order = np.argsort(found.to, kind="stable")
    return Rows(
        first=np.searchsorted(found.to[order], np.arange(count + 1)).astype(np.int64),
        column=found.source[order],
        move=found.move[order] if moves else np.empty(0, np.int32),
        value=found.value[order],
    )
