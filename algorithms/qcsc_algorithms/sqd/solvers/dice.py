"""DICE, the selected CI of Sharma and others, through its files."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from anyio import to_thread
from pydantic import Field

from qcsc_algorithms.sqd.chemistry.hamiltonian import Hamiltonian
from qcsc_algorithms.sqd.determinants.configurations import unpack
from qcsc_algorithms.sqd.determinants.subspace import Subspace
from qcsc_algorithms.sqd.solvers.dice_codec import (
    MAX_DETERMINANTS,
    MAX_ORBITALS,
    amplitudes_size,
    read_amplitudes,
    read_density,
    read_energy,
    settings_text,
    write_strings,
)
from qcsc_algorithms.sqd.solvers.site_program import place, require_program
from qcsc_algorithms.sqd.solvers.solver import Solution, Solver, solution_of
from qcsc_hpc.machine import HPCMachine, Machine, command_line
from qcsc_hpc.profiles import Command
from qcsc_loop.concurrency.whole_file import write_whole
from qcsc_loop.errors import JobRefused
from qcsc_loop.parameters.operational import OPERATIONAL
from qcsc_loop.steps.step import current_step

DICE = Command(command_name="dice", executable_key="dice_solver")
SETTINGS, INTEGRALS, ALPHA, BETA = "input.dat", "fcidump.txt", "AlphaDets.bin", "BetaDets.bin"
DENSITY, ENERGY, AMPLITUDES = "spin1RDM.0.0.txt", "shci.e", "dets.bin"
OUTPUTS = [DENSITY, ENERGY, AMPLITUDES]  # in the order in which they are written

SAME = 1e-4  # within which the occupancies of two files are those of one state


class DiceSolver(Solver):
    """Davidson diagonalisation by the `Dice` of a site: key `dice_solver` of its executable map.

    The program is the one that qiskit-addon-dice-solver builds: it diagonalises in the product of
    the strings that it is given, and adds none; up to 128 orbitals, restricted ones. It runs in the
    job's folder, reads `input.dat`, `fcidump.txt`, `AlphaDets.bin` and `BetaDets.bin`, and leaves
    `spin1RDM.0.0.txt`, `shci.e` and `dets.bin`. Its exit code says nothing: a rank has ended well
    where these are there, `dets.bin` with all its bytes. Files that are missing, damaged, older
    than the job or of another problem fail the job.

    Occupancies and density have the 8 digits of its file. Weights, residual and S^2 are computed
    here, of the amplitudes in `dets.bin`, by one matrix product in the driver.

    Attributes:
        tolerance: of the residual's norm, in hartree; the energy is good to about its square.
        ranks: MPI ranks; empty: as the machine's profile says.
    """

    type: Literal["dice"] = "dice"
    tolerance: float = Field(default=1e-5, ge=1e-12)
    ranks: Annotated[int | None, OPERATIONAL] = Field(default=None, ge=1)

    async def require(self, hamiltonian: Hamiltonian, machine: Machine) -> None:
        await super().require(hamiltonian, machine)
        self._require_size(hamiltonian.norb, 0)
        require_program(self.type, DICE, machine)

    async def solve(
        self, hamiltonian: Hamiltonian, subspace: Subspace, machine: Machine
    ) -> Solution:
        self._require_size(hamiltonian.norb, subspace.dimension)
        self.require_problem(hamiltonian, subspace)
        require_program(self.type, DICE, machine)
        files = await to_thread.run_sync(
            self._write, current_step().work_dir, hamiltonian, subspace
        )
        judged = _judged(machine, amplitudes_size(subspace.dimension, hamiltonian.norb))
        if machine.what is not None and isinstance(machine, HPCMachine):
            machine = machine.model_copy(update={"command": judged})
        done = await machine.run_job(
            judged,
            files,
            ranks=self.ranks,
            outputs=OUTPUTS,
            collect=partial(read_solution, hamiltonian, subspace, self.tolerance),
            before=partial(place, files),
        )
        return done.value

    def _require_size(self, norb: int, determinants: int) -> None:
        for found, most, what in (
            (norb, MAX_ORBITALS, "orbitals"),
            (determinants, MAX_DETERMINANTS, "determinants"),
        ):
            if found > most:
                why = f"its files hold at most {most} {what}, not {found}; take native"
                raise JobRefused(self.type, "solver", why)

    def _write(self, folder: Path, hamiltonian: Hamiltonian, subspace: Subspace) -> list[Path]:
        with write_whole(folder / SETTINGS) as file:
            told = sum(hamiltonian.electrons), subspace.dimension, self.tolerance
            file.write(settings_text(*told).encode())
        # no labels of irreps, whose group it would have to be told; the constant is added here
        plain = {"constant": 0.0, "orbital_symmetry": np.empty(0, np.int64)}
        hamiltonian.model_copy(update=plain).write_fcidump(folder / INTEGRALS)
        write_strings(folder / ALPHA, subspace.alpha)
        write_strings(folder / BETA, subspace.beta)
        return [folder / name for name in (SETTINGS, INTEGRALS, ALPHA, BETA)]


def _judged(machine: Machine, size: int) -> Command:
    """The program, ending well where it has left its results, whatever it says itself.

    It is started without arguments, of which it would take the first one for its settings.

    Args:
        size: bytes of all amplitudes.
    """
    own = machine.what or DICE
    script = "\n".join(_script([str(word) for word in command_line(machine.where, own, [])], size))
    called = DICE.command_name
    return Command(command_name=called, executable_key="sh", default_args=["-c", script, called])


def _script(program: list[str], size: int) -> Iterator[str]:
    yield f"{shlex.join(program)} && exit"
    yield "code=$?"
    yield "ls -A > /dev/null"  # what another node wrote: a network file system looks anew
    for name in OUTPUTS:
        yield f"[ -s {name} ] || exit $code"
    yield f'[ "$(wc -c < {AMPLITUDES})" -eq {size} ] || exit $code'
    yield 'echo "it ended with exit code $code, and left its results" >&2'


def read_solution(
    hamiltonian: Hamiltonian, subspace: Subspace, tolerance: float, folder: Path
) -> Solution:
    """What the program left in its job's folder.

    Raises:
        ValueError: a file is damaged, or of another problem.
        FileNotFoundError: one is missing.
    """
    from qcsc_algorithms.sqd.solvers.measured_state import measured
    from qcsc_algorithms.sqd.solvers.product_space import Integrals

    norb, electrons = hamiltonian.norb, hamiltonian.electrons
    energy = read_energy(folder / ENERGY)
    density = read_density(folder / DENSITY, norb, electrons)
    strings = subspace.alpha, subspace.beta
    amplitudes = read_amplitudes(folder / AMPLITUDES, strings, norb)
    integrals = Integrals(np.asarray(hamiltonian.one_body), np.asarray(hamiltonian.two_body))
    found = measured(integrals, electrons, strings, energy, amplitudes, tolerance)
    occupancies = np.diagonal(density, axis1=1, axis2=2)
    weights = found["alpha_weights"], found["beta_weights"]
    for told, rows, share in zip(occupancies, strings, weights, strict=True):
        if np.abs(share @ unpack(rows, norb) - told).max() > SAME:
            raise ValueError(f"{DENSITY} and {AMPLITUDES} are not of the same state")
    found |= {"occupancies": occupancies.copy(), "density": density}
    return solution_of(subspace, found, energy + hamiltonian.constant)
