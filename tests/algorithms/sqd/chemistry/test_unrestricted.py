"""Molecules and files whose alpha and beta orbitals differ, beside pyscf's unrestricted methods."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from pyscf import ao2mo, cc, gto, scf
from threadpoolctl import threadpool_limits

from qcsc_algorithms.sqd import LUCJ, FCIDump, Hamiltonian, Molecule
from qcsc_algorithms.sqd.chemistry.reference import compute_start
from qcsc_algorithms.sqd.chemistry.unrestricted import BetaIntegrals, reordered, reordered_packed

CHAIN = "Li 0 0 0; H 0 0 1.6; H 0 0 4"
SYSTEM = Molecule(
    geometry=CHAIN, basis="sto-3g", spin=1, symmetry=False, orbitals="unrestricted", frozen_core=1
)
Row = tuple[float, int, int, int, int]


@cache
def chain() -> Hamiltonian:
    with threadpool_limits(1):
        return SYSTEM.hamiltonian()


def beta_of(hamiltonian: Hamiltonian) -> BetaIntegrals:
    assert hamiltonian.beta is not None
    return hamiltonian.beta


def first_filled(hamiltonian: Hamiltonian) -> float:
    filled = [np.arange(hamiltonian.norb) < n for n in hamiltonian.electrons]
    return hamiltonian.determinant_energy(filled[0], filled[1]) + hamiltonian.constant


@pytest.fixture(scope="module")
def field() -> Any:
    molecule: Any = gto.M(atom=CHAIN, basis="sto-3g", spin=1, verbose=0)
    found: Any = scf.UHF(molecule)
    found.conv_tol = 1e-12
    with threadpool_limits(1):
        found.kernel()
    return found


def test_reference_energies_are_pyscfs_unrestricted_ones(field: Any) -> None:
    found = compute_start(SYSTEM, LUCJ())
    coupled: Any = cc.UCCSD(field, frozen=1)
    coupled.conv_tol = 1e-9
    with threadpool_limits(1):
        coupled.kernel()
    assert found.energies.hf == pytest.approx(field.e_tot, abs=1e-9)
    assert first_filled(found.hamiltonian) == pytest.approx(field.e_tot, abs=1e-9)
    assert found.energies.mp2 == pytest.approx(field.e_tot + coupled.emp2, abs=1e-8)
    assert found.energies.ccsd == pytest.approx(coupled.e_tot, abs=1e-6)
    assert found.energies.fci < found.energies.ccsd


def test_the_overlap_is_that_of_alpha_orbitals_with_beta_orbitals(field: Any) -> None:
    overlap = np.asarray(beta_of(chain()).overlap)
    first, second = field.mo_coeff
    expected = first.T @ field.get_ovlp() @ second
    np.testing.assert_allclose(np.abs(overlap), np.abs(expected), atol=1e-5)
    assert abs(expected[0, 0]) < 1 - 1e-9  # the frozen ones differ, too


def test_a_closed_shell_that_is_stable_has_the_same_orbitals_for_both() -> None:
    system = Molecule(geometry="H 0 0 0; H 0 0 0.7", basis="sto-3g", orbitals="unrestricted")
    found = system.hamiltonian()
    np.testing.assert_allclose(found.one_body, beta_of(found).one_body, atol=1e-9)


# files


def rows() -> dict[str, list[Row]]:
    """What integrals there are, by the spins of their pairs of orbitals; orbitals from 1."""
    hamiltonian, beta = chain(), beta_of(chain())
    norb = hamiltonian.norb
    pairs = [(p, q) for p in range(norb) for q in range(p + 1)]
    found: dict[str, list[Row]] = {}
    for name, packed in (("aa", hamiltonian.two_body), ("bb", beta.two_body)):
        full = ao2mo.restore(1, np.array(packed), norb)
        found[name] = [
            (full[p, q, r, s], p + 1, q + 1, r + 1, s + 1)
            for i, (p, q) in enumerate(pairs)
            for r, s in pairs[: i + 1]
        ]
    found["ab"] = [
        (beta.mixed[i, j], p + 1, q + 1, r + 1, s + 1)
        for i, (p, q) in enumerate(pairs)
        for j, (r, s) in enumerate(pairs)
    ]
    for name, matrix in (("a", hamiltonian.one_body), ("b", beta.one_body)):
        found[name] = [(matrix[p, q], p + 1, q + 1, 0, 0) for p, q in pairs]
    return found


def spin_orbitals(number: Callable[[int, str], int]) -> Iterator[Row]:
    for spins, lines in rows().items():
        for value, p, q, r, s in lines:
            third, fourth = (number(r, spins[1]), number(s, spins[1])) if r else (0, 0)
            yield value, number(p, spins[0]), number(q, spins[0]), third, fourth
    yield chain().constant, 0, 0, 0, 0


def in_turns(orbital: int, spin: str) -> int:
    return 2 * orbital - (spin == "a")


def in_halves(orbital: int, spin: str) -> int:
    return orbital + chain().norb * (spin == "b")


def in_blocks() -> Iterator[Row]:
    found = rows()
    for name in ("aa", "bb", "ab", "a", "b"):
        yield from found[name]
        yield 0.0, 0, 0, 0, 0
    yield chain().constant, 0, 0, 0, 0


def one_triangle(lines: Iterator[Row], both: Callable[[Row], bool]) -> Iterator[Row]:
    """Of the integrals of both spins only those with (pq) not before (rs), as of one spin's."""
    for row in lines:
        p, q, r, s = ((index - 1) % chain().norb if index else -1 for index in row[1:])
        if not both(row) or (p, q) >= (r, s):
            yield row


