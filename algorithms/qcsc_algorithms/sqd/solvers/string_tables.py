"""Which strings of one spin the Hamiltonian connects, and by how much.

Orbital pairs (p, q), p >= q, are counted p (p + 1) / 2 + q. Integrals (pq|rs) are packed as a
Hamiltonian keeps them, each of eight equal ones once. Of the pairs, those that some electron moves
between are numbered anew, in the same order.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from qcsc_algorithms.sqd.determinants.configurations import Strings, unpack
from qcsc_algorithms.sqd.solvers.compiling import compiled

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Indices = npt.NDArray[np.int32]
Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint64]


class Rows(NamedTuple):
    """Matrix elements by rows: those of row i are `first[i]` to `first[i + 1]`.

    Attributes:
        first: int64 (strings + 1,).
        column: int32 (elements,), ascending in each row.
        move: int32 (elements,): twice the number of the pair of orbitals that an electron moves
            between, one more where that changes the sign; empty for two electrons.
        value: float64 (elements,), of the Hamiltonian of one spin.
    """

    first: Counts
    column: Indices
    move: Indices
    value: Floats


class Moves(NamedTuple):
    """The same single excitations by the pair's number: `first[pair]` to `first[pair + 1]`.

    Attributes:
        to, source: int32 (excitations,), strings; `to` ascends in each pair.
        sign: float64 (excitations,).
        upward: uint8 (excitations,), whether the electron is in p afterwards.
    """

    first: Counts
    to: Indices
    source: Indices
    sign: Floats
    upward: Bytes


class StringTables(NamedTuple):
    """What is known of the strings of one spin.

    Attributes:
        occupied: uint8 (strings, norb).
        diagonal: float64 (strings,), energies of one spin.
        singles, doubles: where one electron, or two, are elsewhere.
        moves: `singles` by pairs.
        pairs: int64 (numbered,), which pairs those are.
    """

    occupied: Bytes
    diagonal: Floats
    singles: Rows
    doubles: Rows
    moves: Moves
    pairs: Counts


def tabulate(strings: Strings, one_body: Floats, two_body: Floats) -> StringTables:
    """Tables of distinct packed strings, all with as many electrons."""
    norb = len(one_body)
    occupied = np.ascontiguousarray(unpack(strings, norb).astype(np.uint8))
    words = _words(strings)
    below = np.zeros((len(occupied), norb + 1), np.int16)
    np.cumsum(occupied, axis=1, out=below[:, 1:])
    counts = _connections(words)
    first_single, first_double = (np.concatenate([[0], np.cumsum(c)]) for c in counts)
    singles = _rows(first_single, moves=True)
    doubles = _rows(first_double, moves=False)
    _fill(words, occupied, below, one_body, two_body, singles, doubles)
    used, number = np.unique(singles.move // 2, return_inverse=True)
    pairs = used.astype(np.int64)
    singles.move[:] = 2 * number.reshape(-1) + singles.move % 2
    return StringTables(
        occupied=occupied,
        diagonal=_diagonal(occupied, one_body, two_body),
        singles=singles,
        doubles=doubles,
        moves=moves_by_pair(singles, occupied, pairs),
        pairs=pairs,
    )


def mean_field(strings: StringTables, pairs: Counts, two_body: Floats) -> Floats:
    """What electrons of the other spin that move meet: the sum of (pq|kk) over a string's k.

    Args:
        pairs: (p, q), p >= q, of the other spin.
        two_body: packed, or where the spins' orbitals differ float64 (pairs of the other spin, pairs).

    Returns:
        float64 (pairs, strings).
    """
    field = np.zeros((len(pairs), len(strings.occupied)))
    _add_field(strings.occupied, np.asarray(pairs, np.int64), two_body, field)
    return field


def _rows(first: Counts, *, moves: bool) -> Rows:
    size = int(first[-1])
    move = np.empty(size if moves else 0, np.int32)
    return Rows(first, np.empty(size, np.int32), move, np.empty(size))


def _words(strings: Strings) -> Words:
    """Strings as 64-bit words; in which order is no matter."""
    spare = -strings.shape[1] % 8
    padded = np.ascontiguousarray(np.pad(strings, ((0, 0), (spare, 0))))
    return padded.view(np.uint64)


def moves_by_pair(singles: Rows, occupied: Bytes, pairs: Counts) -> Moves:
    """The same elements by pairs.

    Args:
        occupied: of the strings that rows are of.
        pairs: int64 (numbered,), ascending, which pairs those of `singles` are.
    """
    to = np.repeat(np.arange(len(singles.first) - 1), np.diff(singles.first))
    pair = singles.move // 2
    order = np.argsort(pair, kind="stable")
    to, source, pair = to[order], singles.column[order], pair[order]
    upper = ((np.sqrt(1.0 + 8.0 * pairs) - 1) / 2).astype(np.int64)  # p of each pair
    return Moves(
        first=np.searchsorted(pair, np.arange(len(pairs) + 1)).astype(np.int64),
        to=to.astype(np.int32),
        source=source,
        sign=np.where(singles.move[order] % 2, -1.0, 1.0),
        upward=occupied[to, upper[pair]],
    )


@compiled
def _distance(words: Words, i: int, j: int) -> int:
    """Bits that differ; 5 for more than 4."""
    count = 0
    for word in range(words.shape[1]):
        left = words[i, word] ^ words[j, word]
        while left:
            left &= left - np.uint64(1)
            count += 1
            if count > 4:
                return count
    return count


@compiled
def _connections(words: Words) -> tuple[Counts, Counts]:
    """How many strings each one is connected with by one electron, and by two."""
    count = len(words)
    singles, doubles = np.zeros(count, np.int64), np.zeros(count, np.int64)
    for i in range(count):
        for j in range(i):
            distance = _distance(words, i, j)
            if distance == 2:
                singles[i] += 1
                singles[j] += 1
            elif distance == 4:
                doubles[i] += 1
                doubles[j] += 1
    return singles, doubles


@compiled
def _integral(two_body: Floats, p: int, q: int, r: int, s: int) -> float:
    """(pq|rs)."""
    bra = max(p, q) * (max(p, q) + 1) // 2 + min(p, q)
    ket = max(r, s) * (max(r, s) + 1) // 2 + min(r, s)
    return float(two_body[max(bra, ket) * (max(bra, ket) + 1) // 2 + min(bra, ket)])


@compiled
def _add_field(occupied: Bytes, pairs: Counts, two_body: Floats, field: Floats) -> None:
    count, norb = occupied.shape
    for number in range(len(pairs)):
        pair = pairs[number]
        for k in range(norb):
            other = k * (k + 1) // 2 + k
            high, low = max(pair, other), min(pair, other)
            if two_body.ndim == 2:  # decided when it is compiled
                coulomb = two_body[pair, other]
            else:
                coulomb = two_body[high * (high + 1) // 2 + low]
            for i in range(count):
                if occupied[i, k]:
                    field[number, i] += coulomb


@compiled
def _diagonal(occupied: Bytes, one_body: Floats, two_body: Floats) -> Floats:
    count, norb = occupied.shape
    energies = np.zeros(count)
    for i in range(count):
        for p in range(norb):
            if occupied[i, p]:
                energies[i] += one_body[p, p]
                for q in range(p):
                    if occupied[i, q]:
                        energies[i] += _integral(two_body, p, p, q, q)
                        energies[i] -= _integral(two_body, p, q, q, p)
    return energies


@compiled
def _odd(below: npt.NDArray[np.int16], i: int, p: int, q: int) -> int:
    """Whether an odd number of string i's electrons is between two orbitals."""
    return int((below[i, max(p, q)] - below[i, min(p, q) + 1]) & 1)


