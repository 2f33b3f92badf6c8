"""What samples tell of where they come from: one form, and the one that 0.1.0 stored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp

from qcsc_loop.sampling.aer.estimator import AerEstimator
from qcsc_loop.sampling.aer.sampler import AerSampler
from qcsc_loop.sampling.provenance import sample_provenance
from qcsc_loop.sampling.random_bits import RandomSampler
from qcsc_loop.sampling.sampler import Sampler
from qcsc_loop.store.directory import DirectoryStore

OLD_STORE = DirectoryStore(Path(__file__).parents[2] / "fixtures" / "stores" / "0.1.0")
SOURCE = RandomSampler()
SETTINGS = {"source": "random", "settings": {"type": "random"}}


@pytest.fixture
def circuit() -> QuantumCircuit:
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    return circuit


def test_source_and_settings_are_always_told() -> None:
    assert sample_provenance(SOURCE) == SETTINGS


def test_a_seed_of_zero_is_told() -> None:
    assert sample_provenance(SOURCE, seed=0) == {**SETTINGS, "seed": 0}


def test_all_that_is_given_is_told_in_one_order(circuit: QuantumCircuit) -> None:
    told = sample_provenance(
        SOURCE, {"job_id": "7"}, circuit=circuit, seed=1, package="numpy", backend="fake_manila"
    )
    assert list(told) == [
        "source",
        "settings",
        "backend",
        "version",
        "seed",
        "circuit_sha256",
        "circuit",
        "job_id",
    ]
    assert told["circuit"] == {"depth": 2, "size": 2, "two_qubit_gates": 1}


def test_it_is_plain_json(circuit: QuantumCircuit) -> None:
    told = sample_provenance(SOURCE, seed=1, package="numpy", circuit=circuit)
    assert json.loads(json.dumps(told)) == told


def test_what_a_source_alone_can_tell_may_have_any_name(circuit: QuantumCircuit) -> None:
    facts = {"backend": "ibm_x", "seed": 3, "circuit": [], "package": "x", "facts": 1}
    assert sample_provenance(SOURCE, facts) == SETTINGS | facts


def stored(run: str, step: str) -> dict[str, Any]:
    document = OLD_STORE.read(f"{run}/steps/{step}")
    value = json.loads(document.body)
    return (value[0] if isinstance(value, list) else value)["provenance"]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("source", "run", "step"),
    [
        (AerSampler(), "bitcount-killed", "00000001.sample.e0001"),
        (RandomSampler(), "bitcount-budget", "00000001.sample.e0001"),
    ],
    ids=["aer", "random"],
)
def test_samplers_tell_what_0_1_0_stored_name_by_name(
    source: Sampler, run: str, step: str, circuit: QuantumCircuit
) -> None:
    circuit.measure_all()

    async def told() -> dict[str, Any]:
        return (await source.sample(circuit, shots=10)).provenance

    before, now = stored(run, step), anyio.run(told)
    assert list(now) == list(before)
    assert (now["source"], now["settings"]) == (before["source"], before["settings"])


def test_an_estimator_tells_the_circuit_s_hash_alone(circuit: QuantumCircuit) -> None:
    async def told() -> dict[str, Any]:
        observable = SparsePauliOp("ZZ")
        return (await AerEstimator().estimate(circuit, [observable], precision=0.0)).provenance

    assert list(anyio.run(told)) == ["source", "settings", "version", "seed", "circuit_sha256"]
