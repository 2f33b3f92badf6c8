"""Published numbers beside ours: what is said of a method elsewhere, and what a run of ours comes to.

    python -m benchmarks.published [layout|nitrogen|chain|impurity]...

Each case is one run with one seed. Wall times are not measured: see benchmarks.solvers for those.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import numpy as np

from qcsc_algorithms.sqd import (
    LUCJ,
    SKQD,
    Hamiltonian,
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
    pairs = norb * (norb + 1) // 2
    sizes = Hamiltonian(
        norb=norb,
        num_alpha=electrons[0],
        num_beta=electrons[1],
        constant=0.0,
        one_body=np.zeros((norb, norb)),
        two_body=np.zeros(pairs * (pairs + 1) // 2),
    )
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


def impurity(sites: int = 12) -> Iterator[Line]:
    """SKQD of Anderson's impurity in a bath of one dimension, half filled, as in IBM's tutorial."""
    source = "tutorial SKQD of a fermionic lattice model, IBM Quantum: 20 orbitals on a device"
    with TemporaryDirectory() as folder:
        file = Path(folder, "impurity.fcidump")
        anderson_impurity(sites, repulsion=10.0).write_fcidump(file)
        for start in ("hartree-fock", "spread"):
            given: Any = {"system": str(file), "start": start, "sampler": {"type": "ffsim"}}
            skqd = SKQD(**given, shots=5000, time_step=0.2, first_power=0, tolerance=0)
            state = _state(skqd, 8)
            above = 1e3 * (state.energy - state.references.fci)
            told = f"{sites} orbitals, 8 states, {state.strings} strings, without noise"
            yield Line(f"SKQD from {start}, above exact", above, np.nan, "1e-3", source, told)


def anderson_impurity(sites: int, repulsion: float) -> Hamiltonian:
    """Anderson's impurity at the end of a chain, half filled, over orbitals of one energy each."""
    hopping = np.zeros((sites, sites))
    neighbours = np.arange(sites - 1)
    hopping[neighbours, neighbours + 1] = hopping[neighbours + 1, neighbours] = -1.0
    _, orbitals = np.linalg.eigh(hopping)
    hopping[0, 0] = -repulsion / 2
    first = orbitals[0]
    pairs = np.array([first[p] * first[q] for p in range(sites) for q in range(p + 1)])
    rows, columns = np.tril_indices(len(pairs))
    return Hamiltonian(
        norb=sites,
        num_alpha=sites // 2,
        num_beta=sites // 2,
        constant=0.0,
        one_body=orbitals.T @ hopping @ orbitals,
        two_body=repulsion * pairs[rows] * pairs[columns],
    )


def _state(algorithm: Any, iterations: int) -> Any:
    stop = MaxIterations(iterations)
    return anyio.run(lambda: algorithm.run(store=MemoryStore(), stop=stop, seed=SEED)).state


CASES: dict[str, Callable[[], Iterator[Line]]] = {
    "layout": layout,
    "nitrogen": nitrogen,
    "chain": chain,
    "impurity": impurity,
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
