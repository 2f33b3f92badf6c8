"""How a sweep stands: read from its records and its runs', and from nothing else."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from qcsc_loop.errors import QcscLoopError, RunNotFound
from qcsc_loop.reports.status import RunStatus
from qcsc_loop.reports.view import RunReader, View
from qcsc_loop.rules.reason import Reason
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.records import EndRecord
from qcsc_loop.sweeping.accounts import DUST
from qcsc_loop.sweeping.plan import Member, Plan
from qcsc_loop.sweeping.sweep_journal import Decision, Ended, Failed, Lost, Stopped, SweepJournal

NOTHING_LEFT = "nothing is left of the sweep's budget"


class SweepStatus(StrEnum):
    """How a sweep stands, in a word."""

    GONE = "driver gone"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    RUNNING = "running"
    NEW = "new"
    INCOMPLETE = "incomplete"  # some members failed, or had no budget
    DONE = "done"

    @property
    def is_trouble(self) -> bool:
        """Whether somebody should look."""
        return self not in (SweepStatus.RUNNING, SweepStatus.NEW, SweepStatus.DONE)


class MemberStatus(StrEnum):
    """How a member stands; in the order of how much it wants a person."""

    FAILED = "failed"
    HALTED = "interrupted"  # its driver is gone, or was told to end
    NO_BUDGET = "no budget left"
    RUNNING = "running"
    BETWEEN = "between rungs"
    WAITING = "waiting"
    STOPPED = "stopped"  # it could not win any more
    DONE = "done"

    @property
    def rank(self) -> int:
        """Low for what wants a person first."""
        return list(MemberStatus).index(self)

    @property
    def sign(self) -> str:
        """A single character for lists."""
        if self.rank <= MemberStatus.NO_BUDGET.rank:
            return "!"
        return {"running": "▸", "done": "✓"}.get(self.value, "·")


@dataclass(frozen=True)
class MemberStanding:
    """A member as it stood.

    Attributes:
        view: its run; None: it has not begun.
        why: what is behind its status, in a few words; empty: nothing is.
    """

    member: Member
    status: MemberStatus
    view: View | None = None
    why: str = ""

    @property
    def has_come(self) -> bool:
        """Whether it is as far as it goes, so that its value may stand beside others'."""
        return self.status in (MemberStatus.DONE, MemberStatus.STOPPED, MemberStatus.BETWEEN)

    @property
    def value(self) -> float:
        """Its best headline so far, or the last where no value is better; NaN: it has none."""
        if self.view is None:
            return math.nan
        return self.view.best.value if self.view.best is not None else self.view.headline


@dataclass(frozen=True)
class Standing:
    """A sweep as it stood when it was looked at.

    Attributes:
        lost: what attempts that were ended in the middle may have spent, at most, by amount.
        stopped: what the halving rule decided, in its order.
        budget_before: the most that there has been of each amount of which more is spent than there is
            now; infinity: it was not bounded.
    """

    plan: Plan
    status: SweepStatus
    members: Sequence[MemberStanding]
    stopped: Sequence[Stopped] = ()
    lost: dict[str, float] | None = None
    end: EndRecord | None = None
    budget_before: Mapping[str, float] = field(default_factory=dict[str, float])

    @property
    def spent(self) -> dict[str, float]:
        """By all members, lost attempts included."""
        total = dict(self.lost or {})
        for each in self.members:
            for name, value in (each.view.spent if each.view is not None else {}).items():
                total[name] = total.get(name, 0.0) + value
        return total

    @property
    def overspent(self) -> dict[str, float]:
        """What was spent of each amount of which there is less than that."""
        spent = self.spent
        return {
            name: spent[name]
            for name, limit in self.plan.budget.items()
            if spent.get(name, 0.0) > limit * (1 + DUST)
        }

    def count(self, *statuses: MemberStatus) -> int:
        """How many members stand so."""
        return sum(each.status in statuses for each in self.members)

    @property
    def sentence(self) -> str:
        """How it stands: '36 members: 30 done, 4 running, 2 failed'."""
        counts = [(s, self.count(s)) for s in reversed(MemberStatus)]
        each = ", ".join(f"{count} {status}" for status, count in counts if count)
        total = len(self.members)
        return f"{total} member{'' if total == 1 else 's'}: {each}"

    @property
    def next_command(self) -> str:
        """What to type next, without `--store`; empty where nothing is left to do."""
        if self.status in (SweepStatus.RUNNING, SweepStatus.DONE):
            return ""
        return f"qcsc-loop sweep {self.plan.name}"

    @property
    def codes(self) -> int:
        """How many versions of the members' code were at work; more than 1 is worth a word."""
        seen: dict[str, set[str]] = {}
        for each in self.members:
            record = each.view.record if each.view is not None else None
            sources = [record.provenance] if record is not None else []
            if each.view is not None and each.view.driver is not None:
                sources.append(each.view.driver.provenance)
            for provenance in sources:
                digest = str(provenance.get("source_sha256"))
                seen.setdefault(each.member.algorithm, set()).add(digest)
        return max(map(len, seen.values()), default=1)


