"""Running a few lines of Python as another user of this machine, who is nobody."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

NOBODY = 65534

# the interpreter and what the code imports may be where that user cannot look
_BECOME = f"""
import encodings.idna, json, os, pathlib, stat, sys, urllib.error, urllib.request
os.setgroups([])
os.setgid({NOBODY})
os.setuid({NOBODY})
"""


def printed_by_nobody(code: str, *arguments: str) -> str:
    """What the code prints when that user runs it; `json`, `os`, `pathlib`, `stat` and `urllib`
    are imported."""
    if os.geteuid() != 0:
        pytest.skip("to act as another user needs root")
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _BECOME + code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
