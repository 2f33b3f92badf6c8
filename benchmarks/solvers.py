"""Eigensolvers on the same subspaces: CPU seconds of a whole solve, one thread each.

    python -m benchmarks.solvers [STRINGS ...]

The system is N2 in 6-31G (16 orbitals) and in cc-pVDZ (26), two frozen core orbitals each. Strings
are drawn by the energies of their orbitals: few excitations mostly, as samples have them. Each
solver has a run that is not counted, on a small space: imports and compilation are not what a loop
repeats. CPU time is firm where wall time is not, but for what a system takes to hand out memory that
no process has had for a while: each solve is made several times, and the median counts. Ratios of
one run are what counts. sbd and fulqrum are measured where they are installed (`make sbd`;
`pip install fulqrum`, which compiles it).
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
from mpi4py import MPI
from scipy.sparse.linalg import eigsh

from benchmarks.figures import Figure, at_most, show
from qcsc_algorithms.sqd import Hamiltonian, Molecule, as_integers
from qcsc_algorithms.sqd.determinants.configurations import Strings, pack
from qcsc_algorithms.sqd.solvers import native_program, sbd_program, selected_ci

NITROGEN = "N 0 0 0; N 0 0 1.0977"
BASES = ("6-31g", "cc-pvdz")
SMALL, STRINGS = 20, (300, 1000)
WARMTH = 0.3  # hartree: of the draw
FASTER = 10  # than the best of the others
AGREE = 1e-7  # hartree
SEED = 7
TURNS, ENOUGH_SECONDS = 5, 60.0  # a solve is repeated so often, as a loop does, or for so long
LONGEST_SECONDS = 600.0  # for a solver; one that takes longer is left out
SHARE_OF_MEMORY = 0.75  # for a solver: more would end something else

_OPERATORS: dict[int, Any] = {}  # fulqrum's, by number of orbitals


class Case(NamedTuple):
    """What one process measures; `target` is a file for what it found."""

    basis: str
    strings: int
    solver: str
    target: str


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


def by_fulqrum(hamiltonian: Hamiltonian, strings: Strings) -> float:
    """The energy by fulqrum, which keeps its matrix elements in rows."""
    fulqrum: Any = import_module("fulqrum")
    half = [f"{number:0{hamiltonian.norb}b}" for number in as_integers(strings)]
    subspace = fulqrum.Subspace((half, half))
    matrix = fulqrum.SubspaceHamiltonian(_operator(hamiltonian), subspace)
    start = np.zeros(len(subspace))
    start[0] = 1.0
    lowest: Any = eigsh
    found = lowest(matrix.to_csr_linearoperator_fast(), k=1, which="SA", v0=start, tol=1e-8)
    return float(found[0][0]) + hamiltonian.constant


def _operator(hamiltonian: Hamiltonian) -> Any:
    """Made by the run that is not counted: a process has but one Hamiltonian."""
    if known := _OPERATORS.get(hamiltonian.norb):
        return known
    convert: Any = import_module("fulqrum.convert").integrals_to_fq_fermionic_op
    one_body = np.array(hamiltonian.one_body, order="C")  # it takes none that is read-only
    two_body = np.array(hamiltonian.full_two_body(), order="C")
    operator = convert(one_body, two_body).extended_jw_transformation()
    operator.set_type(2)
    _OPERATORS[hamiltonian.norb] = operator
    return operator


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
OTHERS: dict[str, Solve] = {"fulqrum": by_fulqrum, "sbd": by_sbd}
SOLVERS: dict[str, Solve] = {"native": by_native, "pyscf": by_pyscf}
SOLVERS |= {name: solve for name, solve in OTHERS.items() if find_spec(name)}


def main() -> None:
    """Prints what each takes, and whether the target is met."""
    if len(sys.argv) == len(Case._fields) + 1:
        basis, count, solver, target = sys.argv[1:]
        _solve(Case(basis, int(count), solver, target))
        return
    figures: list[Figure] = []
    for basis in BASES:
        for strings in [int(word) for word in sys.argv[1:]] or STRINGS:
            title = f"N2/{basis}, {strings} strings"
            print(title, flush=True)
            figures += _figures(title, _measure(basis, strings))
    show("Eigensolvers, one thread", figures)


def _measure(basis: str, strings: int) -> dict[str, Timed]:
    """All solvers on one subspace, but those to which memory or time does not suffice for it."""
    found: dict[str, Timed] = {}
    with tempfile.TemporaryDirectory() as folder:
        for solver in SOLVERS:
            target = str(Path(folder, solver))
            # a process for each: sbd knows but one number of orbitals in its life
            words = [str(word) for word in Case(basis, strings, solver, target)]
            if too_much := run_limited([__spec__.name, *words], LONGEST_SECONDS):
                print(f"  {solver:<8} {too_much}")
                continue
            found[solver] = Timed(*json.loads(Path(target).read_text()))
            taken, energy = found[solver]
            print(f"  {solver:<8}{taken:>10.3f} s {energy:.9f} hartree", flush=True)
    energies = [timed.energy for timed in found.values()]
    assert max(energies) - min(energies) < AGREE, "solvers differ"
    return found


def run_limited(words: list[str], seconds: float) -> str:
    """A module as a process of its own; what it took too much of, empty if nothing."""
    try:
        ended = subprocess.run(
            [sys.executable, "-m", *words],
            check=False,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_limit_memory,  # so that nothing else is ended for a solver
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        return f"not in {seconds:.0f} s"
    if "MemoryError" in ended.stderr:
        return f"not in {SHARE_OF_MEMORY:.0%} of this machine's memory"
    if ended.returncode:
        sys.exit(ended.stderr)
    return ""


def _limit_memory() -> None:
    limit = int(SHARE_OF_MEMORY * psutil.virtual_memory().total)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _solve(case: Case) -> None:
    hamiltonian = Molecule(geometry=NITROGEN, basis=case.basis, frozen_core=2).hamiltonian()
    space, solve = draw_strings(hamiltonian, case.strings), SOLVERS[case.solver]
    solve(hamiltonian, space[:SMALL])
    taken, energy = list[float](), 0.0
    while len(taken) < TURNS and sum(taken) < ENOUGH_SECONDS:
        began = time.process_time()
        energy = solve(hamiltonian, space)
        taken.append(time.process_time() - began)
    Path(case.target).write_text(json.dumps([statistics.median(taken), energy]))


def _figures(title: str, found: dict[str, Timed]) -> list[Figure]:
    others = {name: timed.seconds for name, timed in found.items() if name != "native"}
    native, best = found["native"].seconds, min(others.values())
    target = at_most(1 / FASTER, native / best, "")
    return [
        Figure(title, native, "s", name, taken, target if taken == best else None)
        for name, taken in others.items()
    ]


if __name__ == "__main__":
    main()