@compiled
def _fill(
    words: Words,
    occupied: Bytes,
    below: npt.NDArray[np.int16],
    one_body: Floats,
    two_body: Floats,
    singles: Rows,
    doubles: Rows,
) -> None:
    """Writes the rows, by the Slater-Condon rules."""
    count, norb = occupied.shape
    new, old = np.zeros(2, np.int64), np.zeros(2, np.int64)
    for i in range(count):
        single, double = singles.first[i], doubles.first[i]
        for j in range(count):
            distance = _distance(words, i, j)
            if distance != 2 and distance != 4:
                continue
            created, removed = 0, 0
            for p in range(norb):
                if occupied[i, p] > occupied[j, p]:
                    new[created] = p
                    created += 1
                elif occupied[i, p] < occupied[j, p]:
                    old[removed] = p
                    removed += 1
            p, q = new[0], old[0]
            odd = _odd(below, j, p, q)
            if distance == 2:
                pair = max(p, q) * (max(p, q) + 1) // 2 + min(p, q)
                value = one_body[p, q]
                for k in range(norb):
                    if occupied[i, k]:  # k = p cancels
                        value += _integral(two_body, p, q, k, k)
                        value -= _integral(two_body, p, k, k, q)
                singles.column[single] = j
                singles.move[single] = 2 * pair + odd
                singles.value[single] = -value if odd else value
                single += 1
            else:
                r, s = new[1], old[1]
                odd ^= _odd(below, j, r, s)
                odd ^= min(r, s) < q < max(r, s)  # q is empty by now, and p filled
                odd ^= min(r, s) < p < max(r, s)
                value = _integral(two_body, p, q, r, s) - _integral(two_body, p, s, r, q)
                doubles.column[double] = j
                doubles.value[double] = -value if odd else value
                double += 1


