"""The fake Flux instance as tests see it."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

PROGRAM = Path(__file__).with_name("fake_flux.py")


class FluxInstance:
    """An instance in a folder, whose `flux` is on the PATH that its environment has."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "jobs").mkdir(parents=True)
        (folder / "bin").mkdir()
        program = folder / "bin" / "flux"
        words = shlex.join([sys.executable, "-I", "-S", str(PROGRAM)])
        program.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        program.chmod(0o755)
        # a login shell forgets the PATH that it was given
        (folder / ".bash_profile").write_text(
            f"export PATH={shlex.quote(str(folder / 'bin'))}:$PATH\n"
        )

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to reach it."""
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        return {"PATH": path, "FLUX_URI": f"local://{self.folder}"}

    def job(self, job_id: str) -> dict[str, Any]:
        """What it knows of a job."""
        found: dict[str, Any] = json.loads((self.folder / "jobs" / f"{job_id}.json").read_text())
        return found

    def calls(self, command: str) -> list[dict[str, Any]]:
        """Every call of one of its commands: its words, and the names of its environment."""
        lines = [json.loads(line) for line in (self.folder / "commands").read_text().splitlines()]
        return [line for line in lines if line["words"][0] == command]

    def release(self, job_id: str) -> None:
        """Lets a job start that was submitted with --urgency=hold."""
        (self.folder / "jobs" / f"{job_id}.release").touch()

    def stop(self) -> None:
        """Leaves no process of it."""
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if any(str(self.folder) in word for word in process.cmdline()):
                    os.kill(process.pid, signal.SIGKILL)
