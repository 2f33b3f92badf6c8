"""An algorithm of your own in one file. Run it with

qcsc-loop run examples/custom.py:FindPhase --set shots=4000
"""

import math

from qiskit import QuantumCircuit

from qcsc_loop import AerSampler, IterativeAlgorithm, Samples, State


class Phase(State):
    angle: float
    overlap: float = 0.0


class FindPhase(IterativeAlgorithm[Phase, Samples, float]):
    """Turns a qubit until it is back at |0>: sample, count the zeros, take a step."""

    shots: int = 2000
    step: float = 0.6
    sampler: AerSampler = AerSampler()

    async def initialize(self) -> Phase:
        return Phase(angle=2.0)

    async def sample(self, state: Phase) -> Samples:
        circuit = QuantumCircuit(1)
        circuit.ry(state.angle, 0)
        circuit.measure_all()
        return await self.sampler.sample(circuit, shots=self.shots)

    async def evaluate(self, state: Phase, samples: Samples) -> float:
        return 1.0 - float(samples.bits["meas"].mean())

    async def update(self, state: Phase, evaluation: float) -> Phase:
        angle = 2 * math.acos(math.sqrt(evaluation))  # what the zeros say the angle is
        return Phase(angle=state.angle - self.step * angle, overlap=evaluation)

    async def converged(self, previous: Phase, current: Phase) -> bool:
        return current.overlap > 0.999
