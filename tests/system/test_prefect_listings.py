"""Prefect's own listings work with the versions that are installed beside it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from system.server import PrefectServer

LISTINGS = (
    "artifact",
    "automation",
    "block",
    "concurrency-limit",
    "deployment",
    "flow",
    "flow-run",
    "global-concurrency-limit",
    "variable",
    "work-pool",
)


@pytest.mark.server
@pytest.mark.parametrize("what", LISTINGS)
def test_a_person_can_list_what_a_server_has(
    what: str, server: PrefectServer, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "prefect", what, "ls"],
        env={**os.environ, **server.settings, "PREFECT_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr + done.stdout
