"""A sweep while it goes on, by what its driver tells: a line a member, those that want you first."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from rich.text import Text

from qcsc_loop.events import Event, Trouble
from qcsc_loop.jobs.events import JobChanged
from qcsc_loop.loop.events import IterationCommitted, PhaseStarted, StepRetried, StepStarted
from qcsc_loop.loop.warnings import warning_of
from qcsc_loop.printing import printable
from qcsc_loop.reports.phrases import elapsed, exact, one_line
from qcsc_loop.reports.words import amount, in_letters
from qcsc_loop.rules.reason import stop_sentence
from qcsc_loop.sweeping.events import (
    MemberBegan,
    MemberEnded,
    MemberEvent,
    MemberFailed,
    MemberWaits,
    SettingsStopped,
)
from qcsc_loop.sweeping.plan import Member, Plan
from qcsc_loop.sweeping.standing import MemberStanding, MemberStatus, Standing

STYLES = {"!": "red", "▸": "cyan", "✓": "green"}


@dataclass(frozen=True)
class MemberLine:
    """What is shown of a member.

    Attributes:
        since: when its phase began, by the monotonic clock; 0: nothing goes on.
    """

    member: Member
    status: MemberStatus = MemberStatus.WAITING
    iteration: int = -1
    headline: str = ""
    value: float = math.nan
    doing: str = ""
    since: float = 0.0
    spent: Mapping[str, float] = field(default_factory=dict[str, float])


class Following:
    """All members' lines, as the driver's events change them. Any thread may ask."""

    def __init__(self, plan: Plan, standing: Standing | None = None) -> None:
        self.plan = plan
        self._lines = {member.run_id: MemberLine(member) for member in plan.members}
        self._lost = dict(standing.lost or {}) if standing is not None else {}
        self._lock = threading.Lock()
        for each in standing.members if standing is not None else ():
            if each.member.run_id in self._lines:
                self._lines[each.member.run_id] = _line_of(each)

    @property
    def lines(self) -> list[MemberLine]:
        """In the sweep's order."""
        with self._lock:
            return list(self._lines.values())

    @property
    def spent(self) -> Counter[str]:
        """By all members that this driver has seen, and by attempts that were ended before."""
        total = Counter(self._lost)
        for line in self.lines:
            total.update(line.spent)
        return total

    def take(self, event: Event) -> str:
        """Takes an event in; the line that it is worth where there is no picture, or empty."""
        with self._lock:
            return self._take(event)

    def _take(self, event: Event) -> str:
        match event:
            case MemberEvent(run_id=run_id, event=own):
                return self._take_own(run_id, own)
            case MemberBegan(run_id=run_id):
                self._change(run_id, status=MemberStatus.RUNNING, doing="starting")
                return ""
            case MemberWaits(run_id=run_id, why=why):
                self._change(run_id, status=MemberStatus.RUNNING, doing="another driver has it")
                return f"{run_id} is waited for: {one_line(why)}"
            case MemberFailed(run_id=run_id, why=why):
                self._change(run_id, status=MemberStatus.FAILED, doing=one_line(why))
                return f"{run_id} failed: {one_line(why)}"
            case MemberEnded():
                return self._take_end(event)
            case SettingsStopped(group=group, rung=rung, settings=settings):
                self._stop(group, settings)
                words = ", ".join(settings) or "nothing"
                return f"rung {rung + 1} of {group}: stopped {words}"
            case _:
                return ""

    def _take_own(self, run_id: str, event: Event) -> str:
        match event:
            case StepStarted(iteration=iteration, step=step):
                self._change(run_id, doing=f"{step} of {iteration}")
            case PhaseStarted(iteration=iteration, doing=doing):
                self._change(run_id, doing=f"{doing} of {iteration}")
            case IterationCommitted(commit=commit, chart=chart):
                name = chart.headline or next(iter(commit.scalars), "")
                self._change(
                    run_id,
                    iteration=commit.iteration,
                    headline=name,
                    value=commit.scalars.get(name, math.nan),
                    spent=dict(commit.spent or {}),
                )
            case JobChanged(remote=True, state=state):
                self._change(run_id, doing=f"job {str(state).lower()}")
            case StepRetried() | Trouble():
                return f"{run_id}: warning: {warning_of(event)}"
            case _:
                pass
        return ""

    def _take_end(self, event: MemberEnded) -> str:
        line = self._lines[event.run_id]
        value = f", {line.headline} {exact(line.value)}" if line.headline else ""
        said = stop_sentence(event.reason, event.iteration, event.because)
        status = MemberStatus.DONE if event.at_rung is None else MemberStatus.BETWEEN
        if event.out_of_budget:
            status = MemberStatus.NO_BUDGET
        self._change(event.run_id, status=status, doing=said)
        return f"{event.run_id}: {said}{value}"

    def _stop(self, group: str, settings: Sequence[str]) -> None:
        for run_id, line in self._lines.items():
            its_own = line.member.group == group and line.member.setting in settings
            if its_own and line.status is not MemberStatus.FAILED:
                self._change(run_id, status=MemberStatus.STOPPED, doing="it could not win any more")

    def _change(self, run_id: str, **changed: object) -> None:
        since = time.monotonic() if "doing" in changed else self._lines[run_id].since
        self._lines[run_id] = replace(self._lines[run_id], **{"since": since, **changed})  # type: ignore[arg-type]


