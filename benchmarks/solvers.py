"""Eigensolvers on the same subspaces: CPU seconds of a whole solve, one thread each.

    python -m benchmarks.solvers [STRINGS ...]

The system is N2 in 6-31G (16 orbitals) and in cc-pVDZ (26), two frozen core orbitals each. Strings
are drawn by the energies of their orbitals: few excitations mostly, as samples have them. Each
solver has a run that is not counted, on a small space: imports and compilation are not what a loop
repeats. CPU time is firm where wall time is not; ratios of one run are what counts. sbd is measured
where it is installed (`make sbd`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mpi4py import MPI

from benchmarks.figures import Figure, at_most, show
from qcsc_algorithms.sqd import Hamiltonian, Molecule, as_integers
from qcsc_algorithms.sqd.determinants.configurations import Strings, pack
from qcsc_algorithms.sqd.solvers import native_program, sbd_program, selected_ci

NITROGEN = "N 0 0 0; N 0 0 1.0977"
BASES = ("6-31g", "cc-pvdz")
SMALL, STRINGS = 20, (300,)
WARMTH = 0.3  # hartree: of the draw
FASTER = 10  # than the best of the others
AGREE = 1e-7  # hartree
SEED = 7
CASE = 4  # words: this program, a basis, strings, a file for what was measured


class Timed(NamedTuple):
    """What a solver said, and how long it took."""

    seconds: float
    energy: float


def draw_strings(hamiltonian: Hamiltonian, count: int) -> Strings:
    """So many strings, Hartree-Fock's first."""
    norb, electrons = hamiltonian.norb, hamiltonian.num_alpha
    every = np.array(list(combinations(range(norb), electrons)))
    energies = _orbital_energies(hamiltonian)[every].sum(axis=1)
    keys = energies - WARMTH * np.random.default_rng(SEED).gumbel(size=len(every))
    keys[0] = -np.inf
    bits = np.zeros((count, norb), bool)
    bits[np.arange(count)[:, None], every[np.argsort(keys)[:count]]] = True
    return pack(bits)


def _orbital_energies(hamiltonian: Hamiltonian) -> Any:
    two_body, filled = hamiltonian.full_two_body(), slice(hamiltonian.num_alpha)
    coulomb = np.einsum("ppkk->pk", two_body)[:, filled].sum(axis=1)
    exchange = np.einsum("pkkp->pk", two_body)[:, filled].sum(axis=1)
    return np.diagonal(hamiltonian.one_body) + 2 * coulomb - exchange


def by_native(hamiltonian: Hamiltonian, strings: Strings) -> float:
    """The energy by the default solver."""
    problem = {
        **_problem(hamiltonian),
        "alpha": strings,
        "beta": strings,
        "tolerance": np.array(1e-5),
        "spin_square": np.array(0.0),
    }
    return float(native_program.lowest_state(problem)["energy"]) + hamiltonian.constant


def by_pyscf(hamiltonian: Hamiltonian, strings: Strings) -> float:
    """The energy by pyscf."""
    integers = as_integers(strings)
    problem = {
        **_problem(hamiltonian),
        "alpha": integers,
        "beta": integers,
        "tolerance": np.array(1e-10),
        "spin_square": np.array(np.nan),
    }
    return float(selected_ci.lowest_state(problem)["energy"]) + hamiltonian.constant


def by_sbd(hamiltonian: Hamiltonian, strings: Strings) -> float:
    """The energy by sbd, which keeps its matrix elements."""
    problem = {
        "norb": np.array(hamiltonian.norb),
        "alpha": strings,
        "beta": strings,
        "tolerance": np.array(1e-5),
        "block": np.array(20),
        "iterations": np.array(10),
        "store_hamiltonian": np.array(True),
        "comm_sizes": np.array([1, 1, 1]),
    }
    with _quiet():
        hamiltonian.write_fcidump(Path("sbd.fcidump"))
        found = sbd_program.lowest_state(problem, Path("sbd.fcidump"), MPI.COMM_WORLD)
    return float(found["energy"])


def _problem(hamiltonian: Hamiltonian) -> dict[str, Any]:
    return {
        "one_body": np.array(hamiltonian.one_body),
        "two_body": np.array(hamiltonian.two_body),
        "electrons": np.array(hamiltonian.electrons),
        "max_cycles": np.array(100),
        "threads": np.array(1),
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """A folder for what is written, and no words on the terminal."""
    before, stdout = Path.cwd(), os.dup(1)
    with tempfile.TemporaryDirectory() as folder, Path(folder, "said").open("wb") as said:
        sys.stdout.flush()
        os.dup2(said.fileno(), 1)
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)
            os.dup2(stdout, 1)
            os.close(stdout)


Solve = Callable[[Hamiltonian, Strings], float]
SOLVERS: dict[str, Solve] = {"native": by_native, "pyscf": by_pyscf}
SOLVERS |= {"sbd": by_sbd} if find_spec("sbd") else {}


def measure(hamiltonian: Hamiltonian, strings: int) -> dict[str, Timed]:
    """All solvers on one subspace."""
    space, found = draw_strings(hamiltonian, strings), dict[str, Timed]()
    for name, solve in SOLVERS.items():
        solve(hamiltonian, space[:SMALL])
        began = time.process_time()
        energy = solve(hamiltonian, space)
        found[name] = Timed(time.process_time() - began, energy)
        print(f"  {name:<8}{found[name].seconds:>10.3f} s {energy:.9f} hartree", flush=True)
    return found


def main() -> None:
    """Prints what each takes, and whether the target is met."""
    if len(sys.argv) == CASE:
        _case(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
        return
    figures: list[Figure] = []
    for basis in BASES:
        for strings in [int(word) for word in sys.argv[1:]] or STRINGS:
            with tempfile.TemporaryDirectory() as folder:
                target = Path(folder, "seconds.json")
                # a process for each: sbd knows but one number of orbitals in its life
                command = [sys.executable, "-m", __spec__.name, basis, str(strings), str(target)]
                subprocess.run(command, check=True)
                figures += _figures(
                    f"N2/{basis}, {strings} strings", json.loads(target.read_text())
                )
    show("Eigensolvers, one thread", figures)


def _case(basis: str, strings: int, target: Path) -> None:
    hamiltonian = Molecule(geometry=NITROGEN, basis=basis, frozen_core=2).hamiltonian()
    print(f"N2/{basis}, {hamiltonian.norb} orbitals, {strings} strings", flush=True)
    found = measure(hamiltonian, strings)
    energies = [timed.energy for timed in found.values()]
    assert max(energies) - min(energies) < AGREE, "solvers differ"
    target.write_text(json.dumps({name: timed.seconds for name, timed in found.items()}))


def _figures(title: str, seconds: dict[str, float]) -> list[Figure]:
    best = min(taken for name, taken in seconds.items() if name != "native")
    target = at_most(1 / FASTER, seconds["native"] / best, "")
    return [
        Figure(title, seconds["native"], "s", name, taken, target if taken == best else None)
        for name, taken in seconds.items()
        if name != "native"
    ]


if __name__ == "__main__":
    main()