@compiled
def fill_excitations(
    strings: Strings,
    occupied: Bytes,
    one_body: Floats,
    two_body: Floats,
    reached: Strings,
    source: Indices,
    move: Indices,
    value: Floats,
) -> None:
    """Writes all strings that one or two electrons lead to from each string, by the same rules.

    Args:
        reached: uint8 (excitations, bytes), packed.
        source, value: of each excitation the string that it is from, and the matrix element.
        move: int32 (excitations,), as `Rows.move` with pairs not numbered anew; of two electrons -1.
    """
    count, norb = occupied.shape
    below = np.zeros((count, norb + 1), np.int16)
    at = 0
    for j in range(count):
        for p in range(norb):
            below[j, p + 1] = below[j, p] + occupied[j, p]
        filled, empty = np.nonzero(occupied[j])[0], np.nonzero(occupied[j] == 0)[0]
        start = at
        at = _fill_singles(below, j, filled, empty, one_body, two_body, reached, move, value, at)
        at = _fill_doubles(below, j, filled, empty, two_body, reached, move, value, at)
        source[start:at] = j
        for row in range(start, at):
            reached[row] ^= strings[j]


@compiled
def _fill_singles(
    below: npt.NDArray[np.int16],
    j: int,
    filled: Counts,
    empty: Counts,
    one_body: Floats,
    two_body: Floats,
    reached: Strings,
    move: Indices,
    value: Floats,
    at: int,
) -> int:
    """Those of string j from a row on, as the orbitals that change; which row comes then."""
    for q in filled:
        for p in empty:
            odd = _odd(below, j, p, q)
            element = one_body[p, q]
            for k in filled:  # q cancels
                element += _integral(two_body, p, q, k, k) - _integral(two_body, p, k, k, q)
            reached[at] = 0
            _flip(reached, at, p)
            _flip(reached, at, q)
            move[at] = 2 * (max(p, q) * (max(p, q) + 1) // 2 + min(p, q)) + odd
            value[at] = -element if odd else element
            at += 1
    return at


@compiled
def _fill_doubles(
    below: npt.NDArray[np.int16],
    j: int,
    filled: Counts,
    empty: Counts,
    two_body: Floats,
    reached: Strings,
    move: Indices,
    value: Floats,
    at: int,
) -> int:
    """The same where two electrons are elsewhere, q < s in p < r."""
    for second, s in enumerate(filled):
        for q in filled[:second]:
            for other, r in enumerate(empty):
                for p in empty[:other]:
                    odd = _odd(below, j, p, q) ^ _odd(below, j, r, s)
                    odd ^= min(r, s) < q  # it is empty by now, and p filled
                    odd ^= min(r, s) < p < max(r, s)
                    element = _integral(two_body, p, q, r, s) - _integral(two_body, p, s, r, q)
                    reached[at] = 0
                    for orbital in (p, q, r, s):
                        _flip(reached, at, orbital)
                    move[at] = -1
                    value[at] = -element if odd else element
                    at += 1
    return at


@compiled
def _flip(strings: Strings, row: int, orbital: int) -> None:
    """Empties a packed string's orbital, or fills it."""
    strings[row, strings.shape[1] - 1 - orbital // 8] ^= np.uint8(1 << (orbital % 8))