def _line_of(each: MemberStanding) -> MemberLine:
    view = each.view
    return MemberLine(
        member=each.member,
        # nobody goes on with it yet
        status=MemberStatus.WAITING if each.status is MemberStatus.HALTED else each.status,
        iteration=view.iteration if view is not None else -1,
        headline=view.chart.headline if view is not None else "",
        value=view.headline if view is not None else math.nan,
        doing=one_line(each.why),
        spent=view.spent if view is not None else {},
    )


def draw(
    following: Following, *, width: int, height: int, seconds: float, ascii_only: bool = False
) -> list[Text]:
    """The picture of a terminal: two lines of all, then as many members as there is room for."""
    lines = sorted(following.lines, key=lambda line: (_order(line), line.member.run_id))
    head = [_head(following, lines, seconds), _spent(following)]
    head = [text for text in head if text]
    room = max(1, height - len(head))
    shown = lines if len(lines) <= room else lines[: room - 1]
    names = max((len(printable(line.member.run_id)) for line in shown), default=0)
    found = [*head, *(_row(line, min(names, max(12, width - 44))) for line in shown)]
    if left := lines[len(shown) :]:
        found.append(Text(f"  and {len(left)} more: {_counts(left)}", style="dim"))
    for text in found:
        if ascii_only:
            text.plain = in_letters(text.plain)
        text.truncate(width, overflow="ellipsis" if not ascii_only else "crop")
    return found


_FIRST = (
    MemberStatus.FAILED,
    MemberStatus.NO_BUDGET,
    MemberStatus.HALTED,
    MemberStatus.RUNNING,
    MemberStatus.BETWEEN,
    MemberStatus.WAITING,
    MemberStatus.DONE,
    MemberStatus.STOPPED,
)


def _order(line: MemberLine) -> int:
    return _FIRST.index(line.status)


def _head(following: Following, lines: Sequence[MemberLine], seconds: float) -> Text:
    name = following.plan.name
    return Text.assemble(
        (name, "bold"), f"  {len(lines)} members: {_counts(lines)}, {elapsed(seconds)}"
    )


def _counts(lines: Sequence[MemberLine]) -> str:
    counts = Counter(line.status for line in lines)
    return ", ".join(f"{counts[s]} {s}" for s in reversed(_FIRST) if counts[s])


def _spent(following: Following) -> Text:
    """With the budget; empty where nothing is known of either."""
    spent, budget = following.spent, following.plan.budget
    words = [
        amount(name, spent[name]) + (f" of {budget[name]:,.12g}" if name in budget else "")
        for name in dict.fromkeys([*budget, *spent])
        if spent[name] or name in budget
    ]
    return Text("  " + ", ".join(words), style="dim") if words else Text()


def _row(line: MemberLine, names: int) -> Text:
    sign = line.status.sign
    run_id = printable(line.member.run_id)
    name = run_id if len(run_id) <= names else f"{run_id[: names - 1]}…"
    iteration = str(line.iteration) if line.iteration >= 0 else ""
    value = exact(line.value) if line.iteration >= 0 and line.headline else ""
    doing = line.doing if line.status is not MemberStatus.WAITING else ""
    if line.status is MemberStatus.RUNNING and line.since:
        doing = f"{doing} {elapsed(time.monotonic() - line.since)}"
    text = Text(f"{sign} {name:<{names}} {iteration:>5} {value:>14}  {printable(doing)}".rstrip())
    text.stylize(STYLES.get(sign, "dim"), 0, 1)
    if line.status in (MemberStatus.DONE, MemberStatus.WAITING, MemberStatus.STOPPED):
        text.stylize("dim", 1)
    return text
