"""The optimiser beside its controls, at one subspace dimension: does it earn its QPU time?

Differential evolution that is compared with fixed parameters at whatever dimension each reaches
compares dimensions. So every arm is run twice: as it is, and at the largest number of strings
that all of them reach.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import median

import numpy as np

from qcsc_algorithms.sqd.sqd import SQD
from qcsc_loop.parameters.build import build, merge
from qcsc_loop.rules.stop import MaxIterations
from qcsc_loop.store.directory import DirectoryStore

ARMS = ("de", "perturb", "random", "fixed")
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Finished:
    """One run's end.

    Attributes:
        energy: the lowest, in hartree.
        exact: FCI; NaN where it is not known.
        strings: of its last iteration.
        shots: all it took; an arm without a circuit takes random bits instead.
    """

    arm: str
    seed: int
    energy: float
    exact: float
    strings: int
    shots: float


@dataclass(frozen=True)
class Row:
    """One arm's seeds. Energies in hartree."""

    arm: str
    median: float
    lowest: float
    highest: float
    above_exact: float
    strings: float
    shots: float


@dataclass(frozen=True)
class Comparison:
    """What the runs came to.

    Attributes:
        limit: strings that were allowed at first.
        matched_limit: strings that all arms reach.
        free, matched: rows of the arms at either limit; the same where all reach the first.
        wins: arm to the seeds in which its energy is below the first arm's at the matched limit.
        seeds: how many there were.
    """

    limit: int
    matched_limit: int
    free: list[Row]
    matched: list[Row]
    wins: dict[str, int]
    seeds: int


async def compare(
    sqd: SQD,
    *,
    store: DirectoryStore,
    arms: Sequence[str] = ARMS,
    seeds: int = 3,
    iterations: int = 4,
    progress: Progress = lambda done, total, run_id: None,
) -> Comparison:
    """Runs every arm with every seed, as they are and dimension-matched.

    The runs have names of their own in the store: called again, what is finished is read.

    Args:
        progress: is told how many runs of how many are done, and which is next.

    Raises:
        InvalidParameters: an arm does not go with the parameters.
    """
    free = await _all(sqd, store, arms, seeds, iterations, progress, 0)
    reached = min(median(run.strings for run in free if run.arm == arm) for arm in arms)
    limit = max(1, int(reached))
    matched = free
    if any(run.strings > limit for run in free):
        small = build(SQD, merge(json.loads(sqd.model_dump_json()), {"max_strings": limit}))
        matched = await _all(small, store, arms, seeds, iterations, progress, len(free))
    return Comparison(
        limit=sqd.max_strings,
        matched_limit=limit,
        free=list(_rows(free, arms)),
        matched=list(_rows(matched, arms)),
        wins=_wins(matched, arms),
        seeds=seeds,
    )


async def _all(
    sqd: SQD,
    store: DirectoryStore,
    arms: Sequence[str],
    seeds: int,
    iterations: int,
    progress: Progress,
    before: int,
) -> list[Finished]:
    found: list[Finished] = []
    total = before + len(arms) * seeds
    for arm, seed in product(arms, range(seeds)):
        one = build(SQD, merge(json.loads(sqd.model_dump_json()), {"optimizer": arm}))
        run_id = f"sqd-compare-{_fingerprint(one)}-{arm}-{seed}"
        progress(before + len(found), total, run_id)
        outcome = await one.run(
            store=store, run_id=run_id, seed=seed, stop=MaxIterations(iterations)
        )
        state = outcome.state
        found.append(
            Finished(
                arm=arm,
                seed=seed,
                energy=state.energy,
                exact=state.references.fci,
                strings=state.strings,
                shots=outcome.usage.get("shots", 0.0),
            )
        )
    progress(total, total, "")
    return found


def _fingerprint(sqd: SQD) -> str:
    """Of what the runs are: those of other parameters are other runs."""
    return hashlib.sha256(sqd.model_dump_json(exclude={"machine"}).encode()).hexdigest()[:8]


def _rows(runs: Sequence[Finished], arms: Sequence[str]) -> Iterator[Row]:
    for arm in arms:
        own = [run for run in runs if run.arm == arm]
        energies = [run.energy for run in own]
        yield Row(
            arm=arm,
            median=median(energies),
            lowest=min(energies),
            highest=max(energies),
            above_exact=median(energies) - own[0].exact,
            strings=median(run.strings for run in own),
            shots=median(run.shots for run in own),
        )


def _wins(runs: Sequence[Finished], arms: Sequence[str]) -> dict[str, int]:
    by_arm = {arm: np.array([run.energy for run in runs if run.arm == arm]) for arm in arms}
    return {arm: int(np.sum(by_arm[arm] < by_arm[arms[0]])) for arm in arms[1:]}
