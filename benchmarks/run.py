"""Runs the benchmarks, or those that are named: `python benchmarks/run.py [SUBJECT…]`.

What they measure becomes docs/benchmarks.md. The long ones are run only if they are named.

A benchmark informs: the exit code is 0 whether targets are met or not, and 1 if one breaks.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # as a script it sees its own folder alone

from benchmarks.table import FIGURES, keep  # noqa: E402  # after that

SUBJECTS = (
    "overhead",
    "long_runs",
    "many_runs",
    "many_loops",
    "many_jobs",
    "load",
    "resume",
    "start_up",
    "counting",
    "codec",
    "samples",
    "slurm_jobs",
    "fifty_jobs",
    "thousand_elements",
    "recovery",
    "sqd",
    "sqd_addon",
    "solvers",
    "events",
    "warm",
)
LONG = ("largest",)  # half an hour and more: only where it is named


def main() -> int:
    """Runs each subject in a process of its own, so that none measures another's memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    every = [*SUBJECTS, *LONG]
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help=", ".join(every))
    chosen: list[str] = parser.parse_args().subjects or list(SUBJECTS)
    if unknown := [name for name in chosen if name not in every]:
        parser.error(f"no such subject: {', '.join(unknown)}; there are {', '.join(every)}")
    broken = [name for name in chosen if _run(name) != 0]
    if broken:
        print(f"broken: {', '.join(broken)}", file=sys.stderr)
    return 1 if broken else 0


def _run(subject: str) -> int:
    with tempfile.TemporaryDirectory() as folder:
        figures = Path(folder, "figures.jsonl")
        figures.touch()
        words = [sys.executable, "-m", f"benchmarks.{subject}"]
        known = {**os.environ, FIGURES: str(figures)}
        code = subprocess.run(words, check=False, cwd=ROOT, env=known).returncode
        if code == 0 and figures.stat().st_size:
            keep(subject, figures)
    return code


if __name__ == "__main__":
    sys.exit(main())
