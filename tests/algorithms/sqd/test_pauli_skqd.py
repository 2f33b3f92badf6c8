"""SKQD of qubits: the exact energy of a chain, noise left out, resuming, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from scipy.sparse.linalg import eigsh

from qcsc_algorithms.sqd import PauliKrylov, PauliSKQD
from qcsc_algorithms.sqd.pauli_skqd import alternating
from qcsc_algorithms.sqd.paulis.pauli_model import Heisenberg
from qcsc_loop import DirectoryStore, MaxIterations, MemoryStore, Outcome
from qcsc_loop.errors import QcscLoopError
from qcsc_loop.values.codec import Codec

TRANSVERSE = {"IZZ": -1.0, "ZZI": -1.0, "IIX": -0.8, "IXI": -0.8, "XII": -0.8}


def run(iterations: int, store: Any = None, **parameters: Any) -> Outcome[PauliKrylov]:
    skqd, stop = PauliSKQD(**parameters), MaxIterations(iterations)
    return anyio.run(
        lambda: skqd.run(store=store or MemoryStore(), stop=stop, seed=1, run_id="pauli")
    )


def test_a_chain_of_twelve_spins_comes_near_its_exact_energy() -> None:
    few: Any = {"hamiltonian": {"sites": 12}, "shots": 5000, "tolerance": 0}
    state = run(6, **few).state
    operator: Any = Heisenberg(sites=12).terms().operator()
    matrix = operator.to_matrix(sparse=True).real
    assert state.references["exact"] == pytest.approx(eigsh(matrix, k=1, which="SA")[0][0])
    assert state.energy >= state.references["exact"] - 1e-9
    assert state.energy == pytest.approx(state.references["exact"], abs=0.05)
    assert state.strings < 924  # those with six ones: it is not the whole space
    assert state.residual < 1e-9
    assert int(state.pool.counts.sum()) == 30_000


def test_a_model_that_conserves_nothing_is_solved_from_a_product_state() -> None:
    state = run(3, hamiltonian=TRANSVERSE, start="+++", shots=500).state
    assert state.references["start"] == pytest.approx(-2.4)
    assert state.strings == 8
    assert state.energy == pytest.approx(state.references["exact"], abs=1e-9)


def test_shots_with_another_number_of_ones_are_left_out() -> None:
    noisy: Any = {"hamiltonian": {"sites": 6}, "shots": 400, "tolerance": 0}
    noisy["sampler"] = {"type": "aer", "bit_flip": 0.1}
    state = run(2, **noisy, ones=3).state
    assert 0.2 < state.kept < 0.9
    assert state.strings <= 20 < state.configurations
    assert np.unpackbits(state.best_rows, axis=1).sum(axis=1).tolist() == [3] * 10


def test_the_strings_seen_most_often_are_kept_and_the_start_first() -> None:
    few: Any = {"hamiltonian": {"sites": 6}, "shots": 400}
    assert run(2, **few, max_strings=7).state.strings == 7
    alone = run(2, **few, max_strings=1).state
    assert alone.energy == alone.current == -5.0  # of 101010: five bonds
    assert alone.best_rows.tolist() == [[int(alternating(6), 2)]]


def test_it_goes_on_with_the_same_bits(tmp_path: Path) -> None:
    few: Any = {"hamiltonian": {"sites": 6}, "shots": 300, "tolerance": 0}
    store, codec = DirectoryStore(tmp_path), Codec[PauliKrylov](PauliKrylov)
    run(1, store, **few)
    resumed = codec.encode(run(3, store, **few).state).sha256
    assert resumed == codec.encode(run(3, **few).state).sha256


def test_what_was_read_of_a_file_stays_in_the_run(tmp_path: Path) -> None:
    file, store = tmp_path / "chain.txt", DirectoryStore(tmp_path / "runs")
    file.write_text("XX 1\nYY 1\nZZ 1\n")
    run(1, store, hamiltonian=str(file), shots=50, tolerance=0)
    file.unlink()
    assert run(2, store, hamiltonian=str(file), shots=50, tolerance=0).state.energy == (
        pytest.approx(-3)
    )


def test_it_converges_by_itself_and_tells_its_strings() -> None:
    outcome = run(20, hamiltonian={"sites": 4}, shots=500)
    assert outcome.reason == "converged"
    tables = PauliSKQD().tables(outcome.state)
    assert next(row["method"] for row in tables["pauli-skqd-energies"]) == "start"
    assert {row["bit string"] for row in tables["pauli-skqd-strings"][:2]} == {"0101", "1010"}


@pytest.mark.parametrize(
    ("parameters", "why"),
    [
        ({"start": "01"}, "start: 2 letters for 4 qubits"),
        ({"start": "010x"}, "start: 'x' is no state of a qubit"),
        ({"ones": 3}, "the start 0101 has 2"),
        ({"hamiltonian": "nowhere.txt"}, "nowhere.txt cannot be read"),
        ({"start": "++++", "ones": 4, "shots": 1}, "none of 1 shots has 4 ones"),
        ({"hamiltonian": {"XX": 0.0}}, "no term but the identity whose coefficient is not 0"),
        ({"hamiltonian": {"type": "terms", "given": {"ZZ": 0, "II": 1}}}, "nothing would evolve"),
        ({"hamiltonian": [("XX", 0.1), ("XX", 0.2), ("XX", -0.3)]}, "nothing would evolve"),
        ({"hamiltonian": {"sites": 4, "x": 0, "y": 0, "z": 0}}, "nothing would evolve"),
        ({"hamiltonian": {}}, "an empty mapping is no Hamiltonian: give coefficients by label"),
    ],
)
def test_what_does_not_fit_is_refused(parameters: dict[str, Any], why: str) -> None:
    with pytest.raises((QcscLoopError, ValueError), match=why):
        run(1, **{"hamiltonian": {"sites": 4}, **parameters})