def block_of_both() -> Callable[[Row], bool]:
    _, first, second, *_ = (i for i, row in enumerate(in_blocks()) if not any(row[1:]))
    numbers = iter(range(second + chain().norb ** 4))
    return lambda _: first < next(numbers) < second


def text(lines: Iterator[Row], norb: int, flag: str = "UHF=.TRUE.") -> str:
    head = f"&FCI NORB={norb},NELEC={sum(chain().electrons)},MS2=1,{flag},\n&END\n"
    return head + "".join(f"{value:.17g} {p} {q} {r} {s}\n" for value, p, q, r, s in lines)


DIALECTS: dict[str, Callable[[], str]] = {
    "blocks": lambda: text(in_blocks(), chain().norb, "IUHF=1"),
    "in turns, NORB of both spins": lambda: text(spin_orbitals(in_turns), 2 * chain().norb),
    "in turns, NORB of one spin": lambda: text(spin_orbitals(in_turns), chain().norb),
    "alpha ones first, NORB of both spins": lambda: text(
        spin_orbitals(in_halves), 2 * chain().norb
    ),
    "alpha ones first, NORB of one spin": lambda: text(spin_orbitals(in_halves), chain().norb),
}


@pytest.mark.parametrize("name", DIALECTS)
def test_every_layout_of_spins_is_the_same_hamiltonian(name: str, tmp_path: Path) -> None:
    (tmp_path / "chain").write_text(DIALECTS[name]())
    found = Hamiltonian.read_fcidump(tmp_path / "chain")
    assert found.electrons == chain().electrons
    assert found.sha256 == chain().sha256
    assert not beta_of(found).overlap.size  # a file does not tell


def test_what_is_written_is_read_to_the_last_bit(tmp_path: Path) -> None:
    chain().write_fcidump(tmp_path / "chain")
    assert Hamiltonian.read_fcidump(tmp_path / "chain").sha256 == chain().sha256


def without(content: str, *lines: int) -> str:
    kept = content.splitlines(keepends=True)
    return "".join(line for i, line in enumerate(kept) if i - len(kept) not in lines)


REFUSED: dict[str, tuple[Callable[[], str], str]] = {
    "no core energy": (
        lambda: without(DIALECTS["blocks"](), -1),
        "has 5 lines without indices: .* there are 6.*was it cut off",
    ),
    "a core energy that is no end": (
        lambda: DIALECTS["blocks"]() + "0.1 1 1 0 0\n",
        "has 6 lines without indices: .*at last the core energy",
    ),
    "blocks in another order": (
        lambda: text(iter([*in_blocks()][-18:] + [*in_blocks()][:-18]), chain().norb),
        "lines without indices",
    ),
    "one triangle of both spins": (
        lambda: text(one_triangle(in_blocks(), block_of_both()), chain().norb),
        r"has one triangle of the integrals between alpha and beta orbitals: .*; write both",
    ),
    "one triangle of both spins, alpha ones first": (
        lambda: text(
            one_triangle(spin_orbitals(in_halves), lambda row: row[3] > chain().norb >= row[1]),
            2 * chain().norb,
        ),
        r"has one triangle of the integrals between alpha and beta orbitals: .*; write both",
    ),
    "spins that mix": (
        lambda: DIALECTS["in turns, NORB of both spins"]() + "0.1 6 1 0 0\n0.1 4 3 0 0\n",
        "keep spins neither way",
    ),
    "an odd number": (
        lambda: text(iter([(1.0, 1, 1, 1, 1), (1.0, 1, 1, 0, 0)]), 3),
        "of an odd number half are none",
    ),
    "either way": (
        lambda: text(iter([(1.0, p, p, 0, 0) for p in (1, 2, 3, 4)]), 4),
        "keep spins either way",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_spins_that_are_not_sure_are_refused_in_a_sentence(name: str, tmp_path: Path) -> None:
    content, sentence = REFUSED[name]
    (tmp_path / "chain").write_text(content())
    with pytest.raises(ValueError, match=sentence):
        Hamiltonian.read_fcidump(tmp_path / "chain")


def test_each_spins_lowest_orbitals_are_put_first(tmp_path: Path) -> None:
    alpha_order, beta_order = (np.random.default_rng(s).permutation(chain().norb) for s in (1, 2))
    hamiltonian = chain()
    mixed = hamiltonian.model_copy(
        update={
            "one_body": hamiltonian.one_body[np.ix_(alpha_order, alpha_order)],
            "two_body": reordered_packed(np.asarray(hamiltonian.two_body), alpha_order),
            "beta": reordered(beta_of(hamiltonian), alpha_order, beta_order),
        }
    )
    assert first_filled(mixed) > first_filled(hamiltonian) + 0.1
    mixed.write_fcidump(tmp_path / "chain")
    found = FCIDump(path=tmp_path / "chain").hamiltonian()
    assert first_filled(found) == pytest.approx(first_filled(hamiltonian), abs=1e-10)


@pytest.mark.parametrize(
    "settings",
    [
        {"avas": {"labels": ["Li 2s"]}},
        {"active_space": {"electrons": 3, "orbitals": 3, "choice": "natural"}},
    ],
    ids=["avas", "natural"],
)
def test_orbitals_common_to_both_spins_are_no_unrestricted_ones(settings: Any) -> None:
    with pytest.raises(ValidationError, match="makes orbitals common to both spins"):
        Molecule(geometry=CHAIN, spin=1, orbitals="unrestricted", **settings)
