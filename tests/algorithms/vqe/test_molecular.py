"""VQE of molecules: the UCCSD circuit from Hartree-Fock, beside full CI."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import anyio
import numpy as np
import pytest
from pydantic import ValidationError
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp, Statevector
from threadpoolctl import threadpool_limits

from qcsc_algorithms.sqd import Molecule
from qcsc_algorithms.vqe import VQE, Adam, Variational
from qcsc_algorithms.vqe.molecular import compute_molecule, excitation_generator, excitations
from qcsc_loop.errors import InputError
from qcsc_loop.loop.outcome import Outcome
from qcsc_loop.rules.stop import MaxIterations
from qcsc_loop.sampling.estimator import Estimates, Estimator
from qcsc_loop.steps.step import Step, stepping
from qcsc_loop.store.memory import MemoryStore

HYDROGEN: Any = {"geometry": "H 0 0 0; H 0 0 0.735", "basis": "sto-3g"}
LITHIUM_HYDRIDE: Any = {"geometry": "Li 0 0 0; H 0 0 1.6", "basis": "sto-3g"}
SMALL: Any = {"geometry": "Li 0 0 0; H 0 0 2.8", "basis": "sto-3g"} | {
    "active_space": {"electrons": 2, "orbitals": 3}
}
HYDROGEN_FCI, LITHIUM_HYDRIDE_FCI = -1.1373060357534, -7.882096599920  # hartree, by pyscf
CHEMICAL_ACCURACY = 1.6e-3  # hartree


class Exact(Estimator):
    """A few qubits by numpy: a tenth of Aer's time."""

    type: Literal["exact-test"] = "exact-test"

    async def estimate(
        self, circuit: QuantumCircuit, observables: Sequence[SparsePauliOp], *, precision: float
    ) -> Estimates:
        state = Statevector(circuit)
        values = np.array([state.expectation_value(each).real for each in observables])
        return Estimates(values=values, standard_errors=np.zeros(len(values)))


def algorithm(system: Any, **settings: Any) -> VQE:
    chosen: Any = {"ansatz": "uccsd", "optimizer": Adam(rate=0.05), "estimator": Exact()}
    return VQE(system=system, tolerance=0, **{**chosen, **settings})


def run(vqe: VQE, iterations: int, store: MemoryStore | None = None) -> Outcome[Variational]:
    kept = store or MemoryStore()
    try:
        stop = MaxIterations(iterations)
        return anyio.run(lambda: vqe.run(store=kept, stop=stop, run_id="vqe"))
    finally:
        if store is None:
            kept.close()


def test_hydrogen_comes_to_full_ci() -> None:
    state = run(algorithm(HYDROGEN), 12).state
    assert HYDROGEN_FCI - 1e-9 < state.energy < HYDROGEN_FCI + 1e-4
    assert state.molecule is not None
    assert state.molecule.references.fci == pytest.approx(HYDROGEN_FCI, abs=1e-9)
    tables = algorithm(HYDROGEN).tables(state)
    assert [row["method"] for row in tables["vqe-energies"]][:2] == ["VQE", "HF"]


def test_lithium_hydride_in_three_orbitals_comes_to_their_full_ci() -> None:
    state = run(algorithm(SMALL), 10).state
    assert state.molecule is not None
    references = state.molecule.references
    assert references.hf - references.fci > CHEMICAL_ACCURACY
    assert references.fci - 1e-9 < state.energy < references.fci + CHEMICAL_ACCURACY / 2


@pytest.mark.nightly
def test_lithium_hydride_in_all_valence_orbitals_comes_to_full_ci() -> None:
    state = run(algorithm(LITHIUM_HYDRIDE | {"frozen_core": 1}), 20).state
    assert LITHIUM_HYDRIDE_FCI - 1e-9 < state.energy < LITHIUM_HYDRIDE_FCI + CHEMICAL_ACCURACY


def test_it_starts_at_hartree_fock() -> None:
    state = run(algorithm(HYDROGEN), 1).state
    assert state.molecule is not None
    assert state.current == pytest.approx(state.molecule.references.hf, abs=1e-9)
    np.testing.assert_array_equal(state.best_parameters, 0)


