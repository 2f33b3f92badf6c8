"""Outcomes and how often each was seen, as a mapping that writes no string before it is asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from qcsc_loop.sampling.counting import Times
from qcsc_loop.sampling.packing import Packed, num_bytes


class Counts(Mapping[str, int]):
    """Bitstring to number of shots, bit 0 on the right, as qiskit's `get_counts` has it.

    Made of arrays; a bitstring is written when it is looked at. Sorted by bitstring.

    Attributes:
        rows: uint8 (outcomes, ceil(num_bits / 8)), the distinct outcomes, packed as in `Samples`.
        times: int64 (outcomes,), how often each was seen.
        num_bits: the width.
    """

    def __init__(self, rows: Packed, times: Times, num_bits: int) -> None:
        self.rows, self.times, self.num_bits = rows, times, num_bits

    @property
    def shots(self) -> int:
        """How many shots were counted."""
        return int(self.times.sum())

    def most_common(self, number: int) -> list[tuple[str, int]]:
        """The outcomes that were seen most often, those first; of equal ones the smaller first."""
        order = np.argsort(-self.times, kind="stable")[:number]
        names = bitstrings(self.rows[order], self.num_bits)
        return list(zip(names, self.times[order].tolist(), strict=True))

    def __getitem__(self, bitstring: str) -> int:
        found = np.flatnonzero((self.rows == self._packed(bitstring)).all(axis=1))
        if not len(found):
            raise KeyError(bitstring)
        return int(self.times[found[0]])

    def __iter__(self) -> Iterator[str]:
        return iter(bitstrings(self.rows, self.num_bits))

    def __len__(self) -> int:
        return len(self.times)

    def to_dict(self) -> dict[str, int]:
        """All of it, as a dictionary."""
        return dict(zip(self, self.times.tolist(), strict=True))

    def __repr__(self) -> str:
        most = ", ".join(f"{name!r}: {times}" for name, times in self.most_common(4))
        more = f", … {len(self) - 4} more" if len(self) > 4 else ""
        return f"Counts({{{most}{more}}})"

    def _packed(self, bitstring: str) -> Packed:
        if len(bitstring) != self.num_bits or set(bitstring) - {"0", "1"}:
            raise KeyError(bitstring)
        content = int(bitstring or "0", 2).to_bytes(num_bytes(self.num_bits), "big")
        return np.frombuffer(content, np.uint8)


def bitstrings(rows: Packed, num_bits: int) -> list[str]:
    """Packed outcomes as qiskit writes them: bit 0 on the right."""
    if not num_bits:
        return [""] * len(rows)
    digits = np.unpackbits(rows, axis=1)[:, -num_bits:] + np.uint8(ord("0"))
    text = np.ascontiguousarray(digits).tobytes().decode("ascii")
    return [text[start : start + num_bits] for start in range(0, len(text), num_bits)]


def unpack_bits(rows: Packed, num_bits: int) -> Packed:
    """Bits of packed outcomes, uint8 (outcomes, num_bits), column j is bit j."""
    bits = np.unpackbits(rows, axis=1)
    return np.ascontiguousarray(bits[:, bits.shape[1] - num_bits :][:, ::-1])


def pack_bits(bits: Packed) -> Packed:
    """What `unpack_bits` unpacked."""
    spare = -bits.shape[1] % 8
    return np.packbits(np.pad(bits[:, ::-1], ((0, 0), (spare, 0))), axis=1)