def read_standing(store: DirectoryStore, name: str) -> Standing:
    """How a sweep stands.

    Raises:
        SweepNotFound: the store has no such sweep.
        StoreError: it cannot be read.
    """
    journal = SweepJournal(store, name)
    plan, decisions = journal.plan(), list(journal.decisions())
    is_driven, end = journal.is_driven(), journal.end()
    known = _Known(decisions)
    members = [_member(store, member, known) for member in plan.members]
    standing = Standing(
        plan=plan,
        status=_status(members, is_driven=is_driven, end=end),
        members=members,
        stopped=[line for line in decisions if isinstance(line, Stopped)],
        lost=known.lost,
        end=end,
    )
    if not standing.overspent:
        return standing
    before = list(journal.budgets())
    most = {n: max(b.get(n, math.inf) for b in [plan.budget, *before]) for n in standing.overspent}
    return replace(standing, budget_before=most)


class _Known:
    """Decisions by what they are about; of several the last one."""

    def __init__(self, decisions: Sequence[Decision]) -> None:
        self.ended: dict[str, Ended] = {}
        self.failed: dict[str, Failed] = {}
        self.stopped: dict[tuple[str, str], int] = {}
        self.lost: dict[str, float] = {}
        for line in decisions:
            match line:
                case Ended(run_id=run_id):
                    self.ended[run_id] = line
                    self.failed.pop(run_id, None)
                case Failed(run_id=run_id):
                    self.failed[run_id] = line
                case Stopped(group=group, rung=rung, settings=settings):
                    self.stopped |= {(group, setting): rung for setting in settings}
                case Lost(amounts=amounts):
                    for name, value in amounts.items():
                        self.lost[name] = self.lost.get(name, 0.0) + value
                case _:
                    pass


def _member(store: DirectoryStore, member: Member, known: _Known) -> MemberStanding:
    try:
        view: View | None = RunReader(store, member.run_id).look()
    except RunNotFound:
        view = None
    except (QcscLoopError, OSError) as error:
        return MemberStanding(member, MemberStatus.FAILED, None, str(error))
    status, why = _member_status(member, view, known)
    return MemberStanding(member, status, view, why)


def _member_status(member: Member, view: View | None, known: _Known) -> tuple[MemberStatus, str]:
    if view is not None and view.status is RunStatus.RUNNING:
        return MemberStatus.RUNNING, ""
    if (failed := known.failed.get(member.run_id)) is not None:
        return MemberStatus.FAILED, failed.why
    if (rung := known.stopped.get((member.group, member.setting))) is not None:
        return MemberStatus.STOPPED, f"at rung {rung + 1}: it could not win any more"
    ended = known.ended.get(member.run_id)
    if ended is not None and ended.granted:
        return MemberStatus.NO_BUDGET, ended.why or NOTHING_LEFT
    return (MemberStatus.WAITING, "") if view is None else _of_run(view, ended)


def _of_run(view: View, ended: Ended | None) -> tuple[MemberStatus, str]:
    """Of a run that has begun, and that no decision but its end is about."""
    if view.status in (RunStatus.FAILED, RunStatus.DAMAGED, RunStatus.NEWER):
        return MemberStatus.FAILED, view.fact or view.trouble
    if view.status in (RunStatus.GONE, RunStatus.INTERRUPTED):
        return MemberStatus.HALTED, str(view.status)
    if ended is None:
        return MemberStatus.WAITING, ""
    at_rung = ended.rung >= 0 and not ended.is_own_end
    return (MemberStatus.BETWEEN if at_rung else MemberStatus.DONE), str(view.status)


def _status(
    members: Sequence[MemberStanding], *, is_driven: bool, end: EndRecord | None
) -> SweepStatus:
    if is_driven:
        return SweepStatus.RUNNING
    statuses = {each.status for each in members}
    if statuses <= {MemberStatus.DONE, MemberStatus.STOPPED}:
        return SweepStatus.DONE
    if end is None:
        return SweepStatus.NEW if statuses == {MemberStatus.WAITING} else SweepStatus.GONE
    if end.reason is Reason.INTERRUPTED:
        return SweepStatus.INTERRUPTED
    if end.reason is Reason.FAILED:
        return SweepStatus.FAILED
    return SweepStatus.INCOMPLETE
