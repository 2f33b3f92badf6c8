"""Systems whose orbitals, references or bases are not as a closed-shell molecule's."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from pyscf import ao2mo, fci, gto, lib, scf
from threadpoolctl import threadpool_limits

from qcsc_algorithms.sqd import (
    LUCJ,
    SKQD,
    SQD,
    FCIDump,
    Hamiltonian,
    Molecule,
    NativeSolver,
    PlainSQD,
)
from qcsc_algorithms.sqd.chemistry.reference import Start, compute_start
from qcsc_algorithms.sqd.skqd import default_time_step
from qcsc_loop import MaxIterations, MemoryStore
from qcsc_loop.sampling.random_bits import RandomSampler

WATER = Molecule(frozen_core=1)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    with threadpool_limits(1), lib.with_omp_threads(1):
        yield


def rotated(hamiltonian: Hamiltonian, rotation: Any, labels: bool = False) -> Hamiltonian:
    """In other orbitals, the columns of the rotation."""
    two_body = ao2mo.restore(1, np.array(hamiltonian.two_body), hamiltonian.norb)
    two_body = np.einsum("pqrs,pi,qj,rk,sl->ijkl", two_body, *[rotation] * 4, optimize=True)
    labels = labels and np.asarray(hamiltonian.orbital_symmetry).size > 0
    order = np.argmax(abs(rotation), axis=0)
    return hamiltonian.model_copy(
        update={
            "one_body": rotation.T @ hamiltonian.one_body @ rotation,
            "two_body": np.asarray(ao2mo.restore(8, two_body, hamiltonian.norb)),
            "orbital_symmetry": np.asarray(hamiltonian.orbital_symmetry)[order]
            if labels
            else np.empty(0, np.int64),
        }
    )


def started(hamiltonian: Hamiltonian, folder: Path) -> Start:
    hamiltonian.write_fcidump(folder / "dump")
    return compute_start(FCIDump(path=folder / "dump"), LUCJ())


@pytest.mark.parametrize("charge", [0, 1], ids=["closed", "open"])
def test_orbitals_grouped_by_symmetry_have_the_same_hartree_fock(
    charge: int, tmp_path: Path
) -> None:
    hamiltonian = WATER.model_copy(update={"charge": charge, "spin": charge}).hamiltonian()
    grouped = np.argsort(np.asarray(hamiltonian.orbital_symmetry), kind="stable")
    assert np.any(grouped != np.arange(12))
    other = rotated(hamiltonian, np.eye(12)[:, grouped], labels=True)

    known, found = started(hamiltonian, tmp_path), started(other, tmp_path)

    assert found.energies.hf == pytest.approx(known.energies.hf, abs=1e-9)
    assert found.energies.ccsd == pytest.approx(known.energies.ccsd, abs=1e-6)
    labels = np.asarray(found.hamiltonian.orbital_symmetry).tolist()
    assert sorted(labels) == sorted(np.asarray(hamiltonian.orbital_symmetry).tolist())
    assert found.remarks == ()


def test_orbitals_that_are_in_order_keep_it(tmp_path: Path) -> None:
    hamiltonian = WATER.hamiltonian()
    assert started(hamiltonian, tmp_path).hamiltonian.sha256 == hamiltonian.sha256


def test_coupled_cluster_that_is_below_the_exact_energy_is_said(tmp_path: Path) -> None:
    chain = Molecule(geometry="; ".join(f"H 0 0 {i}" for i in range(6)), basis="sto-3g")
    rotation, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(6, 6)))

    found = started(rotated(chain.hamiltonian(), rotation), tmp_path)

    (remark,) = found.remarks
    assert "below the exact -3.236066: it does not describe this state" in remark


def ring(sites: int, electrons: tuple[int, int], repulsion: float) -> Hamiltonian:
    hopping, two_body = np.zeros((sites, sites)), np.zeros((sites,) * 4)
    for i in range(sites):
        hopping[i, (i + 1) % sites] = hopping[(i + 1) % sites, i] = -1
        two_body[i, i, i, i] = repulsion
    return Hamiltonian(
        norb=sites,
        num_alpha=electrons[0],
        num_beta=electrons[1],
        constant=0.0,
        one_body=hopping,
        two_body=np.asarray(ao2mo.restore(8, two_body, sites)),
    )


@pytest.mark.parametrize("electrons", [(2, 2), (3, 2)], ids=["closed", "open"])
def test_a_hubbard_ring_in_the_basis_of_its_sites_runs(
    electrons: tuple[int, int], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its orbitals have no gap: coupled cluster diverges, and says so; that is no crash."""
    hamiltonian = ring(4, electrons, 4.0)
    assert 0 < default_time_step(hamiltonian) < 10
    hamiltonian.write_fcidump(tmp_path / "ring")
    system: Any = str(tmp_path / "ring")
    skqd = SKQD(system=system, shots=500)

    state = anyio.run(lambda: skqd.run(store=MemoryStore(), stop=MaxIterations(2))).state

    assert state.energy == pytest.approx(state.references.fci, abs=1e-6)
    told = "CCSD did not converge in these orbitals: the circuit starts from" in caplog.text
    assert told == math.isnan(state.references.ccsd)
    assert told or electrons == (2, 2)


