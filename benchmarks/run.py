"""Runs the benchmarks, all or those that are named: `python benchmarks/run.py [SUBJECT…]`.

A benchmark informs: the exit code is 0 whether targets are met or not, and 1 if one breaks.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

SUBJECTS = (
    "overhead",
    "long_runs",
    "resume",
    "start_up",
    "counting",
    "codec",
    "samples",
    "slurm_jobs",
    "fifty_jobs",
    "recovery",
    "sqd",
    "sqd_addon",
    "solvers",
    "events",
    "warm",
)


def main() -> int:
    """Runs each subject in a process of its own, so that none measures another's memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help=", ".join(SUBJECTS))
    chosen: list[str] = parser.parse_args().subjects or list(SUBJECTS)
    if unknown := [name for name in chosen if name not in SUBJECTS]:
        parser.error(f"no such subject: {', '.join(unknown)}; there are {', '.join(SUBJECTS)}")
    broken = [name for name in chosen if _run(name) != 0]
    if broken:
        print(f"broken: {', '.join(broken)}", file=sys.stderr)
    return 1 if broken else 0


def _run(subject: str) -> int:
    return subprocess.run([sys.executable, "-m", f"benchmarks.{subject}"], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
