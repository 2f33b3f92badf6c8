"""Active spaces by natural orbitals and by atoms' orbitals, and Hartree-Fock that is not stable."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError
from pyscf import gto

from qcsc_algorithms.sqd.chemistry.ansatz import LUCJ
from qcsc_algorithms.sqd.chemistry.orbitals import hartree_fock_field, natural_orbitals
from qcsc_algorithms.sqd.chemistry.reference import Start, compute_start
from qcsc_algorithms.sqd.chemistry.system import AVAS, Molecule

NITROGEN: Any = {"geometry": "N 0 0 0; N 0 0 1.0977", "basis": "6-31g"}
OXYGEN: Any = {"geometry": "O 0 0 0; O 0 0 1.2", "basis": "6-31g", "spin": 2}
STRETCHED: Any = {"geometry": "N 0 0 0; N 0 0 2.2", "basis": "sto-3g", "frozen_core": 2}


def start(**molecule: Any) -> Start:
    return compute_start(Molecule(**molecule), LUCJ())


@pytest.mark.parametrize(
    ("molecule", "electrons"), [(NITROGEN, 6), (OXYGEN, 8)], ids=["closed", "open"]
)
def test_natural_orbitals_have_the_same_determinant_and_more_of_the_correlation(
    molecule: Any, electrons: int
) -> None:
    window = {"electrons": electrons, "orbitals": 6}
    near = start(**molecule, active_space=window)
    natural = start(**molecule, active_space={**window, "choice": "natural"})
    assert natural.energies.hf == pytest.approx(near.energies.hf, abs=1e-9)
    assert natural.energies.fci < near.energies.fci - 0.01
    assert sorted(natural.hamiltonian.orbital_symmetry) == sorted(near.hamiltonian.orbital_symmetry)


def test_avas_finds_the_valence_orbitals_and_keeps_the_determinant() -> None:
    found, whole = start(**NITROGEN, avas={"labels": ["N 2p"]}), start(**NITROGEN, frozen_core=2)
    assert found.hamiltonian.electrons == (4, 4) and found.hamiltonian.norb == 7
    assert found.energies.hf == pytest.approx(whole.energies.hf, abs=1e-9)
    assert whole.energies.ccsd < found.energies.fci < found.energies.hf - 0.1


def test_avas_takes_what_lies_over_the_threshold() -> None:
    fewer = start(**NITROGEN, avas={"labels": ["N 2p"], "threshold": 0.7})
    assert (fewer.hamiltonian.electrons, fewer.hamiltonian.norb) == ((4, 4), 6)


def test_avas_of_an_open_shell_keeps_its_spin() -> None:
    assert start(**OXYGEN, avas={"labels": ["O 2p"]}).hamiltonian.electrons == (6, 4)


def test_an_orbital_that_is_not_there_is_answered_with_those_that_are() -> None:
    with pytest.raises(ValueError, match=r"no atomic orbital is called 'Fe 3d'; .* N 2px, .*N 3pz"):
        start(**NITROGEN, avas={"labels": ["N 2p", "Fe 3d"]})


def test_only_one_way_of_choosing_orbitals_is_taken() -> None:
    with pytest.raises(ValidationError, match="active_space and avas both choose the orbitals"):
        Molecule.model_validate(
            {"active_space": {"electrons": 2, "orbitals": 2}, "avas": {"labels": ["H 1s"]}}
        )


def test_hartree_fock_that_is_not_stable_is_said_and_without_symmetry_left() -> None:
    kept, left = start(**STRETCHED), start(**STRETCHED, symmetry=False)
    gain = kept.energies.hf - left.energies.hf
    assert gain == pytest.approx(0.2551, abs=1e-3)
    assert f"a determinant is {1000 * gain:.3g} mHa lower" in kept.remarks[0]
    assert not any("stable" in remark for remark in left.remarks)
    # the same space, whatever orbitals it is written in
    assert left.energies.fci == pytest.approx(kept.energies.fci, abs=1e-5)


def test_hartree_fock_that_is_stable_is_no_remark() -> None:
    assert start(**NITROGEN, active_space={"electrons": 6, "orbitals": 6}).remarks == ()


def test_orbitals_without_a_gap_have_no_natural_ones() -> None:
    field, _ = hartree_fock_field(gto.M(atom="H 0 0 0; H 0 0 0.74", basis="sto-3g", verbose=0))
    field.mo_energy[:] = -0.5
    with pytest.raises(ValueError, match=r'take active_space\.choice = "fermi"'):
        natural_orbitals(field)


@pytest.mark.parametrize("labels", [[""], ["N 2p", " "]])
def test_an_empty_label_is_not_every_atomic_orbital(labels: Any) -> None:
    with pytest.raises(ValidationError, match=r"a label is empty, .* name some, as 'N 2p'"):
        AVAS(labels=labels)
