"""Hamiltonians of qubits: chains, terms as they are given, files; and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter
from qiskit.quantum_info import SparsePauliOp, Statevector

from qcsc_algorithms.sqd.paulis.pauli_model import Heisenberg, PauliModel
from qcsc_algorithms.sqd.paulis.pauli_terms import MEANS, PauliTerms

MODEL: TypeAdapter[Any] = TypeAdapter(PauliModel)
TERMS = [("XX", 1.0), ("ZI", 0.5), ("YZ", -0.25)]


def read(value: Any) -> PauliTerms:
    terms: PauliTerms = MODEL.validate_python(value).terms()
    return terms


def listed(terms: PauliTerms) -> list[tuple[str, float]]:
    return list(zip(terms.labels, terms.coefficients.tolist(), strict=True))


@pytest.mark.parametrize(("periodic", "bonds"), [(False, 4), (True, 5)])
def test_a_chain_has_its_bonds_and_fields(periodic: bool, bonds: int) -> None:
    found = listed(Heisenberg(sites=5, x=0.3, y=0, z=2, field=-1, periodic=periodic).terms())
    assert len(found) == 2 * bonds + 5
    assert ("IIIXX", 0.3) in found and ("XXIII", 0.3) in found and ("IIIIZ", -1.0) in found
    assert (("ZIIIZ", 2.0) in found) == periodic


def test_two_spins_in_a_ring_are_neighbours_once() -> None:
    assert len(Heisenberg(sites=2, periodic=True).terms().labels) == 3


@pytest.mark.parametrize(
    "given",
    [
        dict(TERMS),
        TERMS,
        SparsePauliOp.from_list(TERMS),
        {"given": TERMS},
        {"type": "terms", "given": dict(TERMS)},
    ],
)
def test_terms_are_taken_as_people_have_them(given: Any) -> None:
    assert listed(read(given)) == TERMS


@pytest.mark.parametrize(
    "text",
    [
        '{"XX": 1.0, "ZI": 0.5, "YZ": -0.25}',
        '[["XX", 1], ["ZI", 0.5], ["YZ", -0.25]]',
        "# a remark\nXX 1\n\nZI 5e-1  # and another\nYZ -0.25\n",
    ],
)
def test_files_are_read(text: str, tmp_path: Path) -> None:
    file = tmp_path / "terms"
    file.write_text(text)
    assert listed(read(str(file))) == TERMS


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("XX 1\nZ 0.5", "a letter for each qubit"),
        ("XQ 1", "'XQ' is no Pauli label"),
        ("XX one", "'one', of XX, is no real number"),
        ("XX 1 2", "is no label with its coefficient"),
        ("II 1", "no term but the identity"),
        ("", "no term but the identity"),
        ("XX 0\nYY 0.0", "no term but the identity"),
        ("XX 1\nXX -1\nII 3", "no term but the identity"),
        ("{}", "no term but the identity"),
        ("XX nan", "not finite"),
        ('{"XX": [1]}', "is no real number"),
        ('{"XX": ', "terms: Expecting value"),
        ("X" * 64 + " 1", "at most 63 qubits"),
    ],
)
def test_a_file_that_says_something_else_is_refused(text: str, why: str, tmp_path: Path) -> None:
    file = tmp_path / "terms"
    file.write_text(text)
    with pytest.raises(ValueError, match=why) as raised:
        read(file)
    assert str(file) in str(raised.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read: No such file"):
        read(tmp_path / "nothing")


def test_terms_that_cancel_in_part_are_kept_as_they_are() -> None:
    given = [("XX", 1.0), ("XX", -1.0), ("ZI", 1e-9)]
    assert listed(read(given)) == given


def test_an_empty_mapping_is_not_the_default_chain() -> None:
    with pytest.raises(ValueError, match="an empty mapping is no Hamiltonian"):
        MODEL.validate_python({})


def test_a_coefficient_that_is_not_real_is_refused() -> None:
    with pytest.raises(ValueError, match="a Hamiltonian's are real"):
        MODEL.validate_python(SparsePauliOp.from_list([("XX", 1j)]))


def test_what_is_stored_is_read_again() -> None:
    for given in ({"sites": 3}, dict(TERMS), "a/file"):
        model = MODEL.validate_python(given)
        assert MODEL.validate_json(MODEL.dump_json(model)) == model


@pytest.mark.parametrize("product", ["01", "+-", "rl", "1r"])
def test_a_product_states_energy_is_its_mean(product: str) -> None:
    operator = SparsePauliOp.from_list([*TERMS, ("YX", 0.7), ("II", 0.1), ("YY", 0.3)])
    wanted = Statevector.from_label(product).expectation_value(operator).real
    assert read(operator).mean(product) == pytest.approx(wanted)
    assert set(product) <= set(MEANS)


def test_no_two_eigenvalues_are_further_apart_than_the_bound() -> None:
    terms = Heisenberg(sites=4, field=0.5).terms()
    values = np.linalg.eigvalsh(terms.operator().to_matrix())
    assert values[-1] - values[0] <= terms.width_at_most()
