"""A thousand jobs of one step as one array, on a real Slurm: what it and the login node feel.

Each sleeps for some seconds; every tenth fails with a code of its own. The cluster runs sixteen at a
time. Commands are counted as in `fifty_jobs`.
"""

from __future__ import annotations

from functools import partial

from benchmarks.fifty_jobs import (
    Fifty,
    Measured,
    commands,
    counting,
    cpu,
    expected,
    measure,
    outcome,
)
from benchmarks.figures import Figure, Target, show
from benchmarks.own_slurm import own_slurm
from qcsc_hpc.profiles import HPCProfile
from qcsc_loop import run_parts

JOBS = 1000
SITE = HPCProfile(scheduler="slurm", array=True)


class Thousand(Fifty):
    """One iteration, whose parts ask for a job each."""

    async def evaluate(self, state: object, samples: int) -> list[tuple[str, int]]:
        parts = {str(number): partial(outcome, number, SITE) for number in range(JOBS)}
        found = await run_parts(parts, tuple[str, int], limit=JOBS)
        return [value for value in found.values() if value is not None]


def figures() -> list[Figure]:
    """Outcomes, submissions, commands and CPU time."""
    with own_slurm() as folder:
        if folder is None:
            return []
        log = counting(folder / "counting")
        measured = measure(Thousand(), folder / "store", log)
    print(measured.names)
    return [*_outcomes(measured), *_submissions(measured), *commands(measured), *cpu(measured)]


def _outcomes(measured: Measured) -> list[Figure]:
    wanted = map(expected, range(JOBS))
    right = sum(found == one for found, one in zip(measured.results, wanted, strict=True))
    return [Figure("right outcomes", right, "jobs", "elements", JOBS, Target("all", right == JOBS))]


def _submissions(measured: Measured) -> list[Figure]:
    count = sum(name == "sbatch" for _, name in measured.commands)
    return [Figure("submissions", count, "", "elements", JOBS)]


if __name__ == "__main__":
    if measured := figures():
        show(f"{JOBS} elements of an array on a real Slurm", measured)
