"""Diagonal observables: what each outcome is worth, whichever way the user has it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from qcsc_loop.sampling.counts import Counts, unpack_bits
from qcsc_loop.sampling.packing import Packed, num_bytes
from qcsc_loop.values.arrays import real_numbers

if TYPE_CHECKING:
    from qiskit.quantum_info import SparsePauliOp

    Diagonal: TypeAlias = (
        Mapping[str, float] | npt.ArrayLike | Callable[[Packed], npt.ArrayLike] | SparsePauliOp
    )

Floats = npt.NDArray[np.float64]


def mean_and_error(counts: Counts, diagonal: Diagonal) -> tuple[float, float]:
    """The mean over all shots, and its standard error; NaN of a single shot.

    Sums are exact, so that they do not depend on the machine.
    """
    values, shots = values_of(counts, diagonal), counts.shots
    mean = math.fsum(counts.times * values) / shots
    if shots == 1:
        return mean, math.nan
    squares = math.fsum(counts.times * (values - mean) ** 2)
    return mean, math.sqrt(squares / (shots - 1) / shots)


def values_of(counts: Counts, diagonal: Diagonal) -> Floats:
    """What each outcome is worth, float64 (outcomes,).

    Raises:
        ValueError: it is no diagonal observable of so many bits.
    """
    if hasattr(diagonal, "paulis"):  # without importing qiskit to look
        return _of_labels(counts, _labels(cast("SparsePauliOp", diagonal)))
    if isinstance(diagonal, Mapping):
        return _of_labels(counts, diagonal)
    if callable(diagonal):
        return _of_function(counts, diagonal)
    return _of_array(counts, cast("npt.ArrayLike", diagonal))


def _labels(operator: SparsePauliOp) -> dict[str, float]:
    labels: dict[str, float] = {}
    for label, coefficient in operator.to_list():
        # an operator's are complex, and may have a rounding error where nothing should be
        if abs(coefficient.imag) > 1e-12 * max(1.0, abs(coefficient)):
            raise ValueError(f"{label} has the coefficient {coefficient}: an observable's are real")
        labels[label] = labels.get(label, 0.0) + float(coefficient.real)
    return labels


def _of_labels(counts: Counts, labels: Mapping[str, float]) -> Floats:
    values = np.zeros(len(counts))
    for label, coefficient in labels.items():
        if not isinstance(label, str) or len(label) != counts.num_bits:
            letters = len(label) if isinstance(label, str) else "no"
            raise ValueError(
                f"{label!r} has {letters} letters, and there are {counts.num_bits} bits: one each, "
                "bit 0 on the right"
            )
        if others := set(label) - {"I", "Z"}:
            raise ValueError(
                f"{label!r} is not diagonal ({', '.join(sorted(others))}): rotate to its basis in the "
                "circuit and take Z there, or use an estimator"
            )
        values += _real(label, coefficient) * _signs(counts.rows, label)
    return values


def _real(label: str, coefficient: object) -> float:
    """Raises ValueError where that is no real number."""
    try:
        if coefficient is not None:  # which numpy takes for NaN
            return real_numbers(coefficient, label).item()
    except ValueError:
        pass
    raise ValueError(f"{label} has the coefficient {coefficient!r:.60}: an observable's are real")


def _signs(rows: Packed, label: str) -> Floats:
    """+1 or -1 for each outcome, by how many ones it has where the label has Z."""
    asked = int(label.replace("I", "0").replace("Z", "1") or "0", 2)
    mask = np.frombuffer(asked.to_bytes(num_bytes(len(label)), "big"), np.uint8)
    ones = np.bitwise_count(rows & mask).sum(axis=1)
    return np.where(ones % 2, -1.0, 1.0)


def _of_function(counts: Counts, function: Callable[[Packed], npt.ArrayLike]) -> Floats:
    given = function(unpack_bits(counts.rows, counts.num_bits))
    values = real_numbers(given, "what the function gave")
    if values.shape != (len(counts),):
        raise ValueError(
            f"the function gave an array of shape {values.shape} for {len(counts)} outcomes: it is "
            "called once, with uint8 (outcomes, bits), and gives a number for each outcome"
        )
    return values


def _of_array(counts: Counts, given: npt.ArrayLike) -> Floats:
    values = real_numbers(given, "an observable's diagonal")
    if values.shape != (1 << counts.num_bits,):
        raise ValueError(
            f"a diagonal of {counts.num_bits} bits has {1 << counts.num_bits} numbers, and this "
            f"has the shape {values.shape}"
        )
    wide = np.zeros((len(counts), 8), np.uint8)
    wide[:, 8 - counts.rows.shape[1] :] = counts.rows
    return np.asarray(values[wide.view(">u8")[:, 0].astype(np.int64)])
