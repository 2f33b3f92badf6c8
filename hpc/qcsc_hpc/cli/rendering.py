"""What a machine would submit."""

from __future__ import annotations

from pathlib import Path

import anyio
from pydantic import BaseModel, SerializeAsAny

from qcsc_hpc.machine import Machine, command_line
from qcsc_hpc.profiles import Command
from qcsc_loop.errors import InvalidParameters
from qcsc_loop.jobs.key import JobKey
from qcsc_loop.parameters.build import build
from qcsc_loop.parameters.resource import BlockName
from qcsc_loop.parameters.saved_blocks import resolve_blocks


class _Chosen(BaseModel):
    machine: SerializeAsAny[Machine] | BlockName


def machine_named(name: str) -> Machine:
    """The machine that `--machine NAME` means.

    Raises:
        BlockNotFound: there is none; names those that exist.
    """
    machine = anyio.run(resolve_blocks, build(_Chosen, {"machine": name})).machine
    assert isinstance(machine, Machine)
    return machine


def render_script(machine: str, words: tuple[str, ...], ranks: int | None) -> str:
    """The script for a command on a machine, `local` or a saved one.

    Raises:
        BlockNotFound, JobRefused: as a run would.
        InvalidParameters: there is no command.
    """
    chosen = machine_named(machine)
    if words:
        command = Command(command_name=Path(words[0]).name, executable_key=words[0])
    elif chosen.what is not None:
        command = chosen.what
    else:
        raise InvalidParameters(
            "render", ["a command is missing"], ["qcsc-loop render MACHINE -- COMMAND …"]
        )
    program = [str(word) for word in command_line(chosen.where, command, words[1:])]
    key = JobKey(run_id="RUN", run_uid="", iteration=1, step="evaluate", name=command.command_name)
    return chosen.script(key, Path("/RUN/FOLDER"), chosen.shaped(ranks), program)