def test_a_basis_with_core_potentials_has_them() -> None:
    silver = Molecule(geometry="Ag 0 0 0; H 0 0 1.6", basis="lanl2dz", symmetry=False)
    molecule: Any = gto.M(atom=silver.geometry, basis="lanl2dz", ecp={"Ag": "lanl2dz"}, verbose=0)
    energy = scf.RHF(molecule).run(conv_tol=1e-12).e_tot

    with pytest.raises(ValueError, match="of a molecule with 20 electrons"):
        silver.model_copy(update={"frozen_core": 30}).hamiltonian()
    found = silver.hamiltonian()

    assert found.electrons == (10, 10)
    filled = np.arange(found.norb) < 10
    determinant = found.determinant_energy(filled, filled) + found.constant
    assert determinant == pytest.approx(energy, abs=1e-7)


def test_core_potentials_can_be_named() -> None:
    silver = Molecule(geometry="Ag 0 0 0; H 0 0 1.6", basis="lanl2dz", ecp="lanl2dz")
    assert silver.hamiltonian().electrons == (10, 10)


CHAIN = {"geometry": "H 0 0 0; H 0 0 1; H 0 0 2; H 0 0 3", "frozen_core": 0}
OXYGEN = {"geometry": "O 0 0 0; O 0 0 1.2", "frozen_core": 2, "spin": 0}
NITROGEN_ATOM = {"geometry": "N 0 0 0", "frozen_core": 0, "spin": 1}


@pytest.mark.parametrize(
    ("system", "spin_square"),
    [
        (CHAIN, 0.0),
        (CHAIN, 2.0),
        (CHAIN, 6.0),
        (OXYGEN, 0.0),
        (NITROGEN_ATOM, 0.75),
    ],
)
def test_full_ci_is_of_the_spin_that_is_asked_for(
    system: dict[str, Any], spin_square: float
) -> None:
    """Beside all states of the molecule, each with its spin."""
    found = compute_start(Molecule(basis="sto-3g", **system), LUCJ(), spin_square)
    hamiltonian = found.hamiltonian
    number = math.prod(math.comb(hamiltonian.norb, n) for n in hamiltonian.electrons)
    solver: Any = fci.direct_spin1.FCI()
    solver.max_cycle, solver.conv_tol = 300, 1e-12
    one_body, two_body = np.array(hamiltonian.one_body), np.array(hamiltonian.two_body)
    levels, vectors = solver.kernel(
        one_body, two_body, hamiltonian.norb, hamiltonian.electrons, nroots=min(number, 40)
    )
    spins = [
        fci.spin_op.spin_square0(vector, hamiltonian.norb, hamiltonian.electrons)[0]
        for vector in vectors
    ]
    wanted = [e for e, s in zip(levels, spins, strict=True) if abs(s - spin_square) < 1e-3]
    assert found.energies.fci == pytest.approx(min(wanted) + hamiltonian.constant, abs=1e-7)
    assert found.energies.lowest == pytest.approx(min(levels) + hamiltonian.constant, abs=1e-7)
    other = found.energies.lowest < found.energies.fci - 1e-6
    assert any("is of another spin" in remark for remark in found.remarks) == other


def test_a_spin_that_there_is_not_has_no_full_ci() -> None:
    found = compute_start(Molecule(basis="sto-3g", **CHAIN), LUCJ(), 12.0)
    assert math.isnan(found.energies.fci) and math.isfinite(found.energies.lowest)


@pytest.mark.parametrize("kind", [SQD, PlainSQD, SKQD])
def test_hartree_fock_of_another_spin_is_not_the_best_of_a_run(kind: Any) -> None:
    """Of two hydrogen molecules' triplet, whose determinant with closed shells is far lower."""
    algorithm = kind(
        system=Molecule(basis="sto-3g", **CHAIN),
        max_strings=6,
        shots=2000,
        sampler=RandomSampler(),
        solver=NativeSolver(spin_square=2.0),
    )
    run = algorithm.run(store=MemoryStore(), stop=MaxIterations(2), seed=1)
    outcome = anyio.run(lambda: run)
    state = outcome.state
    assert state.energy == pytest.approx(-1.93375723, abs=1e-6)
    assert state.references.fci == pytest.approx(state.energy, abs=1e-6)
    assert state.spin_square == pytest.approx(2.0, abs=1e-3)
    assert state.references.lowest < state.references.hf < state.energy
