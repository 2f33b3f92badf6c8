"""Reset mitigation: shots that did not begin at zero are left out."""

from __future__ import annotations

from typing import Any

import anyio
import numpy as np
import pytest
from pydantic import ValidationError
from qiskit import QuantumCircuit
from qiskit_aer import AerSimulator

from qcsc_algorithms.sqd import PlainSQD
from qcsc_algorithms.sqd.chemistry.reset import BEFORE, begun_at_zero, read_before
from qcsc_loop import MaxIterations, MemoryStore
from qcsc_loop.errors import SamplingFailed
from qcsc_loop.sampling.samples import Samples

H2: Any = {"geometry": "H 0 0 0; H 0 0 0.735", "basis": "sto-3g"}


def samples(before: list[int], after: list[int]) -> Samples:
    columns = {BEFORE: before, "meas": after}
    return Samples(
        bits={name: np.array(rows, np.uint8)[:, None] for name, rows in columns.items()},
        num_bits={BEFORE: 2, "meas": 2},
        shots=len(before),
        provenance={"source": "aer"},
    )


def test_only_shots_that_began_at_zero_are_kept() -> None:
    found = begun_at_zero(samples([0, 2, 0, 1], [1, 2, 3, 0]))
    assert found.bits["meas"].tolist() == [[1], [3]] and list(found.num_bits) == ["meas"]
    assert found.shots == 2 and found.provenance["shots_not_begun_at_zero"] == 2


def test_no_such_shot_is_an_error() -> None:
    with pytest.raises(SamplingFailed, match="in none of 2 shots were all qubits 0 at first"):
        begun_at_zero(samples([1, 2], [0, 0]))


def test_a_qubit_that_was_left_excited_is_seen_before_the_circuit_acts() -> None:
    circuit = QuantumCircuit(2)
    circuit.x(0)
    circuit.measure_all()
    excited = QuantumCircuit(*read_before(circuit).qregs, *read_before(circuit).cregs)
    excited.x(1)
    excited.compose(read_before(circuit), clbits=excited.clbits, inplace=True)
    counts = AerSimulator().run(excited, shots=5).result().get_counts()
    assert counts == {"11 10": 5}  # registers from right to left: before, meas


def test_a_run_with_it_is_as_one_without_where_nothing_was_excited() -> None:
    given: Any = {"sampler": {"type": "aer"}, "solver": {"type": "pyscf"}, "reset_mitigation": True}
    sqd = PlainSQD(system=H2, shots=200, **given)
    outcome = anyio.run(lambda: sqd.run(store=MemoryStore(), stop=MaxIterations(1), seed=1))
    assert outcome.state.energy == pytest.approx(-1.137306, abs=1e-6)
    assert int(np.sum(outcome.state.pool.counts)) == 200


@pytest.mark.parametrize("sampler", ["ffsim", "random"])
def test_a_source_that_does_not_read_twice_is_refused(sampler: str) -> None:
    given: Any = {"sampler": {"type": sampler}, "reset_mitigation": True}
    with pytest.raises(ValidationError, match=f"{sampler} does not read qubits twice"):
        PlainSQD(**given)
