"""Plain SQD: one set of shots, recovered until it agrees with itself; resuming."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest

from qcsc_algorithms.sqd import PlainSQD, Recovered
from qcsc_algorithms.sqd.determinants.configurations import pack
from qcsc_loop import DirectoryStore, MaxIterations, MemoryStore, Outcome
from qcsc_loop.sampling.samples import Samples
from qcsc_loop.values.codec import Codec

H4: Any = {"geometry": "H 0 0 0; H 0 0 1; H 0 0 2; H 0 0 3", "basis": "sto-3g"}
N2: Any = {"geometry": "N 0 0 0; N 0 0 1.09768", "basis": "sto-3g", "frozen_core": 2}
N2_FCI = -107.652521  # published beside the quickstart of qiskit-addon-sqd


def run(iterations: int, store: Any = None, **parameters: Any) -> Outcome[Recovered]:
    sqd, stop = PlainSQD(**parameters), MaxIterations(iterations)
    return anyio.run(
        lambda: sqd.run(store=store or MemoryStore(), stop=stop, seed=1, run_id="plain")
    )


def test_it_samples_once_and_goes_on_with_those_shots() -> None:
    outcome = run(4, system=H4, shots=300, max_strings=4, tolerance=0)
    assert outcome.usage["shots"] == 300
    assert int(np.asarray(outcome.state.pool.counts).sum()) == 300
    assert outcome.iteration == 4


def test_it_goes_on_with_the_same_bits(tmp_path: Path) -> None:
    few: Any = {"system": H4, "shots": 300, "max_strings": 4, "tolerance": 0}
    store, codec = DirectoryStore(tmp_path), Codec[Recovered](Recovered)
    run(1, store, **few)
    resumed = codec.encode(run(4, store, **few).state).sha256
    assert resumed == codec.encode(run(4, **few).state).sha256


def test_of_noise_alone_it_comes_near_the_published_energy() -> None:
    noise: Any = {"type": "random"}
    state = run(4, system=N2, sampler=noise, shots=5000, max_strings=45, batches=2).state
    assert N2_FCI - 1e-6 < state.energy < N2_FCI + 5e-3
    assert state.valid < 0.2  # most shots had to be recovered


def test_it_ends_once_neither_energy_nor_occupancies_move() -> None:
    sqd = PlainSQD(system=H4, shots=2000, tolerance=1e-4, occupancy_tolerance=1e-2)
    before = run(1, system=H4, shots=100).state

    def ends(energy: float, moved: float) -> bool:
        after = before.model_copy(update={"current": before.current + energy, "moved": moved})
        return anyio.run(sqd.converged, before, after)

    assert ends(0.9e-4, 0.9e-2) and ends(-0.9e-4, 0.9e-2)
    assert not ends(1.1e-4, 0.9e-2) and not ends(0.9e-4, 1.1e-2) and not ends(0, np.nan)


def test_occupancies_are_the_last_iterations_and_strings_the_best_ones() -> None:
    sqd = PlainSQD(system=H4, shots=10)
    state = anyio.run(sqd.initialize)
    bits = np.array([[1, 1, 0, 0, 1, 1, 0, 0]], bool)
    shots = Samples(bits={"meas": pack(bits)}, num_bits={"meas": 8}, shots=1)
    first = anyio.run(sqd.evaluate, state, shots)
    good = anyio.run(sqd.update, state, first)
    worse = first.found.model_copy(
        update={
            "energy": first.found.energy + 1,
            "guess": first.found.guess.model_copy(
                update={"occupancies": np.full((2, 4), 0.5), "alpha": first.found.guess.alpha[:0]}
            ),
        }
    )
    then = anyio.run(sqd.update, good, first.model_copy(update={"found": worse}))
    assert then.energy == good.energy and then.current == worse.energy
    assert np.array_equal(then.guess.occupancies, np.full((2, 4), 0.5))
    assert np.array_equal(then.guess.alpha, good.guess.alpha)
    assert then.moved == pytest.approx(0.5, abs=0.2)
