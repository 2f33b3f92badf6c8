"""Bases made for core potentials get them, or are refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyscf import gto, lib, scf
from threadpoolctl import threadpool_limits

from qcsc_algorithms.sqd.chemistry.core_potentials import basis_potentials, require_core
from qcsc_algorithms.sqd.chemistry.system import ActiveSpace, Molecule

WATER = "O 0 0 0; H 0 0 0.97; H 0 0.94 -0.24"
FOUR = ActiveSpace(electrons=4, orbitals=4)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """With more, integrals have other bits each time."""
    with threadpool_limits(1), lib.with_omp_threads(1):
        yield


@pytest.mark.parametrize(
    ("basis", "potentials"),
    [
        ("lanl2dz", {"Ag": "lanl2dz"}),
        ("Def2-SVP", {"Ag": "Def2-SVP"}),
        ("def2-mTZVP", {"Ag": "def2-svp"}),
        ("ccecp-cc-pvdz", {"Ag": "ccecp", "H": "ccecp", "O": "ccecp"}),
        ("ccECP_aug-cc-pVTZ", {"Ag": "ccecp", "H": "ccecp", "O": "ccecp"}),
        ("unc-ccecp-cc-pvdz", {"Ag": "ccecp", "H": "ccecp", "O": "ccecp"}),
        ("bfd-vtz", {"H": "bfd", "O": "bfd"}),
        ("cc-pVTZ-PP", {"Ag": "cc-pVTZ-PP"}),
        ("aug-cc-pVDZ-PP", {"Ag": "cc-pvdz-pp"}),
        ("cc-pwCVQZ-PP", {"Ag": "cc-pvqz-pp"}),
        ("stuttgart", {"O": "stuttgart"}),
        ("cc-pvdz", {}),
        ("ano", {}),
    ],
)
def test_a_basis_has_the_potentials_that_it_is_made_for(
    basis: str, potentials: dict[str, str]
) -> None:
    assert basis_potentials(basis, {"Ag", "H", "O"}) == potentials


@pytest.mark.parametrize(("basis", "ecp"), [("ccecp-cc-pvdz", "ccecp"), ("bfd-vdz", "bfd")])
def test_potentials_of_another_name_are_taken(basis: str, ecp: str) -> None:
    water = Molecule(geometry=WATER, basis=basis, active_space=FOUR)
    assert water.hamiltonian() == water.model_copy(update={"ecp": ecp}).hamiltonian()
    assert water.hamiltonian().constant > -11  # -59 with all electrons


@pytest.mark.parametrize("basis", ["aug-cc-pvdz-pp", "cc-pwcvtz-pp"])
def test_an_augmented_basis_has_the_potentials_of_the_one_that_it_augments(basis: str) -> None:
    silver = Molecule(geometry="Ag 0 0 0", basis=basis, spin=1, frozen_core=4, symmetry=False)
    assert sum(silver.hamiltonian().electrons) == 11


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"geometry": WATER, "basis": "gth-szv"}, "of O, and no core potential is known for it"),
        (
            {"geometry": "Ag 0 0 0", "spin": 1, "basis": "cc-pvdz-pp-nr"},
            r"give the one that the basis is made for as ecp \(pyscf has ccecp, cc-pvdz-pp, .*for Ag",
        ),
        ({"geometry": "Ag 0 0 0; H 0 0 1.6", "basis": "lanl2dz", "ecp": "bfd"}, "ecp='bfd' has no"),
        ({"geometry": "Ag 0 0 0; H 0 0 1.6", "basis": "lanl2dz", "ecp": ""}, "ecp='' has none"),
        ({"geometry": "Ce 0 0 0", "basis": "ma-def2-svp"}, "for the core electrons of Ce"),
    ],
)
def test_a_basis_without_core_functions_needs_a_potential(
    settings: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        Molecule(**settings).hamiltonian()
    assert re.match("the basis .* has no functions for the core electrons", str(caught.value))


@pytest.mark.parametrize(
    ("element", "basis"),
    [
        *[(element, basis) for element in ("Li", "Ne", "Ar", "Zn") for basis in ("sto-3g", "ano")],
        *[("Zn", basis) for basis in ("6-31g", "cc-pvdz", "def2-svp", "cc-pvdz-dk")],
        *[(element, "ano") for element in ("Ag", "Au", "U", "Cm")],
        *[(element, "cc-pvtz-dk") for element in ("Ag", "Au", "Lr")],
        *[("I", basis) for basis in ("sto-3g", "3-21g", "dyall-v2z")],
        ("ghost-O", "ccecp-cc-pvdz"),
    ],
)
def test_bases_for_all_electrons_need_none(element: str, basis: str) -> None:
    """Those of heavy elements are contracted for relativistic orbitals, which are narrower."""
    require_core(gto.M(atom=f"{element} 0 0 0", basis=basis, spin=None), basis, None)


def test_a_potential_in_a_text_is_its_elements_alone() -> None:
    known = Path(gto.basis.__file__).parent / "lanl2dz.dat"
    found = re.search(r"^Ag\s+nelec.*?(?=^\w+ +nelec)", known.read_text(), re.S | re.I | re.M)
    assert found is not None
    silver = Molecule(
        geometry="Ag 0 0 0; H 0 0 1.6",
        basis="lanl2dz",
        ecp=f"ECP\n{found.group(0)}\nEND\n",
        symmetry=False,
        frozen_core=9,
    )
    energy = scf.RHF(
        gto.M(atom=silver.geometry, basis="lanl2dz", ecp={"Ag": "lanl2dz"}, verbose=0)
    ).run()
    hamiltonian = silver.hamiltonian()
    filled = np.arange(hamiltonian.norb) < 1
    determinant = hamiltonian.determinant_energy(filled, filled)
    assert determinant + hamiltonian.constant == pytest.approx(energy.e_tot, abs=1e-6)
