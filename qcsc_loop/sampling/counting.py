"""How often each bitstring was seen: packed shots, counted as numbers and never as strings.

Numpy alone is imported: ranks of a job start with this.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from qcsc_loop.sampling.packing import Packed, num_bytes

Times = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

DENSE_BITS = 20  # up to here a table of all values (8 MB) is faster than sorting
WORD_BITS = 64  # up to here a shot is one number
CHUNK_SHOTS = 1 << 18  # np.bincount widens its input to 8 bytes a value; this stays in cache
ODD = 0x9E3779B97F4A7C15  # 2^64 / golden ratio: multiplying by it spreads all bits upwards
HALF = np.uint64(32)


def count(shots: Packed, num_bits: int) -> tuple[Packed, Times]:
    """Distinct packed shots in ascending order, and how often each occurs.

    Args:
        shots: uint8 of shape (shots, ceil(num_bits / 8)), big-endian, high bits zero.

    Raises:
        ValueError: the shape does not fit, or a bit above `num_bits` is set.
    """
    if shots.ndim != 2 or shots.shape[1] != num_bytes(num_bits) or shots.dtype != np.uint8:
        raise ValueError(
            f"shots of {num_bits} bits must be uint8 of shape (shots, {num_bytes(num_bits)}), "
            f"not {shots.dtype} of shape {shots.shape}"
        )
    if num_bits % 8 and shots.size and int(shots[:, 0].max()) >> (num_bits % 8):
        raise ValueError(f"a shot has a bit set above the {num_bits} declared")
    if num_bits <= DENSE_BITS:
        return _dense_to_rows(_dense(shots, num_bits), num_bits)
    return merge(shots)


def merge(rows: Packed, times: Times | None = None) -> tuple[Packed, Times]:
    """Equal rows made one, with their counts added up; rows in ascending order.

    Args:
        times: int64 (rows,), how often each was seen; None: once.
    """
    if len(rows) == 0:
        return rows, np.zeros(0, np.int64)
    word = _word(rows, 0)
    if rows.shape[1] <= WORD_BITS // 8 and times is None:
        values, found = np.unique(word, return_counts=True)
        return _rows(values, rows.shape[1]), found.astype(np.int64)
    order, same = _by_beginning(word)
    starts = np.ones(len(rows), bool)
    if same.any():
        starts[1:] = ~same
        _tell_apart(rows, order, starts)
    seen = np.ones(len(rows), np.int64) if times is None else times[order]
    if starts.all():  # as shots of many bits mostly are, on a noisy device
        return _take(rows, order), seen
    first = np.flatnonzero(starts)
    return _take(rows, order[first]), np.add.reduceat(seen, first)


def _by_beginning(word: Words) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
    """What sorts rows by the beginning of their first word; and where one begins as the one before.

    The end of each word gives way to the number of its row: numbers are sorted several times as fast
    as what would sort them is found.
    """
    low = np.uint64(len(word).bit_length())
    numbered = ((word >> low) << low) | np.arange(len(word), dtype=np.uint64)
    numbered.sort()
    beginning = numbered >> low
    same = beginning[1:] == beginning[:-1]
    numbered &= (np.uint64(1) << low) - np.uint64(1)
    return numbered.view(np.intp), same


def _tell_apart(rows: Packed, order: npt.NDArray[np.intp], starts: npt.NDArray[np.bool_]) -> None:
    """Sorts those that begin alike by all that they are; changes `order` and `starts`.

    Args:
        order: what sorts the rows by their beginning.
        starts: where, so sorted, one begins otherwise than the one before; then, where it differs.
    """
    alike = ~starts
    alike[:-1] |= alike[1:]
    places, begins = order[alike], starts[alike]
    words = _words(_take(rows, places))
    found = _starts(words)
    differs = found & ~begins
    if differs.any():
        mixed = _in_groups_with(differs, begins)
        group = [word[mixed] for word in words]
        by_all = _sorted_by_all(group)
        places[mixed] = places[mixed][by_all]
        for word, part in zip(words, group, strict=True):
            word[mixed] = part[by_all]
        order[alike], found = places, _starts(words)
    starts[alike] = found


def _in_groups_with(
    differs: npt.NDArray[np.bool_], begins: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """Rows of the groups, each from where it begins, of which one differs from the one before it."""
    group = np.cumsum(begins) - 1
    mixed = np.zeros(group[-1] + 1, bool)
    mixed[group[differs]] = True
    return np.asarray(mixed[group])


def _take(rows: Packed, order: npt.NDArray[np.intp]) -> Packed:
    """Those rows, each moved as a whole."""
    width = rows.shape[1]
    whole = np.ascontiguousarray(rows).view(f"V{width}")[:, 0]
    return whole.take(order).view(np.uint8).reshape(-1, width)


def _sorted_by_all(words: list[Words]) -> npt.NDArray[np.intp]:
    """What sorts rows of several words, however often each is there.

    Equal rows are brought together by a hash first, so that only distinct ones are sorted by all
    their words. Where two distinct rows have the same hash, all are.
    """
    hashes = _hashes(words)
    together = np.argsort(hashes)
    words, hashes = [word[together] for word in words], hashes[together]
    starts = _starts(words)
    first = np.flatnonzero(starts)
    if len(first) > 1 and (hashes[first[1:]] == hashes[first[:-1]]).any():
        return np.asarray(together[np.lexsort(words[::-1])])
    rank = np.empty(len(first), np.intp)
    rank[np.lexsort([word[first] for word in words[::-1]])] = np.arange(len(first))
    return np.asarray(together[np.argsort(rank[np.cumsum(starts) - 1])])


def _hashes(words: list[Words]) -> Words:
    mixed = words[0] * np.uint64(ODD)
    for word in words[1:]:
        mixed ^= mixed >> HALF
        mixed += word
        mixed *= np.uint64(ODD)
    return mixed ^ (mixed >> HALF)


def _starts(words: list[Words]) -> npt.NDArray[np.bool_]:
    """Where a row differs from the one before it; the first one does."""
    starts = np.ones(len(words[0]), bool)
    starts[1:] = words[0][1:] != words[0][:-1]
    for word in words[1:]:
        starts[1:] |= word[1:] != word[:-1]
    return starts


def _words(rows: Packed) -> list[Words]:
    """The rows as numbers of 64 bits, most significant first: in the same order as the rows.

    The bytes are padded at their end, so that the first word tells as many rows apart as it can.
    """
    return [_word(rows, start) for start in range(0, rows.shape[1], 8)]


def _word(rows: Packed, start: int) -> Words:
    """One of them, from that byte on."""
    padded = np.zeros((len(rows), 8), np.uint8)
    there = rows[:, start : start + 8]
    padded[:, : there.shape[1]] = there
    return padded.view(">u8")[:, 0].astype(np.uint64)


def _rows(word: Words, width: int) -> Packed:
    """What `_word` was made of, where it is all of a row."""
    wide = word.astype(">u8").view(np.uint8).reshape(-1, 8)
    return np.ascontiguousarray(wide[:, :width])


def _dense(shots: Packed, num_bits: int) -> Times:
    table = np.zeros(1 << num_bits, np.int64)
    for start in range(0, len(shots), CHUNK_SHOTS):
        table += np.bincount(_values(shots[start : start + CHUNK_SHOTS]), minlength=len(table))
    return table


def _values(shots: Packed) -> npt.NDArray[Any]:
    if shots.shape[1] == 0:
        return np.zeros(len(shots), np.int64)
    if shots.shape[1] == 1:
        return shots[:, 0]
    if shots.shape[1] == 2:
        return np.ascontiguousarray(shots).view(">u2")[:, 0]
    return (shots[:, 0].astype(np.int64) << 16) | (shots[:, 1].astype(np.int64) << 8) | shots[:, 2]


def _dense_to_rows(table: Times, num_bits: int) -> tuple[Packed, Times]:
    seen = np.flatnonzero(table)
    packed = seen.astype(">u4").view(np.uint8).reshape(-1, 4)
    return np.ascontiguousarray(packed[:, 4 - num_bytes(num_bits) :]), table[seen]
