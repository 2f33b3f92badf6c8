"""A Python function over MPI ranks, in a loop: docs/tutorials/function-over-mpi.md explains it.

qcsc-loop run examples/over_ranks.py:Ring --run-id ring
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import SerializeAsAny
from qiskit import QuantumCircuit

from qcsc_hpc import LocalMachine, Machine, run_function, world
from qcsc_loop import (
    OPERATIONAL,
    AerSampler,
    BlockName,
    Chart,
    IterativeAlgorithm,
    NDArray,
    Samples,
    State,
)


def mean_energy(spins: NDArray, coupling: float) -> float:
    """Of spins on a ring, over all shots; every rank calls it, and has a share of them."""
    ranks = world()
    mine = np.array_split(spins, ranks.size)[ranks.rank].astype(float)
    energies = coupling * (mine * np.roll(mine, 1, axis=1)).sum(axis=1)
    return float(ranks.allreduce(energies.sum())) / len(spins)


class Turned(State):
    chart: ClassVar[Chart] = Chart(headline="energy", better="lower")

    energy: float = np.inf
    angle: float = 0.2  # radians, by which every other qubit is turned
    step: float = 0.8


class Ring(IterativeAlgorithm[Turned, Samples, float]):
    """The energy of an antiferromagnet on a ring: turns every other spin until it falls no more."""

    spins: int = 8
    shots: int = 2000
    sampler: AerSampler = AerSampler()
    machine: Annotated[SerializeAsAny[Machine] | BlockName, OPERATIONAL] = LocalMachine(ranks=2)

    async def initialize(self) -> Turned:
        return Turned()

    async def sample(self, state: Turned) -> Samples:
        circuit = QuantumCircuit(self.spins)
        circuit.ry(state.angle, range(0, self.spins, 2))
        circuit.measure_all()
        return await self.sampler.sample(circuit, shots=self.shots)

    async def evaluate(self, state: Turned, samples: Samples) -> float:
        bits = np.unpackbits(samples.bits["meas"], axis=1)[:, -self.spins :]
        spins = 1 - 2 * bits.astype(np.int8)
        assert isinstance(self.machine, Machine)  # a block's name was replaced when the run began
        return await run_function(mean_energy, spins, 1.0, on=self.machine)

    async def update(self, state: Turned, evaluation: float) -> Turned:
        step = state.step if evaluation < state.energy else -state.step / 2  # back, with half
        return Turned(energy=evaluation, angle=state.angle + step, step=step)

    async def converged(self, previous: Turned, current: Turned) -> bool:
        return abs(current.step) < 0.05
