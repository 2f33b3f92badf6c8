"""FCIDUMP files as other programs write them: the same Hamiltonian, or refused in a sentence."""

from __future__ import annotations

import gzip
import re
import warnings
from collections.abc import Callable
from functools import cache
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from qcsc_algorithms.sqd import FCIDump, Hamiltonian, Molecule

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
    "a comment in another encoding": lambda: (
        text(body(), HEAD.format("MS2=0")).encode()
        + "! l\u00e9tat fondamental\u0085\n".encode("latin-1")
    ),
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
    with pytest.warns(UserWarning, match="there is no core energy, .*: it is taken to be 0"):
        found = read(tmp_path, text(body()[:-1]))
    assert found.constant == 0
    np.testing.assert_array_equal(found.one_body, chain().one_body)


def test_exponents_of_three_digits_have_no_letter(tmp_path: Path) -> None:
    rows = [[no_letter(f"{float(v):.16e}") if i else v, *w] for i, (v, *w) in enumerate(body())]
    assert any(re.search(r"\d[+-]1\d\d$", row[0]) for row in rows)
    assert read(tmp_path, text(rows)).norb == 4


def test_an_odd_number_of_electrons_without_ms2_is_a_doublet(tmp_path: Path) -> None:
    assert read(tmp_path, text(body(), "&FCI NORB=4,NELEC=3\n&END")).electrons == (2, 1)


def test_a_path_may_be_a_text(tmp_path: Path) -> None:
    chain().write_fcidump(str(tmp_path / "chain"))
    assert Hamiltonian.read_fcidump(str(tmp_path / "chain")).sha256 == chain().sha256


# models, which have few of a molecule's integrals

HOPPING = [["0.5", str(p + 1), str(p), "0", "0"] for p in (1, 2, 3)]
RING = [["-1", str(p), str(p % 4 + 1), "0", "0"] for p in (1, 2, 3, 4)]
CORE = [["0.0", "0", "0", "0", "0"]]


def repulsions(*orbitals: int) -> Rows:
    return [["4.0", *[str(p)] * 4] for p in orbitals]


def kanamori() -> Rows:
    """Two orbitals of an impurity."""
    pairs = {"2 2 1 1": "2.5", "2 1 2 1": "0.7"}
    return repulsions(1, 2) + [[value, *indices.split()] for indices, value in pairs.items()]


def one_site() -> Rows:
    """An impurity's repulsion in orbitals of which it is a part; small ones are left out."""
    shares = [0.9, 0.4358, 0.003, 0.0]
    rows = []
    for p, q, r, s in np.ndindex(4, 4, 4, 4):
        value = 4 * shares[p] * shares[q] * shares[r] * shares[s]
        if p >= q and r >= s and (p, q) >= (r, s) and value > 1e-9:
            rows.append([f"{value:.16e}", *(str(i + 1) for i in (p, q, r, s))])
    return rows