def test_a_resumed_run_has_the_same_bits() -> None:
    store = MemoryStore()
    run(algorithm(HYDROGEN), 2, store)
    resumed = run(algorithm(HYDROGEN), 4, store)
    store.close()
    assert resumed.state_sha256 == run(algorithm(HYDROGEN), 4).state_sha256


def test_spsa_goes_downhill_too() -> None:
    state = run(algorithm(HYDROGEN, optimizer={"type": "spsa", "a": 1.0}), 25).state
    assert state.energy == pytest.approx(HYDROGEN_FCI, abs=CHEMICAL_ACCURACY)


def test_the_gradient_is_the_finite_difference() -> None:
    vqe = algorithm(SMALL)
    with stepping(Step(name="initialize")):
        state = anyio.run(vqe.initialize)
    point = np.random.default_rng(1).uniform(-1, 1, len(state.parameters))
    circuit, hamiltonian = vqe._problem(state.molecule)

    def energy(at: Any) -> float:
        found = Statevector(circuit.assign_parameters(at)).expectation_value(hamiltonian)
        return float(found.real)

    points = vqe._rule.points(point, np.ones(len(point)), 1)
    energies = np.array([energy(at) for at in points])
    step = 1e-4 * np.eye(len(point))
    slopes = [(energy(point + each) - energy(point - each)) / 2e-4 for each in step]
    np.testing.assert_allclose(vqe._rule.gradient(energies, point, 1), slopes, atol=1e-6)


@pytest.mark.parametrize("symmetry", [True, False])
def test_excitations_keep_spins_and_symmetry(symmetry: bool) -> None:
    system = Molecule(geometry="Li 0 0 0; H 0 0 1.6", basis="sto-3g", symmetry=symmetry)
    with threadpool_limits(1):
        hamiltonian = system.hamiltonian()
    found, norb = excitations(hamiltonian), hamiltonian.norb
    for each in found:
        assert sum(q < norb for q in each.created) == sum(q < norb for q in each.removed)
    if not symmetry:
        empty = norb - 2
        same = math.comb(empty, 2)
        assert len(found) == 2 * 2 * empty + 2 * same + (2 * empty) ** 2
    else:
        labels = np.asarray(hamiltonian.orbital_symmetry)
        kinds = [[labels[q % norb] for q in (*e.created, *e.removed)] for e in found]
        assert all(sum(kind == label for kind in k) % 2 == 0 for k in kinds for label in (2, 3))


def test_a_generator_has_the_eigenvalues_of_the_rule() -> None:
    with threadpool_limits(1):
        hamiltonian = Molecule(**SMALL).hamiltonian()
    for each in (excitations(hamiltonian)[0], excitations(hamiltonian)[-1]):
        matrix = excitation_generator(each, 6).to_matrix()
        assert set(np.round(np.linalg.eigvalsh(matrix), 9)) == {-1.0, 0.0, 1.0}


def test_the_terms_have_the_hamiltonians_spectrum() -> None:
    molecule = compute_molecule(Molecule(**HYDROGEN))
    matrix = SparsePauliOp.from_list(list(molecule.terms.items())).to_matrix()
    assert np.linalg.eigvalsh(matrix)[0] == pytest.approx(HYDROGEN_FCI, abs=1e-9)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no molecule": ({"ansatz": "uccsd"}, "system: a uccsd ansatz excites .* give one"),
    "another ansatz": ({"system": HYDROGEN}, "ansatz: efficient-su2 does not keep .* take uccsd"),
    "nothing": ({"system": HYDROGEN, "ansatz": "uccsd", "reps": 0}, "reps: a uccsd ansatz of 0"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_settings_are_refused_in_one_sentence(name: str) -> None:
    given, sentence = REFUSED[name]
    with pytest.raises(ValidationError, match=sentence):
        VQE(**given)


def test_unrestricted_orbitals_are_refused() -> None:
    with pytest.raises(InputError, match=r"vqe takes orbitals common to both spins.* or sqd"):
        run(algorithm(HYDROGEN | {"orbitals": "unrestricted"}), 1)


def test_a_molecule_that_cannot_be_built_is_refused() -> None:
    with pytest.raises(InputError, match="the system cannot be set up"):
        run(algorithm({"geometry": "H 0 0 0; H 0 0 0.7", "basis": "none"}), 1)
