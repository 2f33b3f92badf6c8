"""MaxCut by QAOA, from counts: docs/tutorials/first-algorithm.md explains it part by part.

qcsc-loop run examples/maxcut.py:MaxCut --run-id cut
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import numpy as np
from pydantic import Field
from qiskit import QuantumCircuit

from qcsc_loop import (
    AerSampler,
    Chart,
    IterativeAlgorithm,
    NDArray,
    Record,
    Sampler,
    Samples,
    State,
    Table,
    current_step,
    run_parts,
)


class Search(State):
    """How far it is: all that one iteration hands to the next."""

    chart: ClassVar[Chart] = Chart(headline="mean", better="higher", unit="edges", beside=("best",))

    mean: float = 0.0  # edges that the best angles cut, of all their shots
    best: int = 0  # edges that the best cut cuts
    spread: float = 1.0  # how far around the best angles it looks, in radians
    tries: NDArray  # float64 (tries, 2, layers), radians: what is sampled next
    cut: NDArray  # uint8 (nodes,), the best cut: the side of each node


class Counted(Record):
    """What an iteration's shots say."""

    means: NDArray  # float64 (tries,), edges
    best: int
    cut: NDArray  # uint8 (nodes,)


class MaxCut(IterativeAlgorithm[Search, list[Samples], Counted]):
    """Cuts as many edges of a graph as it can: a qubit is a node, its value the node's side."""

    edges: list[tuple[int, int]] = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 0), (0, 2)]
    layers: int = Field(default=2, ge=1)
    trials: int = Field(default=5, ge=2, description="sets of angles in each iteration")
    shots: int = Field(default=500, ge=1, description="of each of them")
    narrowest: float = Field(default=0.1, gt=0, description="spread below which it has converged")
    sampler: Sampler = AerSampler()

    async def initialize(self) -> Search:
        angles = current_step().rng.uniform(0, np.pi / 2, (self.trials, 2, self.layers))
        return Search(tries=angles, cut=np.zeros(self.nodes, np.uint8))

    async def sample(self, state: Search) -> list[Samples]:
        calls = {
            f"try-{i}": partial(self.sampler.sample, self.circuit(angles), shots=self.shots)
            for i, angles in enumerate(state.tries)
        }
        done = await run_parts(calls, Samples, limit=4)  # four at a time, each of them once
        return [samples for samples in done.values() if samples is not None]

    async def evaluate(self, state: Search, samples: list[Samples]) -> Counted:
        cuts = np.stack([self.sides(one) for one in samples])  # (tries, shots, nodes)
        one, other = np.array(self.edges).T
        edges = (cuts[..., one] != cuts[..., other]).sum(axis=-1)  # (tries, shots)
        where = np.unravel_index(edges.argmax(), edges.shape)
        return Counted(means=edges.mean(axis=1), best=int(edges.max()), cut=cuts[where])

    async def update(self, state: Search, evaluation: Counted) -> Search:
        winner = int(evaluation.means.argmax())
        angles = state.tries[winner]
        spread = state.spread * (0.7 if winner == 0 else 1.0)  # none was better than the last best
        steps = np.asarray(spread * current_step().rng.standard_normal(state.tries.shape))
        steps[0] = 0  # the best angles are tried again: their counts are noisy
        better = evaluation.best > state.best
        return Search(
            mean=float(evaluation.means[winner]),
            best=evaluation.best if better else state.best,
            spread=spread,
            tries=angles + steps,
            cut=evaluation.cut if better else state.cut,
        )

    async def converged(self, previous: Search, current: Search) -> bool:
        return current.spread < self.narrowest

    def tables(self, state: Search) -> dict[str, Table]:
        """`cut`: the side of each node."""
        return {"cut": [{"node": i, "side": int(side)} for i, side in enumerate(state.cut)]}

    @property
    def nodes(self) -> int:
        return 1 + max(node for edge in self.edges for node in edge)

    def circuit(self, angles: NDArray) -> QuantumCircuit:
        """All cuts at once; then in each layer a phase for every edge that is cut, and mixing."""
        circuit = QuantumCircuit(self.nodes)
        circuit.h(range(self.nodes))
        for gamma, beta in angles.T:
            for one, other in self.edges:
                circuit.rzz(gamma, one, other)
            circuit.rx(2 * beta, range(self.nodes))
        circuit.measure_all()
        return circuit

    def sides(self, samples: Samples) -> NDArray:
        """The side of each node in each shot, uint8 (shots, nodes)."""
        (packed,) = samples.bits.values()  # a row a shot, eight bits a byte, qubit 0 last
        return np.unpackbits(packed, axis=1)[:, ::-1][:, : self.nodes]
