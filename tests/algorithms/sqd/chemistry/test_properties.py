"""Natural orbitals and dipoles beside pyscf's."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from pyscf import gto, mcscf, scf
from threadpoolctl import threadpool_limits

from qcsc_algorithms.sqd import SQD, FCIDump, Molecule
from qcsc_algorithms.sqd.chemistry.properties import (
    dipole_moment,
    natural_occupations,
    unpaired_electrons,
)
from qcsc_loop import MaxIterations, MemoryStore

RANDOM: Any = {"type": "random"}
HYDROXYL = "O 0 0 0; H 0 0.1 0.97"


def run(sqd: SQD) -> Any:
    with threadpool_limits(1):
        stop = MaxIterations(1)
        return anyio.run(partial(sqd.run, store=MemoryStore(), stop=stop, seed=1)).state


@pytest.mark.parametrize(
    ("charge", "spin"), [(-1, 0), (0, 1)], ids=["closed shell, an ion", "open shell"]
)
def test_a_run_s_dipole_and_natural_orbitals_are_casci_s(charge: int, spin: int) -> None:
    molecule: Any = Molecule(
        geometry=HYDROXYL, basis="sto-3g", frozen_core=1, charge=charge, spin=spin
    )
    made: Any = gto.M(
        atom=HYDROXYL, basis="sto-3g", charge=charge, spin=spin, symmetry=True, verbose=0
    )
    field: Any = (scf.ROHF if spin else scf.RHF)(made).run(conv_tol=1e-12)
    space: Any = mcscf.CASCI(field, 5, made.nelectron - 2)
    space.kernel()
    dipole = scf.hf.dip_moment(made, space.make_rdm1(), unit="debye", verbose=0, origin=(0, 0, 0))
    occupations: Any = np.sort(np.linalg.eigvalsh(space.fcisolver.make_rdm1(*_of(space))))[::-1]

    sqd = SQD(system=molecule, shots=5000, optimizer=RANDOM, walkers=1)
    state = run(sqd)

    density = np.asarray(state.guess.density)
    assert state.energy == pytest.approx(space.e_tot, abs=1e-7)
    np.testing.assert_allclose(natural_occupations(density), occupations, atol=1e-4)
    moment = dipole_moment(state.hamiltonian, density)
    assert moment is not None
    np.testing.assert_allclose(np.sort(abs(moment)), np.sort(abs(np.array(dipole))), atol=1e-3)
    tables = sqd.tables(state)
    told = {row["property"]: row["value"] for row in tables["sqd-properties"]}
    assert told["dipole (debye)"] == pytest.approx(np.linalg.norm(dipole), abs=1e-3)
    assert told["unpaired electrons"] == pytest.approx(unpaired_electrons(occupations), abs=1e-3)
    assert len(tables["sqd-natural-orbitals"]) == 5


def _of(space: Any) -> Any:
    return space.ci, space.ncas, space.nelecas


def test_of_an_fcidump_no_dipole_is_known(tmp_path: Path) -> None:
    hydrogen = Molecule(geometry="H 0 0 0; H 0 0 0.735", basis="sto-3g").hamiltonian()
    hydrogen.write_fcidump(tmp_path / "h2")
    sqd = SQD(system=FCIDump(path=tmp_path / "h2"), shots=100)
    state = run(sqd)
    names = [row["property"] for row in sqd.tables(state)["sqd-properties"]]
    assert names == ["unpaired electrons"]


def test_orbitals_in_another_order_have_the_same_dipole() -> None:
    molecule = Molecule(geometry=HYDROXYL, basis="sto-3g", charge=-1).hamiltonian()
    other = molecule._reordered(np.array([1, 0, 2, 3, 5, 4]))
    density = np.diag([1.0, 1, 1, 1, 1, 0])
    swapped = density[np.ix_([1, 0, 2, 3, 5, 4], [1, 0, 2, 3, 5, 4])]
    known = dipole_moment(molecule, np.stack([density] * 2))
    found = dipole_moment(other, np.stack([swapped] * 2))
    assert known is not None
    assert found is not None
    np.testing.assert_allclose(known, found, atol=1e-12)


def test_several_states_are_a_table() -> None:
    """Energies of hydrogen's three singlets, the lowest first."""
    solver: Any = {"type": "native", "roots": 3}
    system: Any = {"geometry": "H 0 0 0; H 0 0 0.735", "basis": "sto-3g"}
    sqd = SQD(system=system, shots=100, solver=solver, optimizer=RANDOM, walkers=1)
    state = run(sqd)
    table: Any = sqd.tables(state)["sqd-states"]
    energies = [row["energy (hartree)"] for row in table]
    assert energies == sorted(energies)
    assert energies[0] == pytest.approx(state.energy, abs=1e-12)
    assert [row["S^2"] for row in table] == pytest.approx([0, 0, 0], abs=1e-6)
