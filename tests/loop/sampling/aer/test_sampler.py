"""Samples from Aer: the same bits for the same step, in qiskit's layout."""

from __future__ import annotations

import hashlib
import json

import anyio
import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit.library import UnitaryGate
from qiskit.primitives import BitArray

from other_process import printed_by
from qcsc_loop.errors import SamplingFailed
from qcsc_loop.sampling.aer.sampler import AerSampler
from qcsc_loop.sampling.samples import Samples
from qcsc_loop.steps.step import Step, labelled, stepping
from qcsc_loop.values.codec import Codec

SAMPLE = Step(run_seed=7, iteration=3, name="sample")


def rotated(num_qubits: int) -> QuantumCircuit:
    """A circuit whose bitstrings all differ in probability."""
    circuit = QuantumCircuit(num_qubits)
    for qubit in range(num_qubits):
        circuit.ry(0.3 + 0.2 * qubit, qubit)
    for qubit in range(num_qubits - 1):
        circuit.cx(qubit, qubit + 1)
    circuit.measure_all()
    return circuit


def sampled(
    circuit: QuantumCircuit, *, shots: int = 200, step: Step = SAMPLE, by: AerSampler | None = None
) -> Samples:
    async def sample() -> Samples:
        with stepping(step):
            return await (by or AerSampler()).sample(circuit, shots=shots)

    return anyio.run(sample)


def bits_sha256(samples: Samples) -> str:
    return hashlib.sha256(samples.bits["meas"].tobytes()).hexdigest()


# reproducible


def test_the_same_step_gives_the_same_samples() -> None:
    assert sampled(rotated(5)) == sampled(rotated(5))


SAMPLED_ELSEWHERE = """
import hashlib
import anyio
from qiskit import QuantumCircuit
from qcsc_loop import AerSampler
from qcsc_loop.steps.step import Step, stepping

circuit = QuantumCircuit(5)
for qubit in range(5):
    circuit.ry(0.3 + 0.2 * qubit, qubit)
for qubit in range(4):
    circuit.cx(qubit, qubit + 1)
circuit.measure_all()

async def sample():
    with stepping(Step(run_seed=7, iteration=3, name="sample")):
        return await AerSampler().sample(circuit, shots=200)

samples = anyio.run(sample)
print(hashlib.sha256(samples.bits["meas"].tobytes()).hexdigest())
print(samples.provenance["circuit_sha256"])
"""


def test_the_same_step_gives_the_same_bits_in_another_process() -> None:
    here = sampled(rotated(5))

    there = printed_by(SAMPLED_ELSEWHERE, PYTHONHASHSEED="1").split()

    assert there == [bits_sha256(here), here.provenance["circuit_sha256"]]


@pytest.mark.parametrize(
    "other",
    [
        Step(run_seed=8, iteration=3, name="sample"),
        Step(run_seed=7, iteration=4, name="sample"),
        Step(run_seed=7, iteration=3, name="evaluate"),
        Step(run_seed=7, iteration=3, name="sample", label="a"),
    ],
    ids=["seed", "iteration", "step", "label"],
)
def test_another_step_gives_other_bits(other: Step) -> None:
    assert bits_sha256(sampled(rotated(5), step=other)) != bits_sha256(sampled(rotated(5)))


def test_another_attempt_gives_the_same_bits() -> None:
    again = Step(run_seed=7, iteration=3, name="sample", attempt=1)

    assert sampled(rotated(5), step=again) == sampled(rotated(5))


def test_concurrent_parts_of_a_step_give_the_bits_they_give_alone() -> None:
    found: dict[str, str] = {}

    async def part(label: str) -> None:
        with labelled(label):
            found[label] = bits_sha256(await AerSampler().sample(rotated(5), shots=200))

    async def parts() -> None:
        with stepping(SAMPLE):
            async with anyio.create_task_group() as group:
                for label in ("a", "b"):
                    group.start_soon(part, label)

    anyio.run(parts)
    alone = {
        label: bits_sha256(
            sampled(rotated(5), step=Step(run_seed=7, iteration=3, name="sample", label=label))
        )
        for label in ("a", "b")
    }

    assert found == alone


def remeasured() -> QuantumCircuit:
    """A circuit that must be simulated shot by shot: it measures, then goes on."""
    circuit = rotated(4)
    circuit.ry(0.7, range(4))
    circuit.measure(range(4), range(4))
    return circuit


