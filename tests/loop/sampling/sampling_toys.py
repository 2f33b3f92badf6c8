"""An algorithm whose every iteration is one sampling, and the pass managers that it may name."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import SerializeAsAny

from qcsc_loop.algorithm import IterativeAlgorithm
from qcsc_loop.loop.outcome import Outcome
from qcsc_loop.parameters.operational import OPERATIONAL
from qcsc_loop.sampling.sampler import Sampler
from qcsc_loop.sampling.samples import Samples
from qcsc_loop.steps.step import labelled
from qcsc_loop.values.record import State

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

compilations: list[tuple[str, int]] = []
"""Backend and seed of every call of `counted`, for tests to clear and to read."""


class Seen(State):
    """A hash over all samples so far, and of how many iterations they are."""

    digest: str = ""
    length: int = 0


class Sampling(IterativeAlgorithm[Seen, Samples, str]):
    """Hashes what a circuit gave, in every iteration.

    Attributes:
        turning: each iteration has a circuit of its own.
        fails: `evaluate` raises in this iteration.
    """

    sampler: SerializeAsAny[Sampler]
    shots: int = 50
    num_qubits: int = 3
    turning: bool = True
    fails: Annotated[int | None, OPERATIONAL] = None

    async def initialize(self) -> Seen:
        return Seen()

    async def sample(self, state: Seen) -> Samples:
        return await self.sampler.sample(self.circuit(state), shots=self.shots)

    async def evaluate(self, state: Seen, samples: Samples) -> str:
        if self.fails == state.length + 1:
            raise ValueError("told to fail")
        return bits_sha256(samples)

    async def update(self, state: Seen, evaluation: str) -> Seen:
        digest = hashlib.sha256(f"{state.digest}{evaluation}".encode()).hexdigest()
        return Seen(digest=digest, length=state.length + 1)

    def circuit(self, state: Seen) -> QuantumCircuit:
        """What is sampled after this state."""
        return rotated(self.num_qubits, 0.1 * state.length if self.turning else 0.0)


class Parts(IterativeAlgorithm[Seen, dict[str, Samples], str]):
    """Samples twice in every iteration, each under a label of its own."""

    sampler: SerializeAsAny[Sampler]
    labels: Annotated[tuple[str, ...], OPERATIONAL] = ("left", "right")

    async def initialize(self) -> Seen:
        return Seen()

    async def sample(self, state: Seen) -> dict[str, Samples]:
        found = {}
        for label in self.labels:
            with labelled(label):
                found[label] = await self.sampler.sample(rotated(3), shots=20)
        return found

    async def evaluate(self, state: Seen, samples: dict[str, Samples]) -> str:
        return "".join(bits_sha256(samples[label]) for label in sorted(samples))

    async def update(self, state: Seen, evaluation: str) -> Seen:
        digest = hashlib.sha256(f"{state.digest}{evaluation}".encode()).hexdigest()
        return Seen(digest=digest, length=state.length + 1)


def rotated(num_qubits: int, angle: float = 0.0) -> QuantumCircuit:
    """A circuit whose bitstrings all differ in probability."""
    from qiskit import QuantumCircuit

    circuit = QuantumCircuit(num_qubits)
    for qubit in range(num_qubits):
        circuit.ry(0.3 + 0.2 * qubit + angle, qubit)
    for qubit in range(num_qubits - 1):
        circuit.cx(qubit, qubit + 1)
    circuit.measure_all()
    return circuit


def bits_sha256(samples: Samples) -> str:
    """A hash over the bits of all registers."""
    total = hashlib.sha256()
    for name in sorted(samples.bits):
        total.update(name.encode() + samples.bits[name].tobytes())
    return total.hexdigest()


def counted(backend: Any, seed: int) -> Any:
    """qiskit's preset pass manager, with a note of each call."""
    from qiskit.transpiler import generate_preset_pass_manager

    compilations.append((backend.name, seed))
    return generate_preset_pass_manager(1, backend=backend, seed_transpiler=seed)


def refusing(backend: Any, seed: int) -> Any:
    """No pass manager."""
    raise ArithmeticError(f"no pass manager for {backend.name}")


def digests(outcome: Outcome[Seen]) -> tuple[str, int]:
    """What two runs have in common that sampled the same."""
    return outcome.state_sha256, outcome.iteration
