"""A scheduler's commands: off the event loop, each with a time-out, few in a second."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import anyio

from qcsc_hpc.schedulers.scheduler import Answer
from qcsc_loop.child import tied_to_this_process
from qcsc_loop.errors import JobRefused, SiteUnreachable

COMMANDS_A_SECOND = 4  # login nodes are shared, and schedulers hold locks while they answer


class Commands:
    """Runs one site's commands in the order they are asked for.

    Args:
        title: the site, for messages.
        timeout: seconds after which a command counts as unanswered.
    """

    def __init__(self, title: str, timeout: float) -> None:
        self._title, self._timeout = title, timeout
        self._starts: deque[float] = deque(maxlen=COMMANDS_A_SECOND)
        self._turn = anyio.Lock()

    async def ask(
        self, argv: Sequence[str], *, folder: Path | None = None, tied: bool = False
    ) -> Answer:
        """What the command says, whatever its exit code.

        Args:
            folder: where it runs.
            tied: it dies with this process, however that dies.

        Raises:
            JobRefused: there is no such command here.
            SiteUnreachable: it gave no answer in time.
        """
        program = next(word for word in argv if "=" not in word and word != "env")
        if shutil.which(program) is None:
            why = f"there is no {program} on PATH; run on a login node of the machine"
            raise JobRefused(self._title, "scheduler", why)
        await self._pause()
        words = tied_to_this_process([*argv]) if tied else [*argv]
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            env={**os.environ, "LC_ALL": "C.UTF-8"},  # words are parsed
            start_new_session=True,  # a Ctrl-C at the terminal is not meant for it
        )
        try:
            async with asyncio.timeout(self._timeout):
                out, err = await process.communicate()
        except TimeoutError:
            why = f"{program} gave no answer in {self._timeout:g} s"
            raise SiteUnreachable(self._title, why) from None
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        return Answer(
            argv,
            process.returncode or 0,
            out.decode(errors="replace"),
            err.decode(errors="replace"),
        )

    async def _pause(self) -> None:
        """Waits until one more command in this second is not one too many."""
        async with self._turn:
            if len(self._starts) == self._starts.maxlen:
                await anyio.sleep(max(0.0, self._starts[0] + 1.0 - time.monotonic()))
            self._starts.append(time.monotonic())
