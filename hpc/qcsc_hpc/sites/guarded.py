"""The driver's side of the guardian of its local jobs."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import weakref
from contextlib import suppress

from anyio import to_thread
from anyio.lowlevel import RunVar

from qcsc_hpc.sites import guardian
from qcsc_loop.concurrency.per_event_loop import of_this_loop

_guardians: RunVar[dict[int, Guardian]] = RunVar("qcsc_hpc_guardians")


class Guardian:
    """Of one event loop's local jobs; ends with it, or with this process, however that ends."""

    def __init__(self) -> None:
        theirs, self._ours = os.pipe()
        try:
            # it returns as soon as the guardian is there, which is no child of ours
            subprocess.run(
                [sys.executable, "-I", "-S", guardian.__file__, str(os.getpid())],
                stdin=theirs,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=True,
            )
        finally:
            os.close(theirs)
        weakref.finalize(self, os.close, self._ours)

    def begin(self) -> str:
        """A new job's token, which is to be in its environment."""
        token = secrets.token_hex(16)
        self._say(f"+{token}\n")
        return token

    def end(self, token: str) -> None:
        """The job is over: what it has left is ended, behind the driver's back."""
        self._say(f"-{token}\n")

    def _say(self, line: str) -> None:
        with suppress(OSError):  # somebody has killed it: jobs go on without
            os.write(self._ours, line.encode())


async def guardian_here() -> Guardian:
    """This event loop's, in this process."""
    known, me = of_this_loop(_guardians), os.getpid()  # a fork has its parent's
    if me not in known:
        known.setdefault(me, await to_thread.run_sync(Guardian))
    return known[me]
