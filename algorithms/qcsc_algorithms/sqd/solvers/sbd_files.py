"""The site's own `sbd` program, through its files."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from anyio import to_thread

from qcsc_algorithms.sqd.chemistry.hamiltonian import Hamiltonian
from qcsc_algorithms.sqd.determinants.configurations import Strings, unique_rows
from qcsc_algorithms.sqd.determinants.subspace import Subspace
from qcsc_algorithms.sqd.solvers.sbd import Sbd
from qcsc_algorithms.sqd.solvers.sbd_codec import (
    last_residual,
    read_carryover,
    read_energy,
    read_occupancies,
    write_determinants,
)
from qcsc_algorithms.sqd.solvers.site_program import place, require_program
from qcsc_algorithms.sqd.solvers.solver import Solution
from qcsc_hpc.machine import Machine
from qcsc_hpc.profiles import Command
from qcsc_hpc.script.job_folder import JobFolder
from qcsc_loop.errors import JobRefused
from qcsc_loop.steps.step import current_step

SBD = Command(command_name="sbd", executable_key="sbd")
INTEGRALS, ALPHA, BETA = "fcidump.txt", "AlphaDets.bin", "BetaDets.bin"
ENERGY, OCCUPANCIES = "davidson_energy.txt", ("occ_a.txt", "occ_b.txt")
CARRYOVER, CARRYOVER_BETA = "carryover.bin", "carryover_b.bin"
Indices = npt.NDArray[np.intp]

ABOVE = 1e-6  # hartree above the first determinant's energy that rounding may explain


class SbdFilesSolver(Sbd):
    """Davidson diagonalisation by the `sbd` of a site: the key `sbd` of its executable map.

    The program is that of qcsc-prefect, over restricted orbitals (not built with -D_UHF). It runs
    in the job's folder, reads `fcidump.txt` and `AlphaDets.bin`, and leaves
    `davidson_energy.txt`, `occ_a.txt`, `occ_b.txt` and `carryover.bin`. Files that are missing,
    damaged, older than the job or of another problem fail the job.

    Its files tell neither S^2, nor weights, nor a residual. Strings come in the order of their
    weights, which are NaN. Residual and convergence are what its output says of the last step;
    where that says nothing, the residual is NaN, and the solution does not count as converged.

    Attributes:
        separate_beta: whether the program takes `--bdetfile` and leaves `carryover_b.bin`, as
            builds of 2026 do. Without, beta strings are the alpha strings: no open shells.
    """

    type: Literal["sbd-files"] = "sbd-files"
    separate_beta: bool = False

    async def require(self, hamiltonian: Hamiltonian, machine: Machine) -> None:
        await super().require(hamiltonian, machine)
        require_program(self.type, SBD, machine)

    async def solve(
        self, hamiltonian: Hamiltonian, subspace: Subspace, machine: Machine
    ) -> Solution:
        self.require_problem(hamiltonian, subspace)
        self._require(subspace, machine)
        files = await to_thread.run_sync(
            self._write, current_step().work_dir, hamiltonian, subspace
        )
        outputs = [ENERGY, *OCCUPANCIES, CARRYOVER, *([CARRYOVER_BETA] if BETA in files else [])]
        done = await machine.run_job(
            SBD,
            self._arguments(files),
            ranks=self.ranks,
            outputs=outputs,
            collect=partial(read_solution, hamiltonian, subspace, self.tolerance),
            before=partial(place, list(files.values())),
        )
        return done.value

    def _require(self, subspace: Subspace, machine: Machine) -> None:
        self.require_ranks(machine)
        if not self.separate_beta and _differ(subspace):
            why = (
                "the program's file of determinants is for both spins, and alpha and beta strings "
                "differ here; if your build takes --bdetfile, set it; else take the solver sbd"
            )
            raise JobRefused(self.type, "separate_beta", why)
        require_program(self.type, SBD, machine)

    def _write(self, folder: Path, hamiltonian: Hamiltonian, subspace: Subspace) -> dict[str, Path]:
        files = {name: folder / name for name in (INTEGRALS, ALPHA)}
        hamiltonian.write_fcidump(files[INTEGRALS])
        write_determinants(files[ALPHA], subspace.alpha, hamiltonian.norb)
        if _differ(subspace):
            files[BETA] = folder / BETA
            write_determinants(files[BETA], subspace.beta, hamiltonian.norb)
        return files

    def _arguments(self, files: dict[str, Path]) -> list[str | Path]:
        """What the program is told; options that a build does not know, it ignores."""
        names = {INTEGRALS: "--fcidump", ALPHA: "--adetfile", BETA: "--bdetfile"}
        options = {
            "--task_comm_size": self.task_comm_size,
            "--adet_comm_size": self.adet_comm_size,
            "--bdet_comm_size": self.bdet_comm_size,
            "--method": int(self.store_hamiltonian),
            "--block": self.block,
            "--iteration": self.iterations,
            "--tolerance": self.tolerance,
            "--carryover_type": 1,  # in the order of their weights; newer builds need to be asked
            "--carryover_ratio": 1.0,  # all of them: how many are carried over is the loop's choice
            "--rdm": 0,
        }
        words: list[str | Path] = []
        for name, path in files.items():
            words += [names[name], path]
        for option, value in options.items():
            words += [option, str(value)]
        return words


def read_solution(
    hamiltonian: Hamiltonian, subspace: Subspace, tolerance: float, folder: Path
) -> Solution:
    """What the program left in its job's folder.

    Raises:
        ValueError: a file is damaged, or of another problem.
        FileNotFoundError: one is missing.
    """
    norb, electrons = hamiltonian.norb, hamiltonian.electrons
    energy = read_energy(folder / ENERGY)
    highest = _first_determinant(hamiltonian)
    if energy > highest + ABOVE:
        raise ValueError(
            f"{ENERGY}: {energy:.9f} hartree are more than the {highest:.9f} of the Hartree-Fock "
            "determinant, which is in the subspace"
        )
    alpha = _same_strings(folder / CARRYOVER, subspace.alpha, norb)
    beta = alpha
    if _differ(subspace):
        beta = _same_strings(folder / CARRYOVER_BETA, subspace.beta, norb)
    residual = last_residual(_log(folder))
    return Solution(
        energy=energy,
        occupancies=np.array(
            [read_occupancies(folder / OCCUPANCIES[s], norb, electrons[s]) for s in (0, 1)]
        ),
        alpha=alpha,
        beta=beta,
        alpha_weights=np.full(len(alpha), np.nan),
        beta_weights=np.full(len(beta), np.nan),
        residual=residual,
        converged=residual <= tolerance,
    )


def _differ(subspace: Subspace) -> bool:
    return not np.array_equal(subspace.alpha, subspace.beta)


def _same_strings(path: Path, expected: Strings, norb: int) -> Strings:
    found = read_carryover(path, norb)
    same = len(found) == len(expected) and np.array_equal(
        unique_rows(found)[0], unique_rows(expected)[0]
    )
    if not same:
        raise ValueError(f"{path.name} does not hold the {len(expected)} strings of the subspace")
    return found


def _log(folder: Path) -> str:
    try:
        return JobFolder(folder).log.read_text(errors="replace")
    except OSError:
        return ""


def _first_determinant(hamiltonian: Hamiltonian) -> float:
    """The energy of the determinant of the lowest orbitals, which is in every subspace."""
    norb = hamiltonian.norb
    p, q = np.indices((norb, norb))
    pairs = _triangular(p, q)
    coulomb = hamiltonian.two_body[_triangular(np.diag(pairs)[:, None], np.diag(pairs)[None])]
    exchange = hamiltonian.two_body[_triangular(pairs, pairs)]
    spins = [np.arange(norb) < n for n in hamiltonian.electrons]
    total = np.sum(spins, axis=0)
    energy = hamiltonian.constant + total @ np.diag(hamiltonian.one_body)
    energy += (total @ coulomb @ total - sum(spin @ exchange @ spin for spin in spins)) / 2
    return float(energy)


def _triangular(p: Indices, q: Indices) -> Indices:
    """Where the pair stands in a packed lower triangle."""
    high, low = np.maximum(p, q), np.minimum(p, q)
    return np.asarray(high * (high + 1) // 2 + low)
