"""An `sbd` for tests: the options and files of RIKEN's program, the work done by pyscf. Run as

    mpiexec -n RANKS python -m mpi4py -m qcsc_algorithms.sqd.testing.sbd OPTIONS

Reads `fcidump.txt` and `AlphaDets.bin` in its folder, or what `--fcidump`, `--adetfile` and
`--bdetfile` name; writes `davidson_energy.txt`, `occ_a.txt`, `occ_b.txt`, `carryover.bin`, with
`--bdetfile` also `carryover_b.bin`. Not there: more than 63 orbitals, amplitudes, density
matrices. As the real one it ignores options that it does not know, and the order of strings.
"""

from __future__ import annotations

import shlex
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

import numpy as np

from qcsc_algorithms.sqd.chemistry.hamiltonian import Hamiltonian
from qcsc_algorithms.sqd.determinants.configurations import Strings, as_integers
from qcsc_algorithms.sqd.solvers.sbd_codec import read_determinants, write_carryover, write_numbers
from qcsc_algorithms.sqd.solvers.selected_ci import lowest_state
from qcsc_algorithms.sqd.solvers.solver import by_weight
from qcsc_hpc.mpi.world import world

MODULE = "qcsc_algorithms.sqd.testing.sbd"


def executable(folder: Path) -> Path:
    """A program `sbd` in the folder: for a machine's `executable_map`, or the PATH."""
    path = folder / "sbd"
    path.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m mpi4py -m {MODULE} "$@"\n')
    path.chmod(0o755)
    return path


def main(arguments: list[str]) -> None:
    """Runs one rank; the first one does the work.

    Raises:
        ValueError: the ranks are no multiple of the sizes' product.
    """
    options, comm = _options(arguments), world()
    share = options.task_comm_size * options.adet_comm_size * options.bdet_comm_size
    if comm.size % share:
        raise ValueError(f"{comm.size} ranks are no multiple of {share}")
    if comm.rank == 0:
        _solve(options)


def _options(arguments: list[str]) -> Namespace:
    parser = ArgumentParser("sbd", allow_abbrev=False)
    parser.add_argument("--fcidump", type=Path, default=Path("fcidump.txt"))
    parser.add_argument("--adetfile", type=Path, default=Path("AlphaDets.bin"))
    parser.add_argument("--bdetfile", type=Path)
    for name in ("task_comm_size", "adet_comm_size", "bdet_comm_size", "iteration"):
        parser.add_argument(f"--{name}", type=int, default=1)
    parser.add_argument("--block", type=int, default=10)
    parser.add_argument("--tolerance", type=float, default=1e-4)
    parser.add_argument("--carryover_ratio", type=float, default=0.0)
    return parser.parse_known_args(arguments)[0]


def _solve(options: Namespace) -> None:
    hamiltonian = Hamiltonian.read_fcidump(options.fcidump)
    norb = hamiltonian.norb
    alpha = read_determinants(options.adetfile, norb)
    beta = read_determinants(options.bdetfile, norb) if options.bdetfile else alpha
    found = lowest_state(_problem(hamiltonian, alpha, beta, options))
    energy = float(found["energy"]) + hamiltonian.constant
    print(f" Davidson iteration 0.0 (tol={float(found['residual']):.6g}): {energy:.6g}", flush=True)
    write_numbers(Path("davidson_energy.txt"), np.array([energy]))
    for name, occupancies in zip("ab", found["occupancies"], strict=True):
        write_numbers(Path(f"occ_{name}.txt"), occupancies)
    kept = [("carryover.bin", alpha, found["alpha_weights"])]
    if options.bdetfile:
        kept.append(("carryover_b.bin", beta, found["beta_weights"]))
    for file, strings, weights in kept:
        heaviest = by_weight(strings, weights)[0][: int(options.carryover_ratio * len(strings))]
        write_carryover(Path(file), heaviest, norb)


def _problem(
    hamiltonian: Hamiltonian, alpha: Strings, beta: Strings, options: Namespace
) -> dict[str, Any]:
    return {
        "one_body": np.array(hamiltonian.one_body),
        "two_body": np.array(hamiltonian.two_body),
        "electrons": np.array(hamiltonian.electrons),
        "alpha": as_integers(alpha),
        "beta": as_integers(beta),
        "tolerance": max(options.tolerance**2, 1e-14),  # pyscf's is of the energy
        "max_cycles": options.block * options.iteration,
        "threads": 1,
        "spin_square": np.nan,
    }


if __name__ == "__main__":
    main(sys.argv[1:])
