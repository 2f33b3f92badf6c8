"""Published numbers beside ours: what is said of a method elsewhere, and what a run of ours comes to.

    python -m benchmarks.published [layout|nitrogen|chain]...

Each case is one run with one seed. Wall times are not measured: see benchmarks.solvers for those.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import anyio
import numpy as np

from qcsc_algorithms.sqd import (
    LUCJ,
    PauliSKQD,
    PlainSQD,
    lucj_layout,
)
from qcsc_loop import MaxIterations, MemoryStore

SEED = 1


@dataclass(frozen=True)
class Line:
    """One number.

    Attributes:
        published: NaN where the source has a picture only, or other sizes.
        source: of the published one.
        apart: what differs, and why.
    """

    what: str
    ours: float
    published: float
    unit: str
    source: str
    apart: str = ""

    def __str__(self) -> str:
        published = "no number" if np.isnan(self.published) else f"{self.published:.9g}"
        told = (
            f"{self.what}: ours {self.ours:.9g}, published {published} {self.unit} ({self.source})"
        )
        return f"{told}; {self.apart}" if self.apart else told


def layout() -> Iterator[Line]:
    """Gates of LUCJ for 10 electrons in 16 orbitals, as N2/6-31G, on a device of 133 qubits."""
    from qiskit.transpiler import generate_preset_pass_manager

    from qcsc_loop.sampling.fake_backends import fake_backend

    device = fake_backend("fake_torino")
    norb, electrons = 16, (5, 5)
    # gates follow from the sizes alone: CCSD's own amplitudes give as many
    t2 = np.random.default_rng(SEED).normal(size=(5, 5, 11, 11)) / 100
    t2 = t2 + t2.transpose(1, 0, 3, 2)
    sizes: Any = SimpleNamespace(norb=norb, electrons=electrons)
    parameters = LUCJ().parameters(np.zeros((5, 11)), t2, electrons)
    circuit = LUCJ().circuit(parameters, sizes)
    preset = generate_preset_pass_manager(1, backend=device, seed_transpiler=SEED).run(circuit)
    source = "given for N2/6-31G on 133 qubits of IBM"
    for name, found in (
        ("preset pass manager", preset),
        ("lucj_layout", lucj_layout(device, SEED).run(circuit)),
    ):
        depth = found.depth(lambda gate: gate.operation.num_qubits == 2)
        yield Line(f"{name}, two-qubit gates", found.num_nonlocal_gates(), 712, "gates", source)
        yield Line(f"{name}, depth in them", depth, 70, "layers", source)


def nitrogen() -> Iterator[Line]:
    """SQD of random bits, N2/STO-3G, as in the quickstart of qiskit-addon-sqd."""
    nitrogen: Any = {"geometry": "N 0 0 0; N 0 0 1.09768", "basis": "sto-3g", "frozen_core": 2}
    few: Any = {"sampler": {"type": "random"}, "solver": {"type": "pyscf"}, "shots": 10_000}
    sqd = PlainSQD(system=nitrogen, **few, max_strings=56)
    state = _state(sqd, 7)
    source = "quickstart of qiskit-addon-sqd: random bits, 7 iterations"
    yield Line("exact", state.references.fci, -107.652521, "hartree", source)
    yield Line(
        "SQD", state.energy, -107.652521, "hartree", source, f"{state.strings} of 56 strings"
    )


def chain(sites: int = 22, shots: int = 100_000) -> Iterator[Line]:
    """SKQD of the chain of 22 spins in IBM Quantum Learning's course."""
    ring: Any = {"sites": sites, "x": 0.3, "y": 0.3, "z": 1.0, "periodic": True}
    source = "Quantum diagonalization algorithms, lesson SKQD, IBM Quantum Learning"
    for name, step, apart in (
        ("0.15", 0.15, "the time that the lesson names"),
        ("0.025", 0.025, "the lesson's gate divides the time by its 6 steps twice"),
    ):
        skqd: Any = PauliSKQD(
            hamiltonian=ring,
            shots=shots,
            first_power=0,
            time_step=step,
            trotter_steps=6,
            order=1,
            tolerance=0,
        )
        state = _state(skqd, 5)
        told = f"{apart}; {state.strings} bit strings; simulated without noise"
        yield Line(f"SKQD, 5 states, time step {name}", state.energy, np.nan, "", source, told)
        yield Line(
            "above the lesson's exact -23.934184", state.energy + 23.934184, np.nan, "", source
        )


def _state(algorithm: Any, iterations: int) -> Any:
    stop = MaxIterations(iterations)
    return anyio.run(lambda: algorithm.run(store=MemoryStore(), stop=stop, seed=SEED)).state


CASES: dict[str, Callable[[], Iterator[Line]]] = {
    "layout": layout,
    "nitrogen": nitrogen,
    "chain": chain,
}


def main(chosen: list[str]) -> None:
    """Prints a line a number."""
    if wrong := [name for name in chosen if name not in CASES]:
        sys.exit(f"there is no case {wrong[0]!r}: take {', '.join(CASES)}")
    for name in chosen or CASES:
        for line in CASES[name]():
            print(f"{name}: {line}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
