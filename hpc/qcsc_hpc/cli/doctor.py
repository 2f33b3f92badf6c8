"""Does MPI start, give the ranks that were asked for, and do the machine's nodes see the store?"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from qcsc_hpc.cli.lateness import Lateness, measure_lateness
from qcsc_hpc.cli.rendering import machine_named
from qcsc_hpc.machine import LocalMachine, Machine, Program
from qcsc_hpc.script.launchers import launcher_path
from qcsc_loop.doctor import Finding, Request
from qcsc_loop.errors import QcscLoopError
from qcsc_loop.steps.step import Step, stepping

WORLD = Program("world", "qcsc_hpc.mpi.world")
ECHO = Program("echo", "qcsc_hpc.mpi.echo")
SECONDS = 600  # a queue can be long


def mpi(request: Request) -> Iterator[Finding]:
    """Starts ranks as runs do, in a job whose folder is in the store."""
    where = "" if request.machine == "local" else f" of {request.machine}"
    name = f"MPI on {request.ranks} ranks{where}"
    folder = request.store / f".doctor-{os.getpid()}-job"
    if not where:
        folder = Path(tempfile.mkdtemp(prefix="qcsc-loop-doctor-"))
    try:
        machine = machine_named(request.machine)
        start = _measured if where else _start
        late = asyncio.run(asyncio.wait_for(start(machine, request.ranks, folder), SECONDS))
    except (QcscLoopError, TimeoutError, OSError) as error:
        yield Finding(
            name, False, str(error) or f"no answer in {SECONDS} s", _cure(request.machine)
        )
    else:
        launcher = launcher_path(machine.where, machine.how.launcher)
        yield Finding(name, True, launcher)
        if where:
            yield Finding(f"store: seen by the nodes{where}", True, str(request.store))
        if late is not None:
            name, cure = (
                f"store: delay between here and the nodes{where}",
                "choose another disk for --store",
            )
            yield Finding(name, late.is_bearable, str(late), "" if late.is_bearable else cure)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _start(
    machine: Machine, ranks: int, folder: Path, program: Program = WORLD
) -> Lateness | None:
    step = replace(Step(), name="doctor", make_folder=lambda: folder)
    with stepping(step):
        # a warm job would stay until it is idle
        alone = machine.model_copy(update={"placement": "job"})
        await alone.run(program, [], ranks=ranks, collect=lambda _: None)
    return None


async def _measured(machine: Machine, ranks: int, folder: Path) -> Lateness | None:
    """As `_start`; and how late its files are seen, if that was found out before its end."""
    measuring = asyncio.ensure_future(measure_lateness(folder))
    try:
        await _start(machine, ranks, folder, ECHO)
    finally:
        if not measuring.done():
            measuring.cancel()
        await asyncio.wait([measuring])
    return None if measuring.cancelled() else measuring.result()


def _cure(machine: str) -> str:
    if machine != "local":
        return (
            "look at its profiles, and at the job's files; --store is a folder that the nodes see"
        )
    launcher = launcher_path(LocalMachine().where, "mpiexec")
    return f"reinstall the MPI beside this Python: pip install --force-reinstall mpich ({launcher})"
