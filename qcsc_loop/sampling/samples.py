"""What a quantum source gives back: bits, packed as qiskit packs them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from qcsc_loop.plain import Json
from qcsc_loop.sampling.counting import count
from qcsc_loop.sampling.counts import Counts, bitstrings, pack_bits, unpack_bits
from qcsc_loop.sampling.diagonals import mean_and_error
from qcsc_loop.sampling.packing import Packed
from qcsc_loop.values.arrays import NDArray
from qcsc_loop.values.record import Record

if TYPE_CHECKING:
    from qiskit.primitives import BitArray

    from qcsc_loop.sampling.diagonals import Diagonal

JOINED = "joined"  # what several registers are called when they are made one


# Many short methods: what everybody asks of shots first, each under its own name.
class Samples(Record):
    """Shots of one circuit.

    Bit j of a register is its `clbits[j]`. Where a bitstring is written, bit 0 stands on the right,
    as qiskit writes it. Methods take the name of a register; without one they take the only one
    there is, or all of them joined, the first one's bits lowest, as qiskit's `join_data` has them.

    >>> bits = {"c": np.array([[0b01], [0b11], [0b01]], np.uint8)}
    >>> samples = Samples(bits=bits, num_bits={"c": 2}, shots=3)
    >>> samples.counts()
    Counts({'01': 2, '11': 1})
    >>> samples.expectation({"ZI": 1.0})  # bit 1, of which two shots are 0 and one is 1
    0.3333333333333333

    Attributes:
        bits: register name to its shots, uint8 of shape (shots, ceil(num_bits / 8)): one row a
            shot, big-endian, the unused high bits of the first byte zero - the layout of
            `qiskit.primitives.BitArray.array`.
        num_bits: register name to its width.
        shots: how many shots there are in each register. A QPU may give more than it was asked for:
            twirling rounds them up, and provenance then says `shots_asked`.
        provenance: source, seed, circuit hash and whatever the source can tell, as plain JSON.
    """

    bits: dict[str, NDArray]
    num_bits: dict[str, int]
    shots: int
    provenance: Json = {}

    def counts(self, register: str | None = None) -> Counts:
        """How often each outcome was seen, sorted by bitstring; counted by numbers, not strings.

        `counts()["0110"]`, `.most_common(10)`, `.to_dict()`; as arrays: `.rows`, `.times`.
        """
        rows, num_bits = self.packed(register)
        return Counts(*count(rows, num_bits), num_bits)

    def bitstrings(self, register: str | None = None) -> list[str]:
        """Every shot in the order in which it was taken, bit 0 on the right."""
        return bitstrings(*self.packed(register))

    def unpacked(self, register: str | None = None) -> NDArray:
        """Every shot's bits, uint8 of shape (shots, num_bits); column j is bit j."""
        return unpack_bits(*self.packed(register))

    def expectation(self, diagonal: Diagonal, register: str | None = None) -> float:
        """The mean of a diagonal observable over all shots, in its unit.

        Args:
            diagonal: a function of bits, uint8 (outcomes, num_bits) with bit j in column j, that
                gives a number for each outcome; or an array of 2^num_bits numbers, by the outcome
                as a number; or coefficients by label of I and Z, bit 0 on the right, as
                `{"ZZI": 0.5}`; or a `SparsePauliOp` of such.

        Raises:
            ValueError: it is not diagonal, or not of so many bits.
        """
        return mean_and_error(self.counts(register), diagonal)[0]

    def standard_error(self, diagonal: Diagonal, register: str | None = None) -> float:
        """Of `expectation`, from the shots' own scatter; NaN of a single shot."""
        return mean_and_error(self.counts(register), diagonal)[1]

    def marginal(self, bits: Sequence[int], register: str | None = None) -> Samples:
        """The same shots of some bits alone: bit k of the result is bit `bits[k]`.

        Raises:
            ValueError: there is no such bit.
        """
        name, (rows, num_bits) = self._named(register), self.packed(register)
        if wrong := [bit for bit in bits if not 0 <= bit < num_bits]:
            raise ValueError(f"there is no bit {wrong[0]}: {name} has bits 0 to {num_bits - 1}")
        chosen = pack_bits(unpack_bits(rows, num_bits)[:, list(bits)])
        return Samples(
            bits={name: chosen},
            num_bits={name: len(bits)},
            shots=self.shots,
            provenance=self.provenance,
        )

    def packed(self, register: str | None = None) -> tuple[Packed, int]:
        """Shots as they are stored, uint8 (shots, ceil(num_bits / 8)), and their width.

        Raises:
            ValueError: there is no such register.
        """
        if register is None and len(self.bits) != 1:
            parts = [unpack_bits(self.bits[name], self.num_bits[name]) for name in self.bits]
            if not parts:
                raise ValueError("there is no register in these samples")
            joined = np.concatenate(parts, axis=1)
            return pack_bits(joined), joined.shape[1]
        name = self._named(register)
        if name not in self.bits:
            known = ", ".join(self.bits) or "none"
            raise ValueError(f"there is no register {name!r}; there are: {known}")
        return self.bits[name], self.num_bits[name]

    def _named(self, register: str | None) -> str:
        if register is not None:
            return register
        return next(iter(self.bits)) if len(self.bits) == 1 else JOINED

    def to_bit_array(self, register: str | None = None) -> BitArray:
        """As qiskit has them; nothing is copied of a single register."""
        from qiskit.primitives import BitArray

        return BitArray(*self.packed(register))

    def __add__(self, other: Samples) -> Samples:
        if not isinstance(other, Samples):
            return NotImplemented
        return merge_samples([self, other])


def merge_samples(several: Iterable[Samples]) -> Samples:
    """Shots of the same registers as one, in the order given; each one's provenance is kept.

    Raises:
        ValueError: there is none, or they have other registers.
    """
    parts = list(several)
    if not parts:
        raise ValueError("there are no samples to merge")
    if other := next((part for part in parts if part.num_bits != parts[0].num_bits), None):
        raise ValueError(
            f"samples of registers {parts[0].num_bits} and {other.num_bits} cannot be merged: names "
            "and widths differ"
        )
    return Samples(
        bits={name: np.concatenate([part.bits[name] for part in parts]) for name in parts[0].bits},
        num_bits=parts[0].num_bits,
        shots=sum(part.shots for part in parts),
        provenance={"merged": [origin for part in parts for origin in _origins(part)]},
    )


def _origins(part: Samples) -> list[Json]:
    merged = part.provenance.get("merged")
    return merged if isinstance(merged, list) else [part.provenance]
