"""FCIDUMP files as other programs write them: the same Hamiltonian, or refused in a sentence."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from qcsc_algorithms.sqd import Hamiltonian, Molecule

CHAIN = "H 0 0 0; H 0 0 0.9; H 0 0 2; H 0 0 3"
Rows = list[list[str]]


@cache
def chain() -> Hamiltonian:
    return Molecule(geometry=CHAIN, basis="sto-3g").hamiltonian()


@cache
def written() -> str:
    """A file as pyscf writes it: two electrons, one electron, the core energy."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "chain")
        chain().write_fcidump(path)
        return path.read_text()


def body() -> Rows:
    lines = [line.split() for line in written().splitlines()]
    return [words for words in lines if len(words) == 5 and words[1].isdecimal()]


def kind(row: list[str]) -> int:
    """How many of a row's indices are orbitals."""
    return sum(index != "0" for index in row[1:])


def text(rows: Rows, head: str = "&FCI NORB=4,NELEC=4,MS2=0,\n ORBSYM=1,1,1,1,\n&END") -> str:
    return "\n".join([head, *(" ".join(row) for row in rows), ""])


def read(folder: Path, content: str | bytes) -> Hamiltonian:
    path = folder / "chain.fcidump"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return Hamiltonian.read_fcidump(path)


def core_first() -> Rows:
    return sorted(body(), key=kind)


def orbital_energies() -> Rows:
    return [[f"{-0.5 + i / 10}", str(i), "0", "0", "0"] for i in range(1, 5)]


def all_eight() -> Rows:
    """Every integral under each name it has."""
    rows: Rows = []
    for value, *indices in body():
        p, q, r, s = indices
        if r == "0":
            rows += [
                [value, *names] for names in {(p, q, r, s), (q, p, r, s)} if kind([value, *names])
            ]
            rows += [[value, p, q, r, s]] * (p == "0")
            continue
        same = {
            (*a, *b)
            for x, y in (((p, q), (r, s)), ((r, s), (p, q)))
            for a in permutations(x)
            for b in permutations(y)
        }
        rows += [[value, *names] for names in sorted(same)]
    return rows


def turned() -> Rows:
    """Some one-electron integrals as (p, q), others as (q, p)."""
    rows = body()
    for i, row in enumerate(rows):
        if kind(row) == 2 and i % 2:
            row[1], row[2] = row[2], row[1]
    return rows


def no_letter(value: str) -> str:
    """As Fortran writes an exponent of three digits."""
    return re.sub(r"e([+-])(\d\d)$", r"\g<1>1\2", value)


HEAD = "&FCI NORB=4,NELEC=4,{}\n&END"
DIALECTS: dict[str, Callable[[], str | bytes]] = {
    "as pyscf writes it": written,
    "core energy first": lambda: text(core_first()),
    "orbital energies before the core": lambda: text(
        [*body()[:-1], *orbital_energies(), body()[-1]]
    ),
    "orbital energies after the core": lambda: text([*body(), *orbital_energies()]),
    "orbital energies, core first": lambda: text([*core_first(), *orbital_energies()]),
    "the core twice": lambda: text([*body(), body()[-1]]),
    "mixed triangles": lambda: text(turned()),
    "all eight permutations": lambda: text(all_eight()),
    "blank lines": lambda: text(body()).replace("\n", "\n\n"),
    "comments": lambda: "! by hand\n" + text(body()).replace("&END", "&END\n# integrals\n"),
    "D exponents": lambda: text([[f"{float(v):.16e}".replace("e", "D"), *i] for v, *i in body()]),
    "no MS2": lambda: text(body(), HEAD.format("ORBSYM=1,1,1,1,")),
    "ORBSYM by repetition": lambda: text(body(), HEAD.format("MS2=0, ORBSYM=4*1, ISYM=1")),
    "ORBSYM over lines": lambda: text(body(), HEAD.format("MS2=0, ORBSYM=1,1,\n 1,1\n ISYM=1")),
    "dollars": lambda: text(body()).replace("&", "$"),
    "a slash": lambda: text(body()).replace("&END", "/"),
    "a slash on the line": lambda: text(body(), "&FCI NORB=4, NELEC=4, MS2=0 /"),
    "small letters": lambda: text(body(), "&fci norb=4 nelec=4 ms2=0\n&end"),
    "no UHF": lambda: text(body(), HEAD.format("MS2=0,IUHF=0,UHF=.FALSE.,ISYM=1")),
    "BOM": lambda: b"\xef\xbb\xbf" + text(body()).encode(),
    "lines of Windows": lambda: text(body()).replace("\n", "\r\n"),
    "no end of the last line": lambda: text(body()).rstrip(),
    "Fortran's columns": lambda: text(
        [[f"{float(v):28.20E}", *(f"{i:>4}" for i in indices)] for v, *indices in body()]
    ),
}


