"""Does MPI start, give the ranks that were asked for, and do the machine's nodes see the store?"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from qcsc_hpc.cli.rendering import machine_named
from qcsc_hpc.machine import LocalMachine, Machine, Program
from qcsc_hpc.script.launchers import launcher_path
from qcsc_loop.doctor import Finding, Request
from qcsc_loop.errors import QcscLoopError
from qcsc_loop.steps.step import Step, stepping

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
        asyncio.run(asyncio.wait_for(_start(machine, request.ranks, folder), SECONDS))
    except (QcscLoopError, TimeoutError, OSError) as error:
        yield Finding(
            name, False, str(error) or f"no answer in {SECONDS} s", _cure(request.machine)
        )
    else:
        launcher = launcher_path(machine.where, machine.how.launcher)
        yield Finding(name, True, launcher)
        if where:
            yield Finding(f"store: seen by the nodes{where}", True, str(request.store))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _start(machine: Machine, ranks: int, folder: Path) -> None:
    step = replace(Step(), name="doctor", make_folder=lambda: folder)
    with stepping(step):
        world = Program("world", "qcsc_hpc.mpi.world")
        # a warm job would stay until it is idle
        alone = machine.model_copy(update={"placement": "job"})
        await alone.run(world, [], ranks=ranks, collect=lambda _: None)


def _cure(machine: str) -> str:
    if machine != "local":
        return (
            "look at its profiles, and at the job's files; --store is a folder that the nodes see"
        )
    launcher = launcher_path(LocalMachine().where, "mpiexec")
    return f"reinstall the MPI beside this Python: pip install --force-reinstall mpich ({launcher})"
