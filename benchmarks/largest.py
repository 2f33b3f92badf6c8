"""The largest subspace whose iteration ends in ten minutes here, by the default solver and by pyscf.

    python -m benchmarks.largest [BASIS/SOLVER ...]

An iteration is as in `sqd_addon`, from shots to an energy: shots are recovered, strings chosen, the
Hamiltonian diagonalised. Each has one thread, and a core to itself: as many are tried at a time.
The number of strings is what two smaller ones let expect to take nearly as long; where that takes
longer, or more memory than is to be had, a tenth less is tried. Minutes for each, so that `make
bench` leaves it out.
"""

from __future__ import annotations

import json
import math
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from benchmarks.figures import Figure, at_most, show
from benchmarks.solvers import NITROGEN, by_native, by_pyscf, run_limited
from benchmarks.sqd_addon import chosen_strings, noisy_shots
from qcsc_algorithms.sqd import Molecule

LONGEST, AIM = 600.0, 560.0  # seconds
SOLVERS = {"native": by_native, "pyscf": by_pyscf}
FIRST = {"6-31g/native": 1000, "6-31g/pyscf": 300, "cc-pvdz/native": 1500, "cc-pvdz/pyscf": 150}
SHOTS_A_STRING, DISTINCT_A_STRING = 40, 4
WARM_UP = 20  # strings
GROWTH = (1.2, 4.0)  # of the time, as a power of the number of strings


class Ended(NamedTuple):
    """An iteration: seconds, strings of each spin, orbitals, hartree."""

    seconds: float
    strings: int
    norb: int
    energy: float


def largest(case: str) -> Ended | None:
    """Of a basis and a solver."""
    found = [_tried(case, FIRST[case]), _tried(case, 2 * FIRST[case])]
    least = [one for one in found if one is not None]
    if len(least) < 2:
        return least[0] if least else None
    strings = _expected(least[0], least[1])
    while strings > least[-1].strings:
        last = _tried(case, strings)
        if last is not None and last.strings <= least[-1].strings:
            return last  # the whole space
        if last is not None and last.seconds <= LONGEST:
            return last
        strings = int(0.9 * strings)
    return least[-1]


def _expected(small: Ended, large: Ended) -> int:
    power = math.log(large.seconds / small.seconds) / math.log(large.strings / small.strings)
    power = min(max(power, GROWTH[0]), GROWTH[1])
    return int(large.strings * (AIM / large.seconds) ** (1 / power))


def _tried(case: str, strings: int) -> Ended | None:
    """One iteration in a process of its own; None where it takes too much of anything."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "found")
        words = [__spec__.name, case, str(strings), str(target)]
        if too_much := run_limited(words, 1.5 * LONGEST):
            print(f"  {case:<16}{strings:>7} strings: {too_much}", flush=True)
            return None
        found = Ended(*json.loads(target.read_text()))
    seconds, count, norb, energy = found
    print(
        f"  {case:<16}{count:>7} strings, {norb} orbitals{seconds:>8.1f} s {energy:.6f}", flush=True
    )
    return found


def _iteration(case: str, strings: int) -> Ended:
    basis, _, name = case.partition("/")
    hamiltonian = Molecule(geometry=NITROGEN, basis=basis, frozen_core=2).hamiltonian()
    solve = SOLVERS[name]
    few = noisy_shots(hamiltonian)
    solve(hamiltonian, chosen_strings(hamiltonian, *few, WARM_UP))
    bits, occupancies = noisy_shots(
        hamiltonian, SHOTS_A_STRING * strings, DISTINCT_A_STRING * strings
    )
    began = time.perf_counter()
    space = chosen_strings(hamiltonian, bits, occupancies, strings)
    energy = solve(hamiltonian, space)
    return Ended(time.perf_counter() - began, len(space), hamiltonian.norb, energy)


def main() -> None:
    """Prints what each reaches."""
    if len(sys.argv) == 4:
        case, strings, target = sys.argv[1:]
        Path(target).write_text(json.dumps(_iteration(case, int(strings))))
        return
    cases = sys.argv[1:] or [*FIRST]
    with ThreadPoolExecutor(os.cpu_count()) as cores:
        found = dict(zip(cases, cores.map(largest, cases), strict=True))
    figures: list[Figure] = []
    for basis in dict.fromkeys(case.partition("/")[0] for case in FIRST):
        ours, theirs = (found.get(f"{basis}/{name}") for name in SOLVERS)
        if ours and theirs:
            what = f"N2/{basis}, {ours.norb} orbitals: native, in {ours.seconds:.0f} s"
            beside = f"pyscf, in {theirs.seconds:.0f} s"
            met = at_most(LONGEST, ours.seconds, " s")
            figures.append(Figure(what, ours.strings, "strings", beside, theirs.strings, met))
    show("The largest iteration of ten minutes, one thread", figures)


if __name__ == "__main__":
    main()
