"""What is to be solved: a chain of spins, Pauli strings as they are given, or a file of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from qcsc_algorithms.sqd.paulis.pauli_terms import PauliTerms

MAX_QUBITS = 63  # of bit strings that are integers where the operator is projected
IMAGINARY = 1e-12
CANCELLED = 1e-12  # of the largest coefficient: what is left of terms of one label is rounding


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Heisenberg(_Model):
    """Spins in a row: the sum over neighbours of x XX + y YY + z ZZ, and field Z on each.

    The letters are Pauli matrices, not spins of one half. Every other bond comes first, so that the
    circuit of one step is as deep for many spins as for few.

    Attributes:
        periodic: whether the last spin is the first one's neighbour.
    """

    type: Literal["heisenberg"] = "heisenberg"
    sites: int = Field(default=10, ge=2, le=MAX_QUBITS, description="spins")
    x: float = Field(default=1.0, allow_inf_nan=False, description="coefficient of XX")
    y: float = Field(default=1.0, allow_inf_nan=False, description="coefficient of YY")
    z: float = Field(default=1.0, allow_inf_nan=False, description="coefficient of ZZ")
    field: float = Field(default=0.0, allow_inf_nan=False, description="coefficient of Z")
    periodic: bool = False

    def terms(self) -> PauliTerms:
        """The sum; terms of coefficient 0 are left out.

        Raises:
            ValueError: all of them are.
        """
        found: list[tuple[str, float]] = []
        for pair in self._bonds():
            for letter, size in (("X", self.x), ("Y", self.y), ("Z", self.z)):
                found.append((_label(self.sites, pair, letter), size))
        found += [(_label(self.sites, (i,), "Z"), self.field) for i in range(self.sites)]
        return _terms([(label, size) for label, size in found if size])

    def _bonds(self) -> list[tuple[int, int]]:
        bonds = [(i, i + 1) for i in range(self.sites - 1)]
        if self.periodic and self.sites > 2:
            bonds.append((self.sites - 1, 0))
        return bonds[::2] + bonds[1::2]


class GivenTerms(_Model):
    """Pauli strings as they are given.

    Attributes:
        given: label and coefficient, in the order in which a product formula takes them; a mapping,
            or a `SparsePauliOp`, is read too.
    """

    type: Literal["terms"] = "terms"
    given: tuple[tuple[str, float], ...] = Field(
        description='label and coefficient, as {"XX": 1.0, "ZI": 0.5}'
    )

    @field_validator("given", mode="before")
    @classmethod
    def _pairs(cls, value: object) -> object:
        return _as_pairs(value)

    @field_validator("given")
    @classmethod
    def _checked(cls, value: tuple[tuple[str, float], ...]) -> tuple[tuple[str, float], ...]:
        _terms(value)
        return value

    def terms(self) -> PauliTerms:
        """The sum."""
        return _terms(self.given)


class TermsFile(_Model):
    """A file with the terms. Read once, when the run starts; what was read stays in the run.

    JSON, an object by label or a list of pairs; or a text with a label and a coefficient in each
    line, where # begins a remark.
    """

    type: Literal["file"] = "file"
    path: Path

    def terms(self) -> PauliTerms:
        """Reads the file.

        Raises:
            ValueError: it is missing, or no list of terms.
        """
        try:
            text = self.path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is no text"
            raise ValueError(f"the Hamiltonian's file {self.path} cannot be read: {why}") from error
        try:
            return _terms(list(self._read(text)))
        except ValueError as error:
            raise ValueError(f"{self.path}: {error}") from error

    def _read(self, text: str) -> Iterator[tuple[str, float]]:
        if text.lstrip().startswith(("{", "[")):
            pairs: Any = _as_pairs(json.loads(text))
        else:
            lines = [line.partition("#")[0].split() for line in text.splitlines()]
            pairs = [line for line in lines if line]
        for pair in pairs:
            if not isinstance(pair, list | tuple) or len(pair) != 2:
                raise ValueError(f"{pair!r} is no label with its coefficient, as XXI 0.5")
            label, size = pair
            try:
                yield str(label), float(size)
            except (TypeError, ValueError):
                raise ValueError(f"{size!r}, of {label}, is no real number") from None


def _as_pairs(value: object) -> object:
    """Of a mapping, or of a `SparsePauliOp`; anything else as it is.

    Raises:
        ValueError: a coefficient is complex.
    """
    listed = getattr(value, "to_list", None)
    pairs: Any = listed() if callable(listed) else value
    if isinstance(pairs, Mapping):
        pairs = list(pairs.items())
    return [_real_pair(pair) for pair in pairs] if isinstance(pairs, list | tuple) else pairs


def _real_pair(pair: Any) -> Any:
    if not isinstance(pair, list | tuple) or len(pair) != 2 or not isinstance(pair[1], complex):
        return pair
    label, size = pair
    if abs(size.imag) > IMAGINARY:
        raise ValueError(f"{label} has the coefficient {size}: a Hamiltonian's are real")
    return label, size.real


def _terms(pairs: Any) -> PauliTerms:
    """Checked.

    Raises:
        ValueError: they are no sum of Pauli strings.
    """
    labels = tuple(label for label, _ in pairs)
    sizes = np.array([size for _, size in pairs], np.float64)
    if wrong := [label for label in labels if not label or set(label) - set("IXYZ")]:
        raise ValueError(f"{wrong[0]!r} is no Pauli label: a letter I, X, Y or Z for each qubit")
    if len(widths := sorted({len(label) for label in labels})) > 1:
        raise ValueError(f"all labels have a letter for each qubit, and these have {widths}")
    if widths and widths[0] > MAX_QUBITS:
        raise ValueError(f"Pauli strings of at most {MAX_QUBITS} qubits, not {widths[0]}")
    if not np.isfinite(sizes).all():
        raise ValueError("a coefficient is not finite")
    if not _is_any_left(labels, sizes):
        raise ValueError(
            "there is no term but the identity whose coefficient is not 0: nothing would evolve; give "
            'one, as {"XX": 1.0}'
        )
    return PauliTerms(labels=labels, coefficients=sizes)


def _is_any_left(labels: tuple[str, ...], sizes: npt.NDArray[np.float64]) -> bool:
    """Whether the terms of some label but the identity do not come to 0."""
    sums: dict[str, float] = {}
    for label, size in zip(labels, sizes.tolist(), strict=True):
        sums[label] = sums.get(label, 0.0) + size
    least = CANCELLED * float(np.abs(sizes).max(initial=0))
    return any(abs(total) > least for label, total in sums.items() if set(label) - {"I"})


def _label(sites: int, where: tuple[int, ...], letter: str) -> str:
    """Qubit 0 on the right."""
    return "".join(letter if i in where else "I" for i in reversed(range(sites)))


def _file_or_terms(value: object) -> object:
    if isinstance(value, str | Path):
        return {"type": "file", "path": str(value)}
    if callable(getattr(value, "to_list", None)) or isinstance(value, list | tuple):
        return {"type": "terms", "given": value}
    if isinstance(value, Mapping) and "type" not in value:
        return _by_content(dict(value))
    return value


def _by_content(settings: dict[Any, Any]) -> dict[str, Any]:
    """Settings without a type: a file's or terms' own names tell, and so do labels."""
    if "path" in settings:
        return {"type": "file", **settings}
    if "given" in settings:
        return {"type": "terms", **settings}
    if not settings:
        raise ValueError(
            'an empty mapping is no Hamiltonian: give coefficients by label, as {"XX": 1.0}, or a '
            'chain\'s settings, as {"sites": 10}'
        )
    labels = all(not set(str(name)) - set("IXYZ") for name in settings)
    return {"type": "terms", "given": settings} if labels else {"type": "heisenberg", **settings}


PauliModel = Annotated[
    Annotated[Heisenberg | GivenTerms | TermsFile, Field(discriminator="type")],
    BeforeValidator(_file_or_terms),
]
"""A chain of spins, terms, or a file of terms; a mapping by labels, and a path, are read as these."""
