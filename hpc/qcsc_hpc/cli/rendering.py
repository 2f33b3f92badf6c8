"""What a machine would submit."""

from __future__ import annotations

import shlex
from pathlib import Path

import anyio
from pydantic import BaseModel, SerializeAsAny

from qcsc_hpc.machine import Machine, command_line
from qcsc_hpc.profiles import Command, ExecutionProfile
from qcsc_hpc.schedulers.scheduler import Scheduler
from qcsc_hpc.script.array_folder import ArrayFolder, array_key
from qcsc_hpc.script.array_script import render_array
from qcsc_loop.cli.quiet_prefect import quiet_prefect
from qcsc_loop.errors import InvalidParameters, JobRefused
from qcsc_loop.jobs.key import JobKey
from qcsc_loop.parameters.build import build
from qcsc_loop.parameters.resource import BlockName
from qcsc_loop.parameters.saved_blocks import named_blocks, resolve_blocks


class _Chosen(BaseModel):
    machine: SerializeAsAny[Machine] | BlockName


def machine_named(name: str) -> Machine:
    """The machine that `--machine NAME` means.

    Raises:
        BlockNotFound: there is none; names those that exist.
        PrefectHomeNotWritable: it is a saved one, and Prefect could keep nothing.
    """
    chosen = build(_Chosen, {"machine": name})
    if named_blocks(chosen):
        quiet_prefect()
    machine = anyio.run(resolve_blocks, chosen).machine
    assert isinstance(machine, Machine)
    return machine


def render_script(
    machine: str, words: tuple[str, ...], ranks: int | None, array: int | None = None
) -> str:
    """The script for a command on a machine, `local` or a saved one.

    Args:
        array: of how many such jobs the array's script is wanted; None: the job's own.

    Raises:
        BlockNotFound, JobRefused: as a run would.
        InvalidParameters: there is no command.
    """
    chosen = machine_named(machine)
    if array is not None:
        return _array_script(chosen, chosen.shaped(ranks), array)
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


def _array_script(machine: Machine, how: ExecutionProfile, size: int) -> str:
    """With the command that submits it.

    Raises:
        JobRefused: the machine's profile does not say that it has arrays.
    """
    dialect = machine.dialect()
    if not (machine.where.array and isinstance(dialect, Scheduler)):
        why = "its profile does not ask for arrays; give it array = true, if the site has them"
        raise JobRefused(dialect.title, "array", why)
    key = array_key(JobKey(run_id="RUN", run_uid="", iteration=1, step="evaluate", name=""), 0)
    folder = ArrayFolder(Path("/RUN/FOLDER/0.array.job"))
    script = render_array(dialect, how, key, folder.path, size)
    head, _, rest = script.partition("\n")
    submission = shlex.join(dialect.submit_array(str(folder.script), size))
    return f"{head}\n# submitted by: {submission}\n{rest}"
