"""Electron configurations: which orbitals of each spin are occupied, and how often that was seen.

Bit p of a spin's string is orbital p. A sampled row holds the beta string in its high bits and
the alpha string in its low ones, as the Jordan-Wigner circuits of ffsim are measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from qcsc_loop.sampling.samples import Samples

Bits = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Strings = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Configurations:
    """Distinct configurations with their weights.

    Attributes:
        alpha, beta: bool (configurations, norb); column p is orbital p.
        weights: float64 (configurations,), summing to one.
    """

    alpha: Bits
    beta: Bits
    weights: Floats

    @property
    def norb(self) -> int:
        """Spatial orbitals."""
        return int(self.alpha.shape[1])

    def __len__(self) -> int:
        return len(self.weights)

    def valid(self, electrons: tuple[int, int]) -> Configurations:
        """Those with the right number of electrons of each spin; may be none."""
        right = (self.alpha.sum(axis=1) == electrons[0]) & (self.beta.sum(axis=1) == electrons[1])
        weights = self.weights[right]
        total = weights.sum()
        return Configurations(
            self.alpha[right], self.beta[right], weights / total if total else weights
        )

    def distinct(self) -> Configurations:
        """The same with equal ones made one, in ascending order of (beta, alpha)."""
        rows = np.concatenate([pack(self.beta), pack(self.alpha)], axis=1)
        _, first, which = unique_rows(rows)
        weights = np.bincount(which, self.weights, len(first))
        return Configurations(self.alpha[first], self.beta[first], weights / weights.sum())


def from_samples(samples: Samples, norb: int) -> Configurations:
    """The distinct configurations among the shots of one register of 2 norb bits.

    Raises:
        ValueError: it is another register.
    """
    return from_shots(register(samples, norb), norb)


def from_shots(rows: Strings, norb: int) -> Configurations:
    """The configurations of packed shots of 2 norb bits."""
    distinct, first, which = unique_rows(rows)
    return from_rows(distinct, np.bincount(which, minlength=len(first)), norb)


def register(samples: Samples, norb: int) -> Strings:
    """The packed shots of the one register of 2 norb bits.

    Raises:
        ValueError: it is another register.
    """
    widths = samples.num_bits
    if list(widths.values()) != [2 * norb]:
        raise ValueError(
            f"samples of {norb} orbitals are one register of {2 * norb} bits, not {widths}"
        )
    (rows,) = samples.bits.values()
    return np.asarray(rows)


def from_rows(rows: Strings, counts: npt.NDArray[np.int64], norb: int) -> Configurations:
    """The configurations of distinct packed shots of 2 norb bits, seen so many times."""
    bits = np.unpackbits(rows, axis=1)[:, -2 * norb :].astype(bool)
    return Configurations(
        alpha=np.ascontiguousarray(bits[:, norb:][:, ::-1]),
        beta=np.ascontiguousarray(bits[:, :norb][:, ::-1]),
        weights=counts / counts.sum(),
    )


def pack(bits: Bits) -> Strings:
    """Occupations to strings: uint8 (rows, ceil(norb / 8)), big-endian, right-aligned.

    Args:
        bits: bool (rows, norb), column p is orbital p.
    """
    spare = -bits.shape[1] % 8
    return np.packbits(np.pad(bits[:, ::-1], ((0, 0), (spare, 0))), axis=1)


def unpack(strings: Strings, norb: int) -> Bits:
    """What `pack` packed."""
    return np.unpackbits(strings, axis=1)[:, -norb:][:, ::-1].astype(bool)


def as_integers(strings: Strings) -> npt.NDArray[np.int64]:
    """Strings of up to 63 orbitals as pyscf has them."""
    wide = np.zeros((len(strings), 8), np.uint8)
    wide[:, 8 - strings.shape[1] :] = strings
    return wide.view(">i8")[:, 0].astype(np.int64)


def from_integers(integers: npt.ArrayLike, norb: int) -> Strings:
    """What `as_integers` gives, back as strings."""
    wide = np.asarray(integers, ">i8").reshape(-1, 1).view(np.uint8)
    return np.ascontiguousarray(wide[:, 8 - -(-norb // 8) :])


def hartree_fock(norb: int, electrons: int) -> Strings:
    """The string of the lowest orbitals, uint8 (1, ceil(norb / 8))."""
    return pack(np.arange(norb)[None, :] < electrons)


def unique_rows(rows: Strings) -> tuple[Strings, npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Distinct rows in ascending order, where each stood first, and which one each row is."""
    width = rows.shape[1]
    if width <= 8:  # integers sort several times as fast as bytes
        keys: npt.NDArray[Any] = np.zeros((len(rows), 8), np.uint8)
        keys[:, 8 - width :] = rows
        keys = keys.view(">u8")[:, 0].astype(np.uint64)
    else:
        keys = np.ascontiguousarray(rows).view(f"V{width}")[:, 0]
    _, first, which = np.unique(keys, return_index=True, return_inverse=True)
    return rows[first], first, which
