"""Does MPI start here, and give the ranks that were asked for?"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

from qcsc_hpc.local import LocalMachine, launcher
from qcsc_loop.doctor import Finding, Request
from qcsc_loop.errors import ProgramFailed

SECONDS = 60


def mpi(request: Request) -> Iterator[Finding]:
    """Starts ranks with the launcher that runs use."""
    name = f"MPI on {request.ranks} ranks"
    with tempfile.TemporaryDirectory() as folder:
        try:
            asyncio.run(asyncio.wait_for(_start(request.ranks, Path(folder)), SECONDS))
        except (ProgramFailed, TimeoutError) as error:
            cure = f"reinstall the MPI beside this Python: pip install --force-reinstall mpich ({launcher()})"
            yield Finding(name, False, str(error) or f"no answer in {SECONDS} s", cure)
        else:
            yield Finding(name, True, str(launcher()))


async def _start(ranks: int, folder: Path) -> None:
    await LocalMachine().run("qcsc_hpc.mpi.world", [str(ranks)], ranks=ranks, folder=folder)
