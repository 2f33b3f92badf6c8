"""A `Dice` for tests: the files of the real program, the work done by pyscf. Run as

    mpiexec -n RANKS python -m qcsc_algorithms.sqd.testing.dice

Reads `input.dat`, `AlphaDets.bin`, `BetaDets.bin` and the integrals that `input.dat` names, in its
folder; writes `spin1RDM.0.0.txt`, `shci.e` and `dets.bin`. As the real one it ends with an exit code
other than 0 where all went well, and with 0, and no result, where it cannot read what it needs. Not
there: more than 63 orbitals, further determinants, several states, density matrices of two bodies.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np

from qcsc_algorithms.sqd.chemistry.hamiltonian import Hamiltonian
from qcsc_algorithms.sqd.determinants.configurations import as_integers
from qcsc_algorithms.sqd.solvers.dice_codec import (
    read_strings,
    write_amplitudes,
    write_density,
    write_energy,
)
from qcsc_hpc.mpi.world import world

MODULE = "qcsc_algorithms.sqd.testing.dice"
ENDED_WELL = 1
WORDS = ("orbitals", "davidsonTol", "writeBestDeterminants", "DoSpinOneRDM", "DoOneRDM", "nocc")


def executable(folder: Path) -> Path:
    """A program `Dice` in the folder: for a machine's `executable_map`."""
    path = folder / "Dice"
    path.write_text(f"#!/bin/sh\nexec {shlex.quote(sys.executable)} -m {MODULE}\n")
    path.chmod(0o755)
    return path


def main() -> None:
    """Runs one rank; the first one does the work."""
    comm, code = world(), ENDED_WELL
    if comm.rank == 0:
        try:
            _solve(_settings(Path("input.dat")))
        except (ValueError, OSError) as error:
            print(error, flush=True)
            code = 0
    sys.exit(comm.bcast(code))  # not through mpi4py's runner, which would end the others by force


def _settings(path: Path) -> dict[str, str]:
    """What comes after each word that has a line of its own.

    Raises:
        ValueError: one that the work needs is missing.
    """
    lines = [line.partition(" ") for line in path.read_text().splitlines()]
    found = {name: rest for name, _, rest in lines}
    if lacking := [word for word in WORDS if word not in found]:
        raise ValueError(f"{path} lacks {', '.join(lacking)}")
    return found


def _solve(settings: dict[str, str]) -> None:
    hamiltonian = Hamiltonian.read_fcidump(Path(settings["orbitals"]))
    norb, electrons = hamiltonian.norb, hamiltonian.electrons
    if int(settings["nocc"]) != sum(electrons):
        raise ValueError(f"nocc {settings['nocc']} are not the {sum(electrons)} electrons")
    strings: Any = tuple(read_strings(Path(f"{spin}Dets.bin"), norb) for spin in ("Alpha", "Beta"))
    count = len(strings[0]) * len(strings[1])
    if int(settings["writeBestDeterminants"]) != count:
        raise ValueError(f"not all of the {count} determinants are asked for")
    energy, density, amplitudes = _lowest_state(
        hamiltonian, strings, float(settings["davidsonTol"])
    )
    write_density(Path("spin1RDM.0.0.txt"), density)
    write_energy(Path("shci.e"), energy + hamiltonian.constant)
    write_amplitudes(Path("dets.bin"), amplitudes, strings, norb)


def _lowest_state(hamiltonian: Hamiltonian, strings: Any, tolerance: float) -> tuple[Any, Any, Any]:
    """Energy without the constant; density of each spin; amplitudes (beta strings, alpha strings)."""
    from pyscf import lib
    from pyscf.fci import selected_ci

    lib.num_threads(1)
    norb, electrons = hamiltonian.norb, hamiltonian.electrons
    integers = [as_integers(rows) for rows in strings]
    orders = [np.argsort(rows, kind="stable") for rows in integers]  # pyscf's links need it
    solver: Any = selected_ci.SelectedCI()
    solver.verbose = 0
    energy, state = selected_ci.kernel_fixed_space(
        solver,
        np.array(hamiltonian.one_body),
        hamiltonian.full_two_body(),
        norb,
        electrons,
        tuple(rows[order] for rows, order in zip(integers, orders, strict=True)),
        tol=max(tolerance**2 / 100, 1e-14),  # pyscf's is of the energy
        max_cycle=200,
    )
    density: Any = solver.make_rdm1s(state, norb, electrons)
    amplitudes = np.empty((len(strings[1]), len(strings[0])))
    amplitudes[np.ix_(orders[1], orders[0])] = np.asarray(state).T
    return energy, np.asarray(density), amplitudes


if __name__ == "__main__":
    main()
