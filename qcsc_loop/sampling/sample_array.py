"""Samples of several circuits, or of one at several parameters, in a shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from qcsc_loop.plain import Json
from qcsc_loop.sampling.packing import Packed, num_bytes
from qcsc_loop.sampling.samples import Samples
from qcsc_loop.values.arrays import NDArray
from qcsc_loop.values.record import Record

if TYPE_CHECKING:
    from qcsc_loop.sampling.diagonals import Diagonal


class SampleArray(Record):
    """What `Sampler.sample_all` gives.

    `array[2]` and `array[2, 0]` are the `Samples` of one entry, or the `SampleArray` of what is left
    of the shape.

    Attributes:
        shape: as it was asked for: `(circuits, *points of parameters)`.
        bits: register name to shots, uint8 of shape `(*shape, shots, ceil(num_bits / 8))`, each shot
            as in `Samples`: the layout of a `qiskit.primitives.BitArray` of that shape.
        num_bits: register name to its width.
        shots: of each entry.
        provenance: as in `Samples`, of all entries together.
    """

    shape: tuple[int, ...]
    bits: dict[str, NDArray]
    num_bits: dict[str, int]
    shots: int
    provenance: Json = {}

    def __getitem__(self, index: int | tuple[int, ...]) -> Any:  # Samples, or SampleArray
        place = index if isinstance(index, tuple) else (index,)
        if len(place) > len(self.shape) or not all(
            -size <= number < size for number, size in zip(place, self.shape, strict=False)
        ):
            raise IndexError(f"{index!r} is outside the shape {self.shape}")
        bits = {name: rows[place] for name, rows in self.bits.items()}
        rest = self.shape[len(place) :]
        if rest:
            return SampleArray(
                shape=rest,
                bits=bits,
                num_bits=self.num_bits,
                shots=self.shots,
                provenance=self.provenance,
            )
        return Samples(
            bits=bits, num_bits=self.num_bits, shots=self.shots, provenance=self.provenance
        )

    def flat(self) -> list[Samples]:
        """Every entry, in C order."""
        return [self[place] for place in np.ndindex(self.shape)]

    def expectation(self, diagonal: Diagonal, register: str | None = None) -> NDArray:
        """As `Samples.expectation`, float64 of the shape."""
        return self._each(lambda samples: samples.expectation(diagonal, register))

    def standard_error(self, diagonal: Diagonal, register: str | None = None) -> NDArray:
        """As `Samples.standard_error`, float64 of the shape."""
        return self._each(lambda samples: samples.standard_error(diagonal, register))

    def _each(self, number_of: Callable[[Samples], float]) -> NDArray:
        return np.array([number_of(samples) for samples in self.flat()]).reshape(self.shape)


def in_shape(
    results: Sequence[tuple[Mapping[str, Packed], Mapping[str, int]]],
    points: tuple[int, ...],
    shape: tuple[int, ...],
) -> tuple[dict[str, NDArray], dict[str, int], int]:
    """Bits, widths and shots of a `SampleArray`, of each circuit's registers in order.

    Registers are told apart by their place, under the first circuit's names. Where entries have
    different numbers of shots, the fewest are taken of each: a shape has one.

    Args:
        results: of each circuit: rows, uint8 (*points, ..., bytes), and widths, by register.

    Raises:
        ValueError: an array is not of that shape.
    """
    widths = dict(results[0][1])
    parts: dict[str, list[Packed]] = {name: [] for name in widths}
    for bits, _ in results:
        for name, rows in zip(widths, bits.values(), strict=True):
            wide = num_bytes(widths[name])
            if rows.shape[: len(points)] != points or rows.shape[-1] != wide:
                raise ValueError(
                    f"register {name} of {widths[name]} bits at points of shape {points} is "
                    f"{rows.dtype} of shape {rows.shape}"
                )
            shots = rows.size // max(1, wide * int(np.prod(points))) if wide else 0
            parts[name].append(rows.reshape(*points, shots, wide))
    shots = min(
        (part.shape[-2] for found in parts.values() for part in found if part.shape[-1]), default=0
    )
    if not shots:
        raise ValueError("there are no shots in it")
    stacked: dict[str, NDArray] = {}
    for name, found in parts.items():
        if num_bytes(widths[name]):
            cut = [part[..., :shots, :] for part in found]
            stacked[name] = np.stack(cut).reshape(*shape, shots, -1)
        else:
            stacked[name] = np.zeros((*shape, shots, 0), np.uint8)
    return stacked, widths, shots


def stacked(parts: Sequence[Samples], shape: tuple[int, ...]) -> SampleArray:
    """Samples of each entry, in C order, as one."""
    results = [(part.bits, part.num_bits) for part in parts]
    bits, widths, shots = in_shape(results, (), shape)
    return SampleArray(
        shape=shape,
        bits=bits,
        num_bits=widths,
        shots=shots,
        provenance={"several": [part.provenance for part in parts]},
    )