BATH = r"is without repulsion in itself, as of an impurity's bath; if the file was cut off there"
MODELS: dict[str, tuple[Rows, str]] = {
    "a ring": (repulsions(1, 2, 3, 4) + RING, ""),
    "a ring, levels first": (RING + repulsions(1, 2, 3, 4), ""),
    "an impurity": (repulsions(1) + HOPPING, rf"each of orbitals 2, 3, 4 {BATH}"),
    "an impurity, told to the end": (repulsions(1) + HOPPING + CORE, ""),
    "an impurity, zeros": (
        HOPPING + repulsions(1) + [["0.0", *[str(p)] * 4] for p in (2, 3, 4)],
        "",
    ),
    "an impurity of two orbitals": (CORE + HOPPING + kanamori(), rf"orbitals 3, 4 {BATH}"),
    "an impurity in other orbitals": (CORE + HOPPING + one_site(), rf"orbitals 3, 4 {BATH}"),
    "free electrons": (RING, "there are no two-electron integrals, so that electrons do not repel"),
    "free electrons, told to the end": (RING + CORE, "there are no two-electron integrals"),
    "neighbours that repel": (
        RING + [["1.0", p, p, q, q] for p, q in ("21", "32", "43")],
        rf"orbitals 1, 2, 3, 4 {BATH}",
    ),
    "an orbital beside": (HOPPING[:2] + repulsions(1, 2, 3) + CORE, "orbital 4 is in no integral"),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_leaves_out_what_is_zero(
    name: str, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    """What may be missing is told; a core energy at the end, or zeros, say that nothing is."""
    rows, remark = MODELS[name]
    warnings.simplefilter("always")
    found = read(tmp_path, text(rows))
    told = [str(warning.message) for warning in recwarn]
    assert found.norb == 4
    assert len(told) == bool(remark)
    assert all(re.search(remark, sentence) for sentence in told)


def test_a_run_is_told_what_may_be_missing(tmp_path: Path) -> None:
    (tmp_path / "impurity").write_text(text(repulsions(1) + HOPPING))
    (remark,) = FCIDump(path=tmp_path / "impurity").set_up().remarks
    assert re.search(BATH, remark)


@pytest.mark.parametrize("zero", ["one_body", "two_body"])
def test_a_model_that_is_written_is_read(zero: str, tmp_path: Path) -> None:
    nothing = np.zeros_like(getattr(chain(), zero))
    model = chain().model_copy(update={zero: nothing})
    model.write_fcidump(tmp_path / "model")
    assert Hamiltonian.read_fcidump(tmp_path / "model").sha256 == model.sha256


# files that were cut off


@cache
def lithium_hydride() -> Hamiltonian:
    return Molecule(geometry="Li 0 0 0; H 0 0 1.6", basis="sto-3g", symmetry=False).hamiltonian()


def lines_of(order: str, reverse: str = "") -> Rows:
    """Of lithium hydride, block by block: those two-electron integrals of orbital 1 first."""
    found = lithium_hydride()
    norb, two_body = found.norb, found.full_two_body()
    blocks: dict[str, Rows] = {"core": [[repr(found.constant), "0", "0", "0", "0"]]}
    blocks["eps"] = [["-0.5", str(p + 1), "0", "0", "0"] for p in range(norb)]
    blocks["one"] = [
        [repr(float(found.one_body[p, q])), str(p + 1), str(q + 1), "0", "0"]
        for p in range(norb)
        for q in range(p + 1)
        if abs(found.one_body[p, q]) > 1e-12
    ]
    blocks["two"] = [
        [repr(float(two_body[p, q, r, s])), *(str(i + 1) for i in (p, q, r, s))]
        for p, q, r, s in np.ndindex(norb, norb, norb, norb)
        if p >= q and r >= s and (p, q) >= (r, s) and abs(two_body[p, q, r, s]) > 1e-12
    ]
    for kinds in reverse.split():
        blocks[kinds].reverse()
    return [row for kinds in order.split() for row in blocks[kinds]]


@pytest.mark.parametrize("reverse", ["", "one two"])
@pytest.mark.parametrize(
    "order",
    ["core one two", "two one core", "one two core", "one core two", "core eps one two", "two one"],
)
def test_a_molecules_file_is_not_cut_off_in_silence(
    order: str, reverse: str, tmp_path: Path
) -> None:
    """It is refused, or, where it could be a model's, there is a warning."""
    rows = lines_of(order, reverse)
    read_or_refused = [heard(tmp_path, rows[:length]) for length in range(1, len(rows))]
    told = [remarks for remarks in read_or_refused if remarks is not None]
    assert all(told)
    assert len(told) <= 3 + 6 * bool(reverse)
    assert len(heard(tmp_path, rows) or []) == ("core" not in order.split())


def heard(folder: Path, rows: Rows) -> list[str] | None:
    """Of what a file is warned; None if it is refused."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            read(folder, text(rows, "&FCI NORB=6,NELEC=4,MS2=0,\n&END"))
        except ValueError:
            return None
    return [str(warning.message) for warning in caught]


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
    "the core alone": (lambda: text(body()[-1:]), "it has no integrals; was it cut off"),
    "core and one-electron integrals alone": (
        lambda: text([row for row in core_first() if kind(row) < 4]),
        r"there are no two-electron integrals; .* write them, as 0.0 1 1 1 1, or put the core",
    ),
    "core first, cut in the middle": (
        lambda: text([row for row in core_first() if kind(row) != 4 or row[1] in "12"]),
        r"orbitals? .* without repulsion in itself; was it cut off\? If they are zero, write them",
    ),
    "a molecule's without a level": (
        lambda: text([row for row in core_first() if row[1:] != ["2", "2", "0", "0"]]),
        "orbital 2 is without a level; was it cut off",
    ),
    "orbitals that are nowhere": (
        lambda: text(CORE + HOPPING[:1] + repulsions(1, 2)),
        "orbital 3 has no integrals; was it cut off",
    ),
    "repulsion beside which there is more": (
        lambda: text([*CORE, *HOPPING, *repulsions(1), ["2.5", "2", "2", "1", "1"]]),
        r"\(2 2\|1 1\) is there, and \(2 2\|2 2\), \(1 1\|1 1\) or what these need are not",
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
    "compressed": (lambda: gzip.compress(written().encode()), "it is no text"),
    "another encoding": (lambda: written().encode("utf-16"), "it is no text"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_sure_is_refused_in_a_sentence(name: str, tmp_path: Path) -> None:
    content, sentence = REFUSED[name]
    with pytest.raises(ValueError, match=sentence) as caught:
        read(tmp_path, content())
    assert str(caught.value).startswith(str(tmp_path / "chain.fcidump"))
