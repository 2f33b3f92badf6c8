"""How long a person waits for the command line, and for the first iteration of a run."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

from benchmarks.figures import Figure, at_most, medians, seconds, show

REPEATS = 9
STARTS = 3  # of the interpreter: what a person takes for at once
RUNS = 5  # the best of them: whatever else a machine does only adds
HALF = 0.5


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
        *_first_iterations(command),
        Figure("qcsc-loop --help", found["help"], "s", "python -c pass", found["bare"], target),
        Figure("qcsc-loop --help", found["help"], "s", "import click", found["click"]),
        Figure("qcsc-loop --help", found["help"], "s", "import prefect", found["prefect"]),
        Figure("qcsc-loop run --help", found["command"], "s", "python -c pass", found["bare"]),
    ]


def _first_iterations(command: str) -> list[Figure]:
    """From `qcsc-loop run` to the first committed iteration: beside its server's start, and after it.

    A run whose id a person chose may be one that the server knows, and waits for it, as every run
    once did.
    """
    with tempfile.TemporaryDirectory() as home:
        store = Path(home, "store")
        environment = {
            **{n: v for n, v in os.environ.items() if not n.startswith("PREFECT_")},
            "PREFECT_HOME": home,
            "QCSC_LOOP_STORE": str(store),
            "QCSC_LOOP_SERVER": str(Path(home, "no-server")),
        }

        def first(*words: str) -> float:
            return _until_committed([command, "run", "bitcount", *words], store, environment)

        first()  # makes the server's database
        ways = {"beside": (), "after": ("--run-id",), "none": ("--no-prefect",)}
        best = dict.fromkeys(ways, float("inf"))
        for _ in range(RUNS):
            for way, words in ways.items():
                named = [secrets.token_hex(4)] if way == "after" else []
                best[way] = min(best[way], first(*words, *named))
    target = at_most(HALF, best["beside"] / best["after"], " of it")
    what, after = "first iteration, server beside", "server first"
    return [
        Figure(what, best["beside"], "s", after, best["after"], target),
        Figure(what, best["beside"], "s", "--no-prefect", best["none"]),
    ]


def _until_committed(command: list[str], store: Path, environment: dict[str, str]) -> float:
    """Seconds until a new run has committed its first iteration; the run goes on to its end."""
    there = set(store.glob("*/history.jsonl"))
    began = time.perf_counter()
    words = [*command, "--max-iterations", "1"]
    with subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL) as run:
        while not any(map(_has_first, set(store.glob("*/history.jsonl")) - there)):
            if run.poll() is not None:
                raise RuntimeError(f"{' '.join(words)}: exit code {run.returncode}")
            time.sleep(0.005)
        return time.perf_counter() - began


def _has_first(history: Path) -> bool:
    lines = history.read_text().splitlines()
    return any(line.endswith("}") and json.loads(line)["iteration"] == 1 for line in lines)


if __name__ == "__main__":
    show("Start-up", figures())