@pytest.mark.parametrize("circuit", [rotated(16), remeasured()], ids=["wide", "remeasured"])
def test_the_number_of_threads_makes_no_difference_to_the_bits(circuit: QuantumCircuit) -> None:
    one, two = (sampled(circuit, shots=2000, by=AerSampler(threads=n)) for n in (1, 2))

    assert bits_sha256(one) == bits_sha256(two)


def test_a_circuit_with_a_matrix_has_the_same_hash_each_time() -> None:
    def circuit() -> QuantumCircuit:
        circuit = QuantumCircuit(2)
        circuit.h(0)
        circuit.append(UnitaryGate(np.diag([1, 1, 1, -1])), [0, 1])
        circuit.measure_all()
        return circuit

    assert sampled(circuit()).provenance == sampled(circuit()).provenance


# layout


def test_bits_are_laid_out_as_qiskit_does() -> None:
    circuit = QuantumCircuit(10)
    circuit.x(0)
    circuit.x(9)
    circuit.measure_all()

    samples = sampled(circuit, shots=7)

    assert samples.bits["meas"].dtype == np.uint8
    assert samples.bits["meas"].tolist() == [[0b10, 0b1]] * 7
    assert (samples.num_bits, samples.shots) == ({"meas": 10}, 7)


@pytest.mark.parametrize("num_qubits", [1, 7, 8, 9])
def test_bits_become_a_bit_array_of_that_many_shots(num_qubits: int) -> None:
    samples = sampled(rotated(num_qubits), shots=50)

    array = BitArray(samples.bits["meas"], samples.num_bits["meas"])

    assert (array.num_shots, array.num_bits, array.shape) == (50, num_qubits, ())


def test_bits_follow_the_circuits_distribution() -> None:
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()

    samples = sampled(circuit, shots=10_000)

    counts = BitArray(samples.bits["meas"], 2).get_counts()
    assert set(counts) == {"00", "11"}
    # ten standard deviations: fails for a wrong distribution, not by chance
    assert abs(counts["00"] - 5000) < 500


def test_every_register_is_there_by_its_name() -> None:
    qubits = QuantumRegister(3)
    low, high = ClassicalRegister(1, "low"), ClassicalRegister(2, "high")
    circuit = QuantumCircuit(qubits, low, high)
    circuit.x(qubits[2])
    circuit.measure(qubits, [*low, *high])

    samples = sampled(circuit, shots=3)

    assert samples.num_bits == {"low": 1, "high": 2}
    assert {name: bits.tolist() for name, bits in samples.bits.items()} == {
        "low": [[0b0]] * 3,
        "high": [[0b10]] * 3,
    }


def test_samples_come_back_from_a_document() -> None:
    samples = sampled(rotated(9), shots=3000)
    codec: Codec[Samples] = Codec(Samples)

    assert codec.decode(codec.encode(samples)) == samples


def test_provenance_is_plain_json_that_says_how() -> None:
    provenance = sampled(rotated(3), by=AerSampler(method="matrix_product_state")).provenance

    assert json.loads(json.dumps(provenance)) == provenance
    assert provenance["source"] == "aer"
    assert provenance["settings"]["method"] == "matrix_product_state"
    assert provenance["seed"] == SAMPLE.seed
    assert len(provenance["circuit_sha256"]) == 64


# failures


def wider_than_any_memory() -> QuantumCircuit:
    circuit = QuantumCircuit(45)
    for qubit in range(45):
        circuit.ry(0.1, qubit)
    circuit.measure_all()
    return circuit


@pytest.mark.parametrize(
    ("circuit", "sampler"),
    [
        (wider_than_any_memory(), AerSampler(method="statevector")),
        (rotated(3), AerSampler(method="stabilizer")),
    ],
    ids=["memory", "method"],
)
def test_a_circuit_that_cannot_be_sampled_is_a_failure(
    circuit: QuantumCircuit, sampler: AerSampler
) -> None:
    with pytest.raises(SamplingFailed, match=r"^Aer gave no samples: "):
        sampled(circuit, by=sampler)


def test_a_failure_has_aers_own_error_as_its_cause() -> None:
    with pytest.raises(SamplingFailed) as caught:
        sampled(rotated(3), by=AerSampler(method="stabilizer"))

    assert type(caught.value.__cause__).__name__ in str(caught.value)


def test_a_failure_is_one_line() -> None:
    with pytest.raises(SamplingFailed) as caught:
        sampled(rotated(3), by=AerSampler(method="stabilizer"))

    assert "\n" not in str(caught.value)
