"""How fast shots are counted, in one process and as the MPI program."""

from __future__ import annotations

import tempfile
from pathlib import Path

import anyio
import numpy as np
from qiskit.primitives import BitArray

from benchmarks.figures import Figure, at_least, medians, seconds, show
from qcsc_hpc.machine import LocalMachine, Program
from qcsc_hpc.mpi.bitcount import Rows, count, width

WIDTHS = (10, 20, 30, 64, 156)
TARGETS = {10: 100, 156: 30}  # times as fast as qiskit
SHOTS, REPEATS = 1_000_000, 3
MPI_SHOTS, MPI_BITS, MPI_REPEATS = 10_000_000, 10, 5
PROGRAM = Program("bitcount", "qcsc_hpc.mpi.bitcount")
MSHOTS = "Mshots/s"


def in_process() -> list[Figure]:
    """`count` beside qiskit, on the same shots."""
    return [_beside_qiskit(num_bits) for num_bits in WIDTHS]


def _beside_qiskit(num_bits: int) -> Figure:
    shots = uniform(SHOTS, num_bits)
    found = medians(
        REPEATS,
        {
            "ours": lambda: seconds(lambda: count(shots, num_bits)),
            # a new one each time: it may remember what it has counted
            "qiskit": lambda: seconds(lambda: BitArray(shots, num_bits).get_counts()),
        },
    )
    ours, qiskit = SHOTS / 1e6 / found["ours"], SHOTS / 1e6 / found["qiskit"]
    least = TARGETS.get(num_bits)
    target = at_least(least, ours / qiskit, " x") if least else None
    return Figure(f"count, {num_bits} bits", ours, MSHOTS, "BitArray.get_counts", qiskit, target)


def uniform(shots: int, num_bits: int) -> Rows:
    """Shots in which every bitstring is as likely as any other: the worst case for counting."""
    rows = np.random.default_rng(0).integers(0, 256, (shots, width(num_bits)), np.uint8)
    rows[:, 0] >>= -num_bits % 8
    return rows


def as_program() -> list[Figure]:
    """The whole program, files included, beside `count` alone and beside its own start."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shots = uniform(MPI_SHOTS, MPI_BITS)
        all_of_them, one = folder / "all.npy", folder / "one.npy"
        np.save(all_of_them, shots)
        np.save(one, shots[:1])
        found = medians(
            MPI_REPEATS,
            {
                "count": lambda: seconds(lambda: count(shots, MPI_BITS)),
                "1": lambda: _program(all_of_them, 1),
                "2": lambda: _program(all_of_them, 2),
                "1 start": lambda: _program(one, 1),
                "2 start": lambda: _program(one, 2),
            },
        )
    speed = {name: MPI_SHOTS / 1e6 / value for name, value in found.items()}
    ms = {name: 1e3 * value for name, value in found.items()}
    return [
        Figure("program, 1 rank", speed["1"], MSHOTS, "count alone", speed["count"]),
        Figure("program, 2 ranks", speed["2"], MSHOTS, "count alone", speed["count"]),
        Figure("program, 1 rank", ms["1"], "ms", "the same on one shot", ms["1 start"]),
        Figure("program, 2 ranks", ms["2"], "ms", "the same on one shot", ms["2 start"]),
    ]


def _program(source: Path, ranks: int) -> float:
    target = source.with_suffix(".npz")
    arguments = [str(MPI_BITS), str(source), str(target)]
    run = LocalMachine().run(PROGRAM, arguments, ranks=ranks, collect=lambda _folder: None)
    return seconds(lambda: anyio.run(lambda: run))


if __name__ == "__main__":
    show(f"Counting, {SHOTS:.0e} shots (MPI: {MPI_SHOTS:.0e})", [*in_process(), *as_program()])
