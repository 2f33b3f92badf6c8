"""SKQD: the right evolution, pooled samples, resuming."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest

from benchmarks.published import anderson_impurity
from qcsc_algorithms.sqd import SKQD, Krylov
from qcsc_algorithms.sqd.chemistry.ansatz import LUCJ
from qcsc_algorithms.sqd.chemistry.hamiltonian import Hamiltonian
from qcsc_algorithms.sqd.chemistry.reference import compute_start
from qcsc_algorithms.sqd.chemistry.system import Molecule
from qcsc_algorithms.sqd.skqd import (
    default_time_step,
    evolution_circuit,
    first_state,
    spread_state,
)
from qcsc_loop import DirectoryStore, MaxIterations, MemoryStore, Outcome
from qcsc_loop.values.codec import Codec

H2: Any = {"geometry": "H 0 0 0; H 0 0 0.735", "basis": "sto-3g"}
H4: Any = {"geometry": "H 0 0 0; H 0 0 1; H 0 0 2; H 0 0 3", "basis": "sto-3g"}


@pytest.fixture(scope="module")
def chain() -> Hamiltonian:
    """H4 in a minimal basis."""
    return Molecule.model_validate(H4).hamiltonian()


def run(iterations: int, store: Any = None, **parameters: Any) -> Outcome[Krylov]:
    skqd, stop = SKQD(**parameters), MaxIterations(iterations)
    return anyio.run(
        lambda: skqd.run(store=store or MemoryStore(), stop=stop, seed=1, run_id="skqd")
    )


def state_of(hamiltonian: Hamiltonian, steps: int, time_step: float, trotter: int) -> Any:
    """The circuit's state, in ffsim's order."""
    import ffsim

    circuit = evolution_circuit(
        partial(spread_state, pairs=0), hamiltonian, steps, time_step, trotter
    )
    circuit.remove_final_measurements()
    return ffsim.qiskit.final_state_vector(circuit).vec


def exact(hamiltonian: Hamiltonian, time: float) -> Any:
    """exp(-i H t) on the Hartree-Fock state, by the whole matrix."""
    import ffsim
    from scipy.sparse.linalg import expm_multiply

    norb, electrons = hamiltonian.norb, hamiltonian.electrons
    operator = ffsim.linear_operator(hamiltonian.as_ffsim(), norb=norb, nelec=electrons)
    start = ffsim.hartree_fock_state(norb, electrons)
    return expm_multiply(-1j * time * operator, start, traceA=0.0)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_state_after_k_steps_is_that_of_k_times_the_time(
    chain: Hamiltonian, steps: int
) -> None:
    # a formula that divides the time by the steps once more gives the state of the first step
    found = state_of(chain, steps, 0.2, 8)
    assert abs(np.vdot(exact(chain, 0.2 * steps), found)) ** 2 == pytest.approx(1, abs=1e-3)


def test_more_trotter_steps_come_closer(chain: Hamiltonian) -> None:
    wanted = exact(chain, 0.8)
    lost = [1 - abs(np.vdot(wanted, state_of(chain, 2, 0.4, n))) ** 2 for n in (1, 2, 4)]
    # second order: the amplitude's error falls by 4 for each doubling
    assert lost[0] > 4 * lost[1] > 16 * lost[2]


def test_the_time_step_spans_the_determinants_energies(chain: Hamiltonian) -> None:
    import ffsim

    operator: Any = ffsim.linear_operator(chain.as_ffsim(), norb=4, nelec=(2, 2))
    columns = np.eye(36)
    energies = [(column @ (operator @ column)).real for column in columns]
    assert math.pi / default_time_step(chain) <= max(energies) - min(energies) + 1e-9


def test_it_reaches_the_exact_energy_of_a_small_space() -> None:
    state = run(3, system=H4, shots=2000).state
    assert state.energy == pytest.approx(-2.166387, abs=1e-4)
    assert state.states == 3


def test_samples_of_all_states_are_pooled() -> None:
    state = run(2, system=H4, shots=300).state
    assert int(state.pool.counts.sum()) == 600
    assert state.configurations == len(state.pool.counts) == len(np.unique(state.pool.rows, axis=0))


def test_it_goes_on_with_the_same_bits(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    run(1, store, system=H4, shots=300, max_strings=4)
    codec = Codec[Krylov](Krylov)
    resumed = codec.encode(run(3, store, system=H4, shots=300, max_strings=4).state).sha256
    assert resumed == codec.encode(run(3, system=H4, shots=300, max_strings=4).state).sha256


def test_it_converges_by_itself() -> None:
    assert run(20, system=H2, shots=200).reason == "converged"


def populations(start: Any, hamiltonian: Hamiltonian) -> Any:
    """Of each spin orbital, in a state that has not evolved."""
    from qiskit.quantum_info import Statevector

    circuit = evolution_circuit(start, hamiltonian, 0, 0.1, 1)
    circuit.remove_final_measurements()
    state = Statevector(circuit.decompose(reps=3))
    return [state.probabilities([qubit])[1] for qubit in range(2 * hamiltonian.norb)]


def test_a_spread_start_shares_electrons_around_the_fermi_level(chain: Hamiltonian) -> None:
    found = populations(partial(spread_state, pairs=1), chain)
    assert found == pytest.approx([1, 0.5, 0.5, 0] * 2)
    assert populations(partial(spread_state, pairs=9), chain) == pytest.approx([0.5] * 8)


def test_a_start_by_coupled_cluster_is_its_circuit(chain: Hamiltonian) -> None:
    import ffsim

    found = compute_start(Molecule.model_validate(H4), LUCJ())
    start = partial(first_state, "lucj", 0, LUCJ(), found.parameters)
    circuit = evolution_circuit(start, found.hamiltonian, 0, 0.1, 1)
    circuit.remove_final_measurements()
    wanted = LUCJ().state(np.asarray(found.parameters), found.hamiltonian)
    one, other = (ffsim.qiskit.final_state_vector(each).vec for each in (circuit, wanted))
    assert abs(np.vdot(one, other)) == pytest.approx(1)


def test_an_impurity_needs_another_start_than_one_determinant(tmp_path: Path) -> None:
    file = tmp_path / "impurity.fcidump"
    anderson_impurity(8, repulsion=10.0).write_fcidump(file)
    few: Any = {"system": str(file), "shots": 3000, "max_strings": 70, "time_step": 0.3}
    gaps = {}
    for start in ("hartree-fock", "spread"):
        state = run(3, **few, start=start, first_power=0, tolerance=0).state
        gaps[start] = state.energy - state.references.fci
        assert state.states == 3
    assert gaps["spread"] < gaps["hartree-fock"] / 2
