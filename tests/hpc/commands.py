"""Commands of a site that are not as they were, and what accounting says that answers nobody."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

DENIED = ("sacct: error: slurmdbd: Access/permission denied", 1)
DISABLED = ("sacct: command disabled by your administrator", 127)
AWAY = (
    "sacct: error: slurm_persist_conn_open_without_init: failed to open persistent connection to "
    "host:localhost:6819: Connection refused\nsacct: error: Problem talking to the database: "
    "Connection refused",
    1,
)
# places: a real Slurm whose sacct says this to everybody
UNACCOUNTED = {"slurm-denied": DENIED, "slurm-disabled": DISABLED}


class Commands:
    """Commands of a site that are not as they were: a folder at the head of PATH."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder.mkdir()
        self._folder, self._monkeypatch = folder, monkeypatch

    def say(self, name: str, words: str, code: int) -> None:
        """The command says nothing else from now on."""
        new = self._folder / f".{name}"
        new.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{words}\nEND\nexit {code}\n")
        new.chmod(0o755)
        new.rename(self._folder / name)
        path = os.environ["PATH"]
        if not path.startswith(f"{self._folder}:"):
            self._monkeypatch.setenv("PATH", f"{self._folder}:{path}")

    def lose(self, name: str) -> None:
        """There is no such command on PATH from now on."""
        for folder in os.environ["PATH"].split(":"):
            for program in Path(folder).glob("*"):
                link = self._folder / program.name
                if program.name != name and not link.is_symlink():
                    link.symlink_to(program)
        self._monkeypatch.setenv("PATH", str(self._folder))
