"""The optimiser beside its controls, at one subspace dimension: does it earn its QPU time?

Differential evolution that is compared with fixed parameters at whatever dimension each reaches
compares dimensions. So the arms are two sweeps: as they are, and at the largest number of strings
that every member reaches; and it is looked afterwards that all did. Two arms take no shot: whoever
claims something of a circuit's samples has to be below the strings that a classical method chooses.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import mean, median

from anyio import to_thread

from qcsc_algorithms.sqd.chemistry.reference import set_up
from qcsc_algorithms.sqd.sample_based import computed_of
from qcsc_algorithms.sqd.sqd import SQD
from qcsc_loop.parameters.compare import to_plain
from qcsc_loop.plain import Json
from qcsc_loop.reports.listing import plain_number
from qcsc_loop.reports.view import View
from qcsc_loop.rules.stop import MaxIterations
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.sweeping.composing import Group, compose
from qcsc_loop.sweeping.facts import Number, PairedFacts, facts_of
from qcsc_loop.sweeping.plan import Choice, Plan
from qcsc_loop.sweeping.running import Manner, run_sweep
from qcsc_loop.sweeping.signed_rank import least_pairs
from qcsc_loop.sweeping.standing import Standing, SweepStatus, read_standing
from qcsc_loop.sweeping.summary import Row, claim, rows_of
from qcsc_loop.sweeping.sweep_journal import SweepJournal

ARMS: dict[str, Json] = {
    "de": {"type": "de"},
    "de-anew": {"type": "de", "selection": "anew"},
    "perturb": {"type": "perturb"},
    "random": {"type": "random"},
    "fixed": {"type": "fixed"},
    "cisd": {"type": "cisd"},
    "hci": {"type": "hci"},
}
AT_ONCE = 2  # members that diagonalise on one machine
TIMES = 3  # that a smaller limit is tried, where fewer strings make a member reach fewer still


@dataclass(frozen=True)
class Arms:
    """One sweep of the comparison.

    Attributes:
        limit: strings that were allowed.
    """

    limit: int
    standing: Standing

    @cached_property
    def rows(self) -> list[Row]:
        """A row an arm."""
        return rows_of(self.standing)

    @property
    def name(self) -> str:
        """The sweep's, for `sweep show` and its like."""
        return self.standing.plan.name

    def strings(self, arm: str = "") -> list[float]:
        """Of the last iteration of each member of an arm; of all members."""
        views = self._views(arm)
        return [value for view in views if math.isfinite(value := view.history.last("strings"))]

    def taken(self, arm: str) -> float:
        """The share of an arm's trials that were better than what their walkers had before.

        Of the second iteration and later ones; NaN of an arm that has none. A selection that takes
        as many trials as an arm in which they are never used selects nothing.
        """
        shares = [
            better / float(each.member.parameters["walkers"])
            for each in self.standing.members
            if each.view is not None and each.member.setting == arm
            for iteration, better in zip(
                each.view.history.iterations,
                each.view.history.scalars.get("improved", ()),
                strict=False,
            )
            if iteration > 1
        ]
        return mean(shares) if shares else math.nan

    def _views(self, arm: str) -> list[View]:
        return [
            each.view
            for each in self.standing.members
            if each.view is not None and arm in ("", each.member.setting)
        ]

    @property
    def is_matched(self) -> bool:
        """Whether all members have one number of strings."""
        return len(set(self.strings())) == 1


@dataclass(frozen=True)
class ArmFacts:
    """An arm at one limit.

    Attributes:
        above_exact: the median's distance from FCI; None where that is not known.
        strings: the median of the members'.
        taken: the share of trials that were better than what their walkers had; NaN: it has none.
        paired: beside the first arm, seed by seed; None of the first.
    """

    arm: str
    median: Number
    lowest: Number
    highest: Number
    above_exact: Number | None
    strings: float
    shots: float
    taken: Number
    paired: PairedFacts | None


@dataclass(frozen=True)
class ComparisonFacts:
    """What the arms came to, for programs.

    Attributes:
        limit, matched_limit: strings of each spin at most.
        seeds_at_least: with fewer no difference, however clear, can be claimed.
        sweeps: the names under which the store has them.
    """

    limit: int
    matched_limit: int
    dimension_matched: bool
    free: list[ArmFacts]
    matched: list[ArmFacts]
    wins: dict[str, int]
    seeds: int
    seeds_at_least: int
    claims: list[str]
    sweeps: dict[str, str]


