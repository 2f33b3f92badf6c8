"""Bits as qiskit's BitArray packs them: rows of bytes, big-endian, unused high bits zero."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from qcsc_loop.errors import NothingMeasured

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


def require_asked(circuit: QuantumCircuit, shots: int) -> None:
    """Refuses what no source can sample, before it costs anything.

    Raises:
        NothingMeasured: nothing would be read of the circuit.
        ValueError: it is none, or has parameters without a value; or that is no number of shots.
    """
    require_measured(circuit)
    if asked := circuit.num_parameters:
        raise ValueError(
            f"the circuit has {asked} parameters without a value: bind them with "
            "assign_parameters(), or give it to sample_all() together with their values"
        )
    require_shots(shots)


def require_shots(shots: object) -> None:
    """Refuses what is no number of shots.

    Raises:
        ValueError: it is none.
    """
    whole = isinstance(shots, int | np.integer) and not isinstance(shots, bool)
    if not whole or shots < 1:  # type: ignore[operator]
        raise ValueError(
            f"shots is a whole number from 1 on, the same for each circuit, not {shots!r:.60}"
        )


def require_measured(circuit: QuantumCircuit) -> None:
    """Refuses a circuit of which nothing would be read, before it costs anything.

    Raises:
        NothingMeasured: it has no classical bits, or nothing in it touches one.
        ValueError: it is no circuit.
    """
    if not (hasattr(circuit, "cregs") and hasattr(circuit, "data")):
        several = "; several go to sample_all()" if isinstance(circuit, list | tuple) else ""
        raise ValueError(f"what is sampled is a QuantumCircuit, not {circuit!r:.60}{several}")
    if not any(register.size for register in circuit.cregs):
        raise NothingMeasured("it has no classical register")
    if not any(part.clbits for part in circuit.data):
        raise NothingMeasured("nothing in it is measured")


def read_registers(data: DataBin) -> tuple[dict[str, Packed], dict[str, int]]:
    """A primitive's result: bits, as of `in_rows`, and widths by register."""
    bits, widths = read_arrays(data)
    return in_rows(bits, widths), widths


def read_arrays(data: DataBin) -> tuple[dict[str, Packed], dict[str, int]]:
    """A primitive's result as it came: bits, of any shape, and widths by register."""
    found: dict[str, Any] = dict(data.items())
    widths = {name: int(register.num_bits) for name, register in found.items()}
    return {name: register.array for name, register in found.items()}, widths


def shots_of(bits: Mapping[str, Packed]) -> int:
    """How many shots there are."""
    return min(map(len, bits.values()))


def surplus(asked: int, given: int) -> dict[str, int]:
    """What provenance says of shots that are not as many as were asked for."""
    return {} if given == asked else {"shots_asked": asked, "shots_given": given}


def in_rows(bits: Mapping[str, Packed], widths: Mapping[str, int]) -> dict[str, Packed]:
    """Registers as rows of shots, without a copy.

    All that a source gives is taken, however many shots that are: twirling rounds them up to as many
    in each randomisation, and may give these an axis of their own.

    Raises:
        ValueError: there is none, or a register is not made of bits.
    """
    found: dict[str, Packed] = {}
    for register, rows in bits.items():
        width = num_bytes(widths[register])
        if rows.dtype != np.uint8 or not rows.ndim or rows.shape[-1] != width:
            what = f"{rows.dtype} of shape {rows.shape}"
            raise ValueError(f"register {register} of {widths[register]} bits is {what}")
        if width:  # a register of no bits says nothing, of however many shots
            found[register] = rows.reshape(-1, width)
    shots = min((len(rows) for rows in found.values()), default=0)
    if not shots:
        raise ValueError("there are no shots in it")
    empty = {name: np.zeros((shots, 0), np.uint8) for name in bits if name not in found}
    return {name: rows[:shots] for name, rows in (found | empty).items()}


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
