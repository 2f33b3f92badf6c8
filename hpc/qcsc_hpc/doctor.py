"""Does MPI start here, and give the ranks that were asked for?"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from qcsc_hpc.launchers import launcher_path
from qcsc_hpc.machine import LocalMachine, Program
from qcsc_loop.doctor import Finding, Request
from qcsc_loop.errors import QcscLoopError

SECONDS = 60


def mpi(request: Request) -> Iterator[Finding]:
    """Starts ranks with the launcher that runs use."""
    name = f"MPI on {request.ranks} ranks"
    launcher = launcher_path(LocalMachine().where, "mpiexec")
    try:
        asyncio.run(asyncio.wait_for(_start(request.ranks), SECONDS))
    except (QcscLoopError, TimeoutError) as error:
        cure = f"reinstall the MPI beside this Python: pip install --force-reinstall mpich ({launcher})"
        yield Finding(name, False, str(error) or f"no answer in {SECONDS} s", cure)
    else:
        yield Finding(name, True, launcher)


async def _start(ranks: int) -> None:
    world = Program("world", "qcsc_hpc.mpi.world")
    await LocalMachine().run(world, [], ranks=ranks, collect=lambda _: None)