@pytest.mark.parametrize("name", DIALECTS)
def test_every_dialect_is_the_same_hamiltonian(name: str, tmp_path: Path) -> None:
    found = read(tmp_path, DIALECTS[name]())
    assert found.electrons == (2, 2)
    assert found.constant == chain().constant
    np.testing.assert_allclose(found.one_body, chain().one_body, rtol=0, atol=1e-15)
    np.testing.assert_allclose(found.two_body, chain().two_body, rtol=0, atol=1e-15)


def test_without_a_core_line_the_constant_is_nothing(tmp_path: Path) -> None:
    found = read(tmp_path, text(body()[:-1]))
    assert found.constant == 0
    np.testing.assert_array_equal(found.one_body, chain().one_body)


def test_exponents_of_three_digits_have_no_letter(tmp_path: Path) -> None:
    rows = [[no_letter(f"{float(v):.16e}") if i else v, *w] for i, (v, *w) in enumerate(body())]
    assert any(re.search(r"\d[+-]1\d\d$", row[0]) for row in rows)
    assert read(tmp_path, text(rows)).norb == 4


def test_an_odd_number_of_electrons_without_ms2_is_a_doublet(tmp_path: Path) -> None:
    assert read(tmp_path, text(body(), "&FCI NORB=4,NELEC=3\n&END")).electrons == (2, 1)


def test_a_model_leaves_out_what_is_zero(tmp_path: Path) -> None:
    """An impurity, whose first orbital alone repels, and a ring without levels."""
    impurity = [["4.0", "1", "1", "1", "1"], ["-2", "1", "1", "0", "0"]]
    impurity += [["0.5", str(p + 1), str(p), "0", "0"] for p in (1, 2, 3)]
    assert read(tmp_path, text(impurity)).one_body[3, 2] == 0.5
    ring = [["4.0", *[str(p)] * 4] for p in (1, 2, 3, 4)]
    ring += [["-1", str(p), str(p % 4 + 1), "0", "0"] for p in (1, 2, 3, 4)]
    assert read(tmp_path, text(ring)).one_body[0, 3] == -1


REFUSED: dict[str, tuple[Callable[[], str | bytes], str]] = {
    "UHF": (
        lambda: text(body(), HEAD.format("MS2=0,UHF=.TRUE.")),
        "says that each spin has orbitals of its own; .*keep spins neither way",
    ),
    "IUHF": (lambda: text(body(), HEAD.format("MS2=0,IUHF=1")), "write them in blocks"),
    "complex": (
        lambda: text(body(), HEAD.format("MS2=0,COMPLEX=.TRUE.")),
        "says COMPLEX=.TRUE.: complex integrals cannot be read",
    ),
    "two core energies": (
        lambda: text([*body(), ["0.0", "0", "0", "0", "0"]]),
        "has 2 lines without indices, of .*: which is the core energy",
    ),
    "core first, cut in the one-electron integrals": (
        lambda: text(
            [row for row in core_first() if kind(row) != 2]
            + [row for row in body() if kind(row) == 2][:3]
        ),
        "is no whole FCIDUMP: orbital . has no one-electron integrals; was it cut off",
    ),
    "core first, cut in the two-electron integrals": (
        lambda: text([row for row in core_first() if row[1] != "4" or kind(row) != 4]),
        "is no whole FCIDUMP: the last are missing; was it cut off",
    ),
    "cut before the core": (
        lambda: text(body()[:-1])[:-1],
        "is no whole FCIDUMP: the last are missing",
    ),
    "cut in a line": (lambda: text(body()[:-1])[:-4], "is no whole FCIDUMP: line"),
    "not symmetric": (
        lambda: text([*body(), ["0.3", "1", "3", "0", "0"], ["0.4", "3", "1", "0", "0"]]),
        "says a one-electron integral twice",
    ),
    "an integral twice": (
        lambda: text([["0.1", "1", "1", "1", "1"], *body()]),
        "says a two-electron integral twice, as 0.1 and as",
    ),
    "three indices": (
        lambda: text([["0.1", "1", "2", "3", "0"], *body()]),
        r"has a line with the indices \[1, 2, 3, 0\]",
    ),
    "wrong ORBSYM": (
        lambda: text(body(), HEAD.format("ORBSYM=1,1")),
        "says the ORBSYM of 2 orbitals, and has 4",
    ),
    "no NELEC": (lambda: text(body(), "&FCI NORB=4\n&END"), "its NELEC is '', no number"),
    "no head": (lambda: "1.0 1 1 1 1\n", "it has no &FCI"),
    "no integrals": (lambda: text([]), "no integrals follow its head"),
    "words": (lambda: text([["one", "1", "1", "0", "0"]]), "in line 4, 'one' is no number"),
    "another encoding": (lambda: written().encode("utf-16"), "it is no text"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_sure_is_refused_in_a_sentence(name: str, tmp_path: Path) -> None:
    content, sentence = REFUSED[name]
    with pytest.raises(ValueError, match=sentence) as caught:
        read(tmp_path, content())
    assert str(caught.value).startswith(str(tmp_path / "chain.fcidump"))
