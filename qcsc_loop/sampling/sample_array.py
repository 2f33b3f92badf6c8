"""Samples of several circuits, or of one at several parameters, in a shape."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import EllipsisType
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from qcsc_loop.plain import Json
from qcsc_loop.sampling.packing import Packed, num_bytes
from qcsc_loop.sampling.samples import Samples
from qcsc_loop.values.arrays import NDArray
from qcsc_loop.values.record import Record

if TYPE_CHECKING:
    from qiskit.primitives import BitArray

    from qcsc_loop.sampling.diagonals import Diagonal

Place: TypeAlias = int | slice | EllipsisType
Index: TypeAlias = Place | tuple[Place, ...]


class SampleArray(Record):
    """What `Sampler.sample_all` gives: the shots of each entry of a shape.

    It is indexed, gone through and counted as a numpy array is: `array[2]`, `array[2, 0]`,
    `array[1:3]`, `array[..., 0]`, `for row in array`, `len(array)`. One entry is `Samples`, several are
    a `SampleArray` of what is left of the shape.

    >>> bits = {"c": np.array([[[1], [0], [1]], [[1], [1], [1]]], np.uint8)}
    >>> array = SampleArray(shape=(2,), bits=bits, num_bits={"c": 1}, shots=3)
    >>> [samples.counts() for samples in array]
    [Counts({'1': 2, '0': 1}), Counts({'1': 3})]
    >>> array[-1].expectation({"Z": 1.0})
    -1.0
    >>> array.expectation({"Z": 1.0}).round(3).tolist()  # of all entries at once
    [-0.333, -1.0]
    >>> array[:1].shape, array.bitstrings().shape
    ((1,), (2, 3))

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

    def __getitem__(self, index: Index) -> Any:  # Samples, or SampleArray
        """One entry, or several in the shape that is left.

        Raises:
            IndexError: it is outside the shape, or neither a number, a slice nor `...`.
        """
        places = self._places(index)
        left = [
            len(range(*place.indices(size)))
            for place, size in zip(places, self.shape, strict=True)
            if isinstance(place, slice)
        ]
        bits = {name: rows[places] for name, rows in self.bits.items()}
        if left or _has_ellipsis(index):
            return SampleArray(
                shape=tuple(left),
                bits=bits,
                num_bits=self.num_bits,
                shots=self.shots,
                provenance=self.provenance,
            )
        return Samples(
            bits=bits, num_bits=self.num_bits, shots=self.shots, provenance=self.provenance
        )

    def _places(self, index: Index) -> tuple[int | slice, ...]:
        """What is taken of each axis."""
        given = index if isinstance(index, tuple) else (index,)
        if sum(place is ... for place in given) > 1:
            raise IndexError(f"{given!r} has more than one ellipsis (...)")
        missing = len(self.shape) - sum(place is not ... for place in given)
        if missing < 0:
            raise IndexError(f"{index!r} is outside the shape {self.shape}")
        at = next((k for k, place in enumerate(given) if place is ...), len(given))
        every = (*given[:at], *[slice(None)] * missing, *given[at + 1 :])
        return tuple(
            _place(place, size, index, self.shape)
            for place, size in zip(every, self.shape, strict=True)
        )

    def __len__(self) -> int:
        """The size of the first axis.

        Raises:
            TypeError: the shape is (): there is no axis.
        """
        if not self.shape:
            raise TypeError("a single entry, of shape (), has no length; take it with array[()]")
        return self.shape[0]

    def __bool__(self) -> bool:
        return bool(math.prod(self.shape))

    # pydantic's goes through the fields, which nobody means who goes through samples
    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """Each entry of the first axis: `Samples`, or a `SampleArray` of the other axes.

        Raises:
            TypeError: the shape is (): there is no axis.
        """
        return (self[place] for place in range(len(self)))

    def flat(self) -> list[Samples]:
        """Every entry, in C order."""
        return [self[place] for place in np.ndindex(self.shape)]

    def counts(self, register: str | None = None) -> npt.NDArray[np.object_]:
        """As `Samples.counts`: a `Counts` for each entry, in an object array of the shape."""
        found = np.empty(self.shape, object)
        for place in np.ndindex(self.shape):
            found[place] = self[place].counts(register)
        return found

    def bitstrings(self, register: str | None = None) -> npt.NDArray[np.str_]:
        """As `Samples.bitstrings`: texts of shape `(*shape, shots)`, bit 0 on the right."""
        every = np.array(self._together().bitstrings(register), np.str_)
        return every.reshape(*self.shape, self.shots)

    def to_bit_array(self, register: str | None = None) -> BitArray:
        """As qiskit has them, of the shape; nothing is copied of a single register."""
        from qiskit.primitives import BitArray

        rows, num_bits = self._together().packed(register)
        return BitArray(rows.reshape(*self.shape, self.shots, num_bytes(num_bits)), num_bits)

    def _together(self) -> Samples:
        """All shots in a row, entry by entry in C order."""
        shots = math.prod(self.shape) * self.shots
        rows = {
            name: bits.reshape(shots, num_bytes(self.num_bits[name]))
            for name, bits in self.bits.items()
        }
        return Samples(bits=rows, num_bits=self.num_bits, shots=shots)

    def expectation(self, diagonal: Diagonal, register: str | None = None) -> NDArray:
        """As `Samples.expectation`, float64 of the shape."""
        return self._each(lambda samples: samples.expectation(diagonal, register))

    def standard_error(self, diagonal: Diagonal, register: str | None = None) -> NDArray:
        """As `Samples.standard_error`, float64 of the shape."""
        return self._each(lambda samples: samples.standard_error(diagonal, register))

    def _each(self, number_of: Callable[[Samples], float]) -> NDArray:
        return np.array([number_of(each) for each in self.flat()], np.float64).reshape(self.shape)


def _place(place: object, size: int, index: object, shape: tuple[int, ...]) -> int | slice:
    """What is taken of one axis.

    Raises:
        IndexError: it is outside, or means nothing.
    """
    if isinstance(place, slice):
        try:
            place.indices(size)
        except TypeError:
            raise IndexError(f"{index!r} has a slice of something else than numbers") from None
        return place
    try:
        # True would be 1, and numpy means something else by it
        number = None if isinstance(place, bool | np.bool_) else operator.index(place)  # type: ignore[arg-type]
    except TypeError:
        number = None
    if number is None:
        raise IndexError(
            f"samples are taken by whole numbers, slices and ..., not by {place!r:.60}: one entry is "
            f"array[{', '.join('0' * len(shape)) or '()'}], and array.flat() are all"
        )
    if not -size <= number < size:
        raise IndexError(f"{index!r} is outside the shape {shape}")
    return number


def _has_ellipsis(index: object) -> bool:
    return index is ... or (isinstance(index, tuple) and any(place is ... for place in index))


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
