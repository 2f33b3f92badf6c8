"""This machine, with the MPI that was installed beside Python."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Literal

import anyio
from anyio.abc import Process
from pydantic import Field

from qcsc_hpc.machine import Machine
from qcsc_loop.child import tied_to_this_process
from qcsc_loop.errors import ProgramFailed

TAIL_BYTES = 4000
GRACE_SECONDS = 2.0  # between asking a cancelled program to end and killing it


class LocalMachine(Machine):
    """Ranks on this machine, started by the launcher of the `mpich` wheel.

    They live in a session of their own and die with the driver, however it dies.

    Attributes:
        threads: OpenMP threads per rank.
    """

    type: Literal["local"] = "local"
    threads: int = Field(default=1, ge=1)

    async def run(self, module: str, arguments: Sequence[str], *, ranks: int, folder: Path) -> None:
        name = f"{module} on {ranks} ranks"
        if ranks < 1:  # the launcher would start nothing and report success
            raise ProgramFailed(name, "cannot start: it needs at least 1 rank", "", None)
        # through mpi4py: one rank's exception ends all, where the others would wait for it for ever
        python = [sys.executable, "-m", "mpi4py", "-m", module]
        command = [str(launcher()), "-n", str(ranks), *python, *arguments]
        log = folder / f"{module}.log"
        with log.open("wb") as output:
            code = await _run(command, output.fileno(), self._environment(), name)
        if code != 0:
            how = (
                f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
            )
            raise ProgramFailed(name, how, _tail(log), code)

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "OMP_NUM_THREADS": str(self.threads)}


def launcher() -> Path:
    """The `mpiexec` beside this Python: one from PATH may belong to another MPI."""
    return Path(sys.prefix) / "bin" / "mpiexec"


async def _run(command: list[str], output: int, environment: Mapping[str, str], name: str) -> int:
    if not Path(command[0]).exists():
        raise ProgramFailed(
            name, f"cannot start: there is no {command[0]} (pip install mpich)", "", None
        )
    async with _child(command, output, environment) as process:
        return await process.wait()


@asynccontextmanager
async def _child(
    command: list[str], output: int, environment: Mapping[str, str]
) -> AsyncIterator[Process]:
    """A process in a session of its own, gone as a group when the block is left."""
    process = await anyio.open_process(
        tied_to_this_process(command),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env=environment,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            try:
                _kill_group(process.pid, signal.SIGTERM)
                with anyio.CancelScope(shield=True), anyio.move_on_after(GRACE_SECONDS):
                    await process.wait()
            finally:
                # no await before it: a second Ctrl-C cannot skip it
                _kill_group(process.pid, signal.SIGKILL)
                with anyio.CancelScope(shield=True), anyio.move_on_after(GRACE_SECONDS):
                    await process.wait()


def _kill_group(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, number)


def _tail(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL_BYTES))
        return file.read().decode(errors="replace")
