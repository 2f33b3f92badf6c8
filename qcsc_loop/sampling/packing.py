"""Bits as qiskit's BitArray packs them: rows of bytes, big-endian, unused high bits zero."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit.primitives.containers import DataBin

Packed = npt.NDArray[np.uint8]
CHUNK_BYTES = 1 << 24  # of random numbers drawn at a time


def num_bytes(num_bits: int) -> int:
    """Bytes of one packed shot."""
    return -(-num_bits // 8)


def registers(circuit: QuantumCircuit) -> dict[str, int]:
    """The names and widths of a circuit's classical registers."""
    return {register.name: register.size for register in circuit.cregs}


def read_registers(data: DataBin) -> tuple[dict[str, Packed], dict[str, int]]:
    """A primitive's result as it holds it, without a copy: bits and widths by register."""
    found: dict[str, Any] = dict(data.items())
    bits = {name: register.array for name, register in found.items()}
    return bits, {name: register.num_bits for name, register in found.items()}


def draw_bits(rng: np.random.Generator, shots: int, num_bits: int) -> Packed:
    """Uniform shots, in as much memory as they take."""
    width = num_bytes(num_bits)
    bits = rng.integers(0, 256, (shots, width), np.uint8)
    if width and num_bits % 8:
        bits[:, 0] &= (1 << num_bits % 8) - 1
    return bits


def flip_bits(rng: np.random.Generator, bits: Packed, num_bits: int, probability: float) -> Packed:
    """The shots with each bit flipped with the same probability, independently."""
    result = bits.copy()
    rows = max(1, CHUNK_BYTES // max(1, 8 * num_bits))
    spare = 8 * bits.shape[1] - num_bits
    for start in range(0, len(bits), rows):
        part = result[start : start + rows]
        flips = rng.random((len(part), num_bits)) < probability
        part ^= np.packbits(np.pad(flips, ((0, 0), (spare, 0))), axis=1)
    return result
