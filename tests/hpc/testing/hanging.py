"""Commands of a fake batch system that do not answer."""

from __future__ import annotations

import os
import subprocess

import pytest

from qcsc_hpc.testing import FakeBatchSystem
from waiting import until

MOMENT_SECONDS = 0.2


def cut_off(system: FakeBatchSystem, *argv: str) -> None:
    """Kills a command that the system has heard, and that has no answer a moment later."""
    before = len(system.commands())
    process = subprocess.Popen(
        argv,
        cwd=system.folder,
        env={**os.environ, **system.environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with process:
        try:
            # what strikes the command has struck it by then
            until(lambda: len(system.commands()) > before, "the system hears of the command")
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(MOMENT_SECONDS)
        finally:
            process.kill()