@dataclass(frozen=True)
class Comparison:
    """What the arms came to.

    Attributes:
        free: at the limit that was asked for.
        matched: at the largest that every member reaches; the same where that is the first.
        seeds: how many there are, of earlier calls included.
    """

    free: Arms
    matched: Arms
    seeds: int

    @property
    def wins(self) -> dict[str, int]:
        """Arm to the seeds in which its energy is below the first arm's, at the matched limit."""
        paired = {row.setting: row.against for row in self.matched.rows if row.against is not None}
        return {arm: against.paired.below for arm, against in paired.items()}

    @property
    def seeds_at_least(self) -> int:
        """With fewer seeds than these no difference, however clear, can be claimed."""
        return least_pairs(max(1, len(self.matched.rows) - 1))

    @property
    def is_done(self) -> bool:
        """Whether every member came to its end."""
        return all(a.standing.status is SweepStatus.DONE for a in (self.free, self.matched))

    def facts(self) -> ComparisonFacts:
        """For programs."""
        return ComparisonFacts(
            limit=self.free.limit,
            matched_limit=self.matched.limit,
            dimension_matched=self.matched.is_matched,
            free=_facts(self.free),
            matched=_facts(self.matched),
            wins=self.wins,
            seeds=self.seeds,
            seeds_at_least=self.seeds_at_least,
            claims=[claim(row) for row in self.matched.rows if row.against is not None],
            sweeps={"free": self.free.name, "matched": self.matched.name},
        )


async def compare(
    sqd: SQD,
    *,
    store: DirectoryStore,
    arms: Sequence[str] = tuple(ARMS),
    seeds: int = 3,
    iterations: int = 4,
    manner: Callable[[Plan], Manner] = lambda _plan: Manner(),
) -> Comparison:
    """Runs every arm with every seed, as they are and dimension-matched.

    Both are sweeps with names of their own in the store: called again, what is finished is read, and
    more seeds are added to those that there are.

    Args:
        manner: how a sweep is driven, once it is known.

    Raises:
        InvalidParameters: an arm does not go with the parameters.
        InputError: the system cannot be set up.
        QcscLoopError: all that `run_sweep` raises.
    """
    await computed_of(sqd.system, set_up)  # once, before every member fails by itself
    name = f"sqd-compare-{_fingerprint(sqd, arms)}"

    async def run(limit: int, name: str) -> Arms:
        plan = await to_thread.run_sync(_plan, sqd, name, store, arms, seeds, iterations, limit)
        await run_sweep(plan, store, manner(plan))
        return Arms(limit, await to_thread.run_sync(read_standing, store, name))

    free = matched = await run(sqd.max_strings, name)
    for _ in range(TIMES):
        least = int(min(matched.strings(), default=matched.limit))
        if matched.is_matched or not least > 0:
            break
        matched = await run(least, f"{name}-{least}")
    return Comparison(free, matched, len({m.member.seed for m in free.standing.members}))


def _plan(
    sqd: SQD,
    name: str,
    store: DirectoryStore,
    arms: Sequence[str],
    seeds: int,
    iterations: int,
    limit: int,
) -> Plan:
    journal = SweepJournal(store, name)
    before = [member.seed for member in journal.plan().members] if journal.exists() else []
    group = Group(
        name="sqd",
        kind=type(sqd),
        parameters={**to_plain(sqd), "max_strings": limit},
        choices=[
            Choice({"optimizer": ARMS.get(arm, arm)}, {"optimizer": arm}, arm) for arm in arms
        ],
        seeds=range(max(seeds, max(before, default=-1) + 1)),
        stop=MaxIterations(iterations),
        baseline=arms[0],
    )
    return compose(name, [group], where=lambda *_: "sqd-compare", at_once=AT_ONCE)


def _fingerprint(sqd: SQD, arms: Sequence[str]) -> str:
    """Of what the runs are: those of other parameters are other runs."""
    words = sqd.model_dump_json(exclude={"machine", "optimizer"}) + ",".join(arms)
    return hashlib.sha256(words.encode()).hexdigest()[:8]


def _facts(arms: Arms) -> list[ArmFacts]:
    paired = {row.setting: row.paired for row in facts_of(arms.standing).rows}
    return [
        ArmFacts(
            arm=row.setting,
            median=plain_number(row.value),
            lowest=plain_number(row.lowest),
            highest=plain_number(row.highest),
            above_exact=plain_number(row.above) if row.reference == "FCI" else None,
            strings=median(arms.strings(row.setting) or [0.0]),
            shots=row.spent["shots"],
            taken=plain_number(arms.taken(row.setting)),
            paired=paired[row.setting],
        )
        for row in arms.rows
    ]
