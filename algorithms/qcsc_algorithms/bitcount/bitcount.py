"""Samples a GHZ state, counts the bitstrings over MPI, adds them up until the estimate settles."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field, SerializeAsAny

from qcsc_hpc.machine import LocalMachine, Machine, Program
from qcsc_hpc.mpi.bitcount import merge
from qcsc_loop.algorithm import IterativeAlgorithm
from qcsc_loop.concurrency.whole_file import write_whole
from qcsc_loop.loop.hooks import Table
from qcsc_loop.parameters.operational import OPERATIONAL
from qcsc_loop.parameters.resource import BlockName
from qcsc_loop.sampling.aer.sampler import AerSampler
from qcsc_loop.sampling.sampler import Sampler
from qcsc_loop.sampling.samples import Samples
from qcsc_loop.steps.step import current_step
from qcsc_loop.values.arrays import NDArray
from qcsc_loop.values.chart import Chart
from qcsc_loop.values.record import Record, State

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

PROGRAM = Program("bitcount", "qcsc_hpc.mpi.bitcount")
COUNTS = "counts.npz"
TABLE_ROWS = 1000


class Counts(Record):
    """How often each bitstring was seen.

    Attributes:
        bitstrings: distinct packed shots in ascending order, uint8 (distinct, ceil(num_qubits/8)).
        counts: int64 (distinct,).
    """

    bitstrings: NDArray
    counts: NDArray


class Histogram(State):
    """All counts so far.

    Attributes:
        bitstrings, counts: as in `Counts`.
        change: total variation distance between this estimate of the distribution and the one
            before, in [0, 1]; NaN before there are two.
        shots: how many were counted.
    """

    chart: ClassVar[Chart] = Chart(headline="change", better="lower", beside=("shots",))

    bitstrings: NDArray
    counts: NDArray
    change: float = float("nan")
    shots: int = 0


class BitCount(IterativeAlgorithm[Histogram, Samples, Counts]):
    """The distribution of a GHZ state's bitstrings, sampled until it changes less than `tolerance`.

    >>> import anyio
    >>> from qcsc_loop import MemoryStore
    >>> bitcount = BitCount(num_qubits=3, shots=1000, tolerance=0.01)
    >>> outcome = anyio.run(lambda: bitcount.run(store=MemoryStore()))
    >>> [row["bitstring"] for row in bitcount.tables(outcome.state)["sampler-count-dict"]]
    ['000', '111']
    """

    num_qubits: int = Field(default=10, ge=2, le=1000, description="width of the GHZ state")
    shots: int = Field(default=100_000, ge=1, description="shots per iteration")
    tolerance: Annotated[float, OPERATIONAL] = Field(
        default=1e-4,
        ge=0,
        description="converged below this total variation distance; 0 = never",
    )
    ranks: Annotated[int | None, OPERATIONAL] = Field(
        default=None, ge=1, description="MPI ranks that count; empty: as the machine's profile says"
    )
    sampler: SerializeAsAny[Sampler] | BlockName = AerSampler()
    machine: Annotated[SerializeAsAny[Machine] | BlockName, OPERATIONAL] = LocalMachine()

    async def initialize(self) -> Histogram:
        width = -(-self.num_qubits // 8)
        return Histogram(bitstrings=np.empty((0, width), np.uint8), counts=np.empty(0, np.int64))

    async def sample(self, state: Histogram) -> Samples:
        assert isinstance(self.sampler, Sampler)  # names were resolved when the run started
        return await self.sampler.sample(ghz(self.num_qubits), shots=self.shots)

    async def evaluate(self, state: Histogram, samples: Samples) -> Counts:
        assert isinstance(self.machine, Machine)
        source = current_step().work_dir / "shots.npy"
        (shots,) = samples.bits.values()
        with write_whole(source) as file:  # a job of an earlier driver may be reading it
            np.save(file, shots, allow_pickle=False)
        return await self.machine.run(
            PROGRAM,
            [str(self.num_qubits), source, COUNTS],
            ranks=self.ranks,
            outputs=[COUNTS],
            collect=partial(_read, samples.shots),
        )

    async def update(self, state: Histogram, evaluation: Counts) -> Histogram:
        rows = np.concatenate([state.bitstrings, evaluation.bitstrings])
        bitstrings, counts = merge(rows, np.concatenate([state.counts, evaluation.counts]))
        shots = int(counts.sum())
        return Histogram(
            bitstrings=bitstrings,
            counts=counts,
            shots=shots,
            change=_distance(state, evaluation, shots),
        )

    async def converged(self, previous: Histogram, current: Histogram) -> bool:
        return current.change < self.tolerance

    def tables(self, state: Histogram) -> dict[str, Table]:
        """`sampler-count-dict`: the most frequent bitstrings, at most 1000."""
        order = np.argsort(-state.counts, kind="stable")[:TABLE_ROWS]
        rows = [
            {
                "bitstring": text(state.bitstrings[i], self.num_qubits),
                "count": int(state.counts[i]),
                "probability": float(state.counts[i] / state.shots),
            }
            for i in order
        ]
        return {"sampler-count-dict": rows}


def ghz(num_qubits: int) -> QuantumCircuit:
    """The circuit of (|0…0> + |1…1>)/sqrt(2), measured; a line of CNOTs."""
    from qiskit import QuantumCircuit

    circuit = QuantumCircuit(num_qubits)
    circuit.h(0)
    for qubit in range(num_qubits - 1):
        circuit.cx(qubit, qubit + 1)
    circuit.measure_all()
    return circuit


def text(row: npt.NDArray[np.uint8], num_bits: int) -> str:
    """A packed shot as qiskit writes it: qubit 0 on the right."""
    return format(int.from_bytes(row.tobytes(), "big"), f"0{num_bits}b")


def _distance(before: Histogram, added: Counts, shots: int) -> float:
    """Total variation distance between the estimates without and with the added counts.

    With b and a the counts before and added and B, A their sums, the new estimate is
    (b + a)/(B + A), so that the distance is A/(2 (B + A)) * sum |b/B - a/A|.
    """
    if before.shots == 0:
        return float("nan")
    share = (shots - before.shots) / shots
    _, places = np.unique(
        np.concatenate([_void(before.bitstrings), _void(added.bitstrings)]), return_inverse=True
    )
    difference = np.zeros(int(places.max()) + 1)
    split = len(before.counts)
    difference[places[:split]] += before.counts / before.shots
    difference[places[split:]] -= added.counts / (shots - before.shots)
    return float(share * np.abs(difference).sum() / 2)


def _void(rows: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
    return np.ascontiguousarray(rows).view(f"V{rows.shape[1]}")[:, 0]


def _read(shots: int, folder: Path) -> Counts:
    with np.load(folder / COUNTS, allow_pickle=False) as found:
        counts = Counts(bitstrings=found["bitstrings"], counts=found["counts"])
    if int(counts.counts.sum()) != shots:
        raise ValueError(f"it counted {counts.counts.sum()} of {shots} shots")
    return counts
