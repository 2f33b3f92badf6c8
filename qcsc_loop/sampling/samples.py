"""What a quantum source gives back: bits, packed as qiskit packs them."""

from __future__ import annotations

from qcsc_loop.plain import Json
from qcsc_loop.values.arrays import NDArray
from qcsc_loop.values.record import Record


class Samples(Record):
    """Shots of one circuit.

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
