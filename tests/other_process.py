"""Running a few lines of Python in a process of their own, where nothing of this one is left."""

from __future__ import annotations

import os
import subprocess
import sys


def printed_by(code: str, *arguments: str, **environment: str) -> str:
    """What the code prints, without the last line's end; its arguments are `sys.argv[1:]`."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
