"""How long a person waits for the command line."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from benchmarks.figures import Figure, at_most, medians, seconds, show

REPEATS = 9
STARTS = 3  # of the interpreter: what a person takes for at once


def figures() -> list[Figure]:
    """`qcsc-loop --help` beside an empty Python, and beside the imports that it avoids."""
    command = str(Path(sysconfig.get_path("scripts")) / "qcsc-loop")
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "PREFECT_HOME": home}

        def wall(*words: str) -> float:
            return seconds(
                lambda: subprocess.run(words, env=environment, capture_output=True, check=True)
            )

        measures = {
            "help": lambda: wall(command, "--help"),
            "bare": lambda: wall(sys.executable, "-c", "pass"),
            "click": lambda: wall(sys.executable, "-c", "import click"),
            "command": lambda: wall(command, "run", "--help"),
            "prefect": lambda: wall(sys.executable, "-c", "import prefect"),
        }
        medians(1, measures)  # compiles what was never imported, and fills the disk's cache
        found = medians(REPEATS, measures)
    target = at_most(STARTS, found["help"] / found["bare"], " interpreter starts")
    return [
        Figure("qcsc-loop --help", found["help"], "s", "python -c pass", found["bare"], target),
        Figure("qcsc-loop --help", found["help"], "s", "import click", found["click"]),
        Figure("qcsc-loop --help", found["help"], "s", "import prefect", found["prefect"]),
        Figure("qcsc-loop run --help", found["command"], "s", "python -c pass", found["bare"]),
    ]


if __name__ == "__main__":
    show("Start-up", figures())
