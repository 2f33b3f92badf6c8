"""Reset mitigation: qubits are read before a circuit, and shots that did not begin at 0 are left out.

Robledo-Moreno et al., arXiv:2405.05068, where a qubit that an earlier shot left excited would add an
electron.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qcsc_loop.errors import SamplingFailed
from qcsc_loop.sampling.samples import Samples

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

BEFORE = "before"


def read_before(circuit: QuantumCircuit) -> QuantumCircuit:
    """The circuit with a reading of all qubits in front, in the register `BEFORE`."""
    from qiskit import ClassicalRegister, QuantumCircuit

    first = ClassicalRegister(circuit.num_qubits, BEFORE)
    result = QuantumCircuit(*circuit.qregs, first, *circuit.cregs)
    result.measure(result.qubits, list(first))
    result.barrier()
    result.compose(circuit, qubits=result.qubits, clbits=result.clbits[len(first) :], inplace=True)
    return result


def begun_at_zero(samples: Samples) -> Samples:
    """Shots of the circuit itself, of those whose qubits were all 0 before; provenance has how many.

    Raises:
        SamplingFailed: there is none.
    """
    right = ~samples.bits[BEFORE].any(axis=1)
    if not right.any():
        raise SamplingFailed(
            str(samples.provenance.get("source", "the source")),
            f"in none of {samples.shots} shots were all qubits 0 at first; without "
            "reset_mitigation all shots count",
        )
    return Samples(
        bits={name: rows[right] for name, rows in samples.bits.items() if name != BEFORE},
        num_bits={name: n for name, n in samples.num_bits.items() if name != BEFORE},
        shots=int(right.sum()),
        provenance={**samples.provenance, "shots_not_begun_at_zero": int((~right).sum())},
    )
