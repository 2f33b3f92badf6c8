"""Programs of a site's own, which find their files in their folder."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from qcsc_hpc.machine import Machine
from qcsc_hpc.profiles import Command
from qcsc_loop.errors import JobRefused


def require_program(solver: str, command: Command, machine: Machine) -> None:
    """Refuses a program that would run on this machine and is not here.

    Raises:
        JobRefused: it is not; says under which key of the executable map its path is given.
    """
    program = machine.where.executable_map.get(command.executable_key, command.executable_key)
    if runs_here(machine) and shutil.which(program) is None:
        why = f"there is no program {program} here; give its path under the key "
        raise JobRefused(solver, "executable_map", why + command.executable_key)


def runs_here(machine: Machine, program: str = "") -> bool:
    """Whether its programs run where the driver does, by what is installed here.

    Args:
        program: one that the machine's profile may have a program of its own for.
    """
    own = program in machine.where.executable_map
    return machine.where.scheduler == "local" and machine.what is None and not own


def place(files: Sequence[Path], folder: Path, _earlier: Path | None) -> None:
    """Puts input files into a job's folder: before the job, as `Machine.run_job` calls it."""
    for path in files:
        shutil.copyfile(path, folder / path.name)
