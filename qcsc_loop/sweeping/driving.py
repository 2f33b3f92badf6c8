"""A sweep on its way: its members side by side, each to its end or to the next rung."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Protocol

import anyio
from anyio import to_thread

from qcsc_loop.errors import (
    InputError,
    LeaseLost,
    QcscLoopError,
    RunLocked,
    StoreError,
    SweepLost,
    leaves,
    message_of,
)
from qcsc_loop.events import Event, Observer, tell
from qcsc_loop.parameters.environment import environment
from qcsc_loop.reports.figure import Along, places_along
from qcsc_loop.reports.view import RunReader, View
from qcsc_loop.rules.going_on import limits_of
from qcsc_loop.rules.reason import Reason
from qcsc_loop.rules.stop import MaxIterations, NodeHours, QpuSeconds, Shots, StopRule
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal
from qcsc_loop.sweeping.accounts import Accounts
from qcsc_loop.sweeping.events import (
    MemberBegan,
    MemberEnded,
    MemberFailed,
    MemberWaits,
    SettingsStopped,
)
from qcsc_loop.sweeping.halving import stopped_at
from qcsc_loop.sweeping.here import Came
from qcsc_loop.sweeping.plan import AMOUNTS, Halving, Member, Plan
from qcsc_loop.sweeping.standing import NOTHING_LEFT
from qcsc_loop.sweeping.stock import Stock, cost_more, take_stock
from qcsc_loop.sweeping.sweep_journal import (
    Ended,
    Failed,
    Granted,
    Lost,
    Stopped,
    SweepLease,
    plain_rule,
)

LAST = -1  # the rung after all others: a member's own end
NOTHING = -1  # through which iteration a member may go for which nothing is left
CHUNK = 10  # iterations that are granted to a member that has no limit of its own
LOOK_EVERY = 2.0  # seconds
_BUDGETS: Mapping[str, Callable[[float], StopRule]] = {
    "shots": Shots,
    "qpu_seconds": QpuSeconds,
    "node_hours": NodeHours,
}


class Drives(Protocol):
    """Whatever drives a member, here or elsewhere."""

    async def drive(self, member: Member, rule: StopRule) -> Came:
        """Drives it to a stop rule.

        Raises:
            RunLocked, LeaseLost: another driver has it.
            Exception: it failed.
        """
        ...


class Sweeping:
    """One driver's way through a sweep.

    Args:
        drives: by a member's deployment; "" drives here.
    """

    def __init__(
        self,
        plan: Plan,
        lease: SweepLease,
        store: DirectoryStore,
        drives: Mapping[str, Drives],
        observers: Sequence[Observer] = (),
    ) -> None:
        self._plan, self._lease, self._store = plan, lease, store
        self._drives, self._observers = drives, observers
        self._accounts = Accounts(plan.budget)
        self._cost_more = ""  # than was said: since then nothing is granted
        self._looked_at: dict[str, set[int]] = defaultdict(set)
        self._granted: dict[str, int] = {}
        self._ended: dict[tuple[str, int], Ended] = {}
        self._over: set[str] = set()  # nothing more comes of them now: failed, or out of budget
        self._failed: set[str] = set()  # the last that is known of them, maybe from before
        self._stopped: dict[tuple[str, int], Stopped] = {}
        self._losers: dict[tuple[str, str], int] = {}  # a group's settings, by where they stopped
        self._open: set[str] = set()  # granted, and not settled
        self._short: set[str] = set()  # of those, with less than they wanted
        self._change = anyio.Event()

    async def drive(self) -> None:
        """Goes on until every member is at its end, has failed or is out of budget.

        Raises:
            SweepLost: another process drives the sweep now.
            StoreError: the sweep's records cannot be written.
        """
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._look_whether_lost)
                await self._go_on()
                tasks.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            found = [e for e in leaves(group) if isinstance(e, Exception)]
            raise next((e for e in found if isinstance(e, SweepLost)), found[0]) from group

    async def _go_on(self) -> None:
        await to_thread.run_sync(self._read)
        rungs = {group: self._rungs(group) for group in self._plan.groups}
        for rung in range(max(rungs.values(), default=0)):
            deciding = [group for group, count in rungs.items() if rung < count]
            others = [group for group in rungs if group not in deciding]
            await self._to_rung({g: rung for g in deciding} | dict.fromkeys(others, LAST))
            for group in deciding:
                if self._is_undecided(group, rung):
                    del rungs[group]
                    continue
                line = await to_thread.run_sync(self._decide, group, rung)
                self._tell(SettingsStopped(group, rung, line.settings))
        await self._to_rung(dict.fromkeys(rungs, LAST))

    def _rungs(self, group: str) -> int:
        halving = self._plan.halving
        return 0 if halving is None else halving.rungs(len(self._plan.settings(group)))

    def _read(self) -> None:
        """What was decided before."""
        for decision in self._lease.journal.decisions():
            match decision:
                case Granted(run_id=run_id, through=through):
                    self._granted[run_id] = through
                case Lost(run_id=run_id, epoch=epoch, amounts=amounts):
                    self._looked_at[run_id].add(epoch)
                    self._accounts.lose(run_id, amounts)
                case Ended(run_id=run_id, rung=rung):
                    self._granted.pop(run_id, None)
                    self._failed.discard(run_id)
                    if not decision.granted:
                        self._ended[run_id, rung] = decision
                case Failed(run_id=run_id):
                    self._granted.pop(run_id, None)
                    self._failed.add(run_id)
                case Stopped():
                    self._take(decision)
                case _:
                    pass
        if self._plan.budget:
            for member in self._plan.members:
                self._open_account(member)

    def _open_account(self, member: Member) -> None:
        """What it has spent, and what one that is driven elsewhere may still."""
        stock = take_stock(self._store, member, self._all_epochs(member))
        self._book(member, stock)
        through = self._granted.get(member.run_id)
        if through is not None and (member.deployment or self._is_held(member)):
            left = max(0, through - stock.iteration)
            self._accounts.reserve(member.run_id, member.iteration, left)
        elif stock.has_jobs:
            self._accounts.reserve(member.run_id, member.iteration, 1)

    def _all_epochs(self, member: Member) -> range:
        """So that none is looked at: that comes when it is driven."""
        return range(1, Journal(self._store, member.run_id).newest_epoch() + 1)

    def _is_held(self, member: Member) -> bool:
        try:
            Journal(self._store, member.run_id).require_free(environment().lease_seconds)
        except RunLocked:
            return True
        return False

    async def _look_whether_lost(self) -> None:
        while True:
            await anyio.sleep(LOOK_EVERY)
            with suppress(StoreError):  # a disk that does not answer: its writers find out
                await to_thread.run_sync(self._lease.check)

    # members side by side

    async def _to_rung(self, rungs: Mapping[str, int]) -> None:
        """Every member that still goes on, to where its group waits."""
        slots = anyio.Semaphore(self._plan.at_once)
        async with anyio.create_task_group() as tasks:
            for member in self._plan.members:
                rung = self._goes_to(member, rungs)
                if rung is None or self._is_at(member, rung):
                    continue
                await slots.acquire()
                tasks.start_soon(self._bring, member, rung, await self._grant(member, rung), slots)

    def _goes_to(self, member: Member, rungs: Mapping[str, int]) -> int | None:
        """The rung to which it goes; None: to none.

        One that failed is tried again when the sweep is, if its setting was stopped meanwhile as far
        as the others of that setting went: it is no less a member of the table than they are.
        """
        if member.group not in rungs:
            return None
        stopped = self._stopped_at(member)
        if stopped is None:
            return rungs[member.group]
        return stopped if member.run_id in self._failed else None

    def _take(self, line: Stopped) -> None:
        self._stopped[line.group, line.rung] = line
        self._losers |= {(line.group, setting): line.rung for setting in line.settings}

    def _stopped_at(self, member: Member) -> int | None:
        """The rung at which its setting was stopped; None: it goes on."""
        return self._losers.get((member.group, member.setting))

    def _going_on(self, group: str) -> list[Member]:
        """The members of a group whose setting was not stopped."""
        return [m for m in self._plan.of(group) if self._stopped_at(m) is None]

    def _is_at(self, member: Member, rung: int) -> bool:
        """Whether it has come to a rung, or to its end before, by the rules that it has now."""
        rule = plain_rule(self._rule(member, rung))
        for (run_id, _), ended in self._ended.items():
            if run_id != member.run_id:
                continue
            by_its_own = ended.own == member.stop and ended.is_own_end
            if by_its_own or ended.stop == rule:
                return True
        return member.run_id in self._over

    def _rule(self, member: Member, rung: int) -> StopRule:
        own = member.rule()
        if rung == LAST or self._plan.halving is None:
            return own
        return own | self._plan.halving.rule(rung)

    async def _bring(
        self, member: Member, rung: int, through: int | None, slots: anyio.Semaphore
    ) -> None:
        """Drives a member until it is there, by as many grants as it takes."""
        try:
            while through != NOTHING:
                if not await self._attempt(member, rung, through):
                    return
                through = await self._grant(member, rung)
            await self._out_of_budget(member, rung)
        finally:
            self._open.discard(member.run_id)
            self._short.discard(member.run_id)
            self._news()
            slots.release()

    async def _attempt(self, member: Member, rung: int, through: int | None) -> bool:
        """Drives it as far as it was granted; whether it wants more."""
        base, share = self._rule(member, rung), self._accounts.of(member.run_id).share
        rule = base if through is None else base | MaxIterations(through)
        for (
            name,
            limit,
        ) in share.items():  # what it was granted for, if iterations cost more than that
            rule |= _BUDGETS[name](limit)
        await to_thread.run_sync(self._lease.check)
        self._tell(MemberBegan(member.run_id))
        try:
            came = await self._drives[member.deployment].drive(member, rule)
        except (RunLocked, LeaseLost) as error:
            self._tell(MemberWaits(member.run_id, str(error)))
            await self._until_free(member)
            await self._settle(member)
            return True
        except Exception as error:
            await self._settle(member)
            self._over.add(member.run_id)
            self._failed.add(member.run_id)
            why = error.happened if isinstance(error, QcscLoopError) else message_of(error)
            await self._decide_to(Failed(run_id=member.run_id, why=why))
            self._tell(MemberFailed(member.run_id, why))
            return False
        stock = await self._settle(member)
        if self._wants_more(came, base, through) or _is_at_share(came, base, share, stock):
            return True
        await self._note_end(member, rung, base, came)
        return False

    def _wants_more(self, came: Came, base: StopRule, through: int | None) -> bool:
        """Whether nothing but its grant ended it."""
        if through is None or came.reason is not Reason.MAX_ITERATIONS:
            return False
        own = limits_of(plain_rule(base)).get("iterations", math.inf)
        return came.iteration >= through and came.iteration < own

    async def _note_end(self, member: Member, rung: int, base: StopRule, came: Came) -> None:
        ended = Ended(
            run_id=member.run_id,
            rung=rung,
            stop=plain_rule(base),
            own=member.stop,
            reason=came.reason,
            iteration=came.iteration,
        )
        await self._decide_to(ended)
        self._ended[member.run_id, rung] = ended
        self._failed.discard(member.run_id)
        at_rung = None if rung == LAST or ended.is_own_end else rung
        self._tell(
            MemberEnded(member.run_id, came.reason, came.iteration, came.because, at_rung=at_rung)
        )

    async def _out_of_budget(self, member: Member, rung: int) -> None:
        stock = await to_thread.run_sync(
            take_stock, self._store, member, self._looked_at[member.run_id]
        )
        iteration = max(0, stock.iteration)
        ended = Ended(
            run_id=member.run_id,
            rung=rung,
            stop=plain_rule(self._rule(member, rung)),
            own=member.stop,
            reason=Reason.BUDGET,
            iteration=iteration,
            granted=True,
            why=f"{self._cost_more}: nothing more is granted" if self._cost_more else "",
        )
        await self._decide_to(ended)
        self._over.add(member.run_id)
        self._failed.discard(member.run_id)
        because = ended.why or NOTHING_LEFT
        self._tell(
            MemberEnded(member.run_id, Reason.BUDGET, iteration, because, out_of_budget=True)
        )

    async def _until_free(self, member: Member) -> None:
        while True:
            if not await to_thread.run_sync(self._is_held, member):
                return
            await anyio.sleep(LOOK_EVERY)

    # the budget

    async def _grant(self, member: Member, rung: int) -> int | None:
        """Through which iteration it may go; None: there is no budget; NOTHING is left.

        Members are asked for in their order, and one that gets less than it wants is the only one
        that goes on: what is left for it depends on no other's pace.
        """
        if not self._plan.budget:
            return None
        while True:
            stock = await self._take_stock(member)
            wanted = self._wanted(member, rung, stock.iteration)
            fits = self._accounts.fitting(member.iteration, wanted)
            if self._cost_more:
                fits = 0
                break
            alone = not (self._open - {member.run_id})
            others_short = bool(self._short - {member.run_id})
            if (fits >= wanted and not others_short) or alone:
                break
            await self._change.wait()
        if not fits:
            return NOTHING if wanted else stock.iteration
        through = stock.iteration + fits
        self._accounts.reserve(member.run_id, member.iteration, fits)
        self._open.add(member.run_id)
        if fits < wanted:
            self._short.add(member.run_id)
        await self._decide_to(Granted(run_id=member.run_id, through=through))
        return through

    def _wanted(self, member: Member, rung: int, iteration: int) -> int:
        """How many iterations it may want; its beginning, 0, is one, too."""
        limit = limits_of(plain_rule(self._rule(member, rung))).get("iterations")
        if limit is None:
            return CHUNK
        return max(0, math.ceil(limit) - iteration)

    async def _take_stock(self, member: Member) -> Stock:
        """Its account as its records have it, with what was lost; nobody drives it now."""
        await self._until_free(member)
        seen = self._looked_at[member.run_id]
        stock = await to_thread.run_sync(take_stock, self._store, member, frozenset(seen))
        for lost in stock.lost:
            await self._decide_to(lost)
            seen.add(lost.epoch)
            self._accounts.lose(member.run_id, lost.amounts)
        self._book(member, stock)
        return stock

    def _book(self, member: Member, stock: Stock) -> None:
        """What it has used, and whether that is as it was said."""
        self._accounts.settle(member.run_id, stock.used)
        self._cost_more = self._cost_more or cost_more(
            member.run_id, member.iteration, stock.dearest
        )

    async def _settle(self, member: Member) -> Stock | None:
        """What it did not use is free again; but for what jobs that it left may still cost."""
        if not self._plan.budget:
            return None
        stock = await self._take_stock(member)
        if stock.has_jobs:
            self._accounts.reserve(member.run_id, member.iteration, 1)
        self._news()
        return stock

    def _news(self) -> None:
        """Whoever waits for the budget looks again."""
        self._change.set()
        self._change = anyio.Event()

    # who cannot win

    def _is_undecided(self, group: str, rung: int) -> bool:
        """Whether members are missing at a rung that may still come to it, so that all of them wait.

        A decision stays: it is of members at equal cost, and of those that failed where others did
        not. What is the same for all, such as an error in the algorithm, stops no setting.
        """
        if (group, rung) in self._stopped:
            return False
        members = {member.run_id for member in self._going_on(group)}
        return bool(members & self._over - self._failed) or members <= self._failed

    def _decide(self, group: str, rung: int) -> Stopped:
        """Stops the settings of a group that are worse at equal cost; once, and for ever."""
        halving = self._plan.halving
        assert halving is not None  # else there are no rungs
        if (group, rung) in self._stopped:
            return self._stopped[group, rung]
        values: dict[str, list[float]] = {}
        better = ""
        for member in self._going_on(group):
            view = self._look(member)
            value = math.nan
            if view is not None:
                better = better or view.chart.better
                if member.run_id not in self._failed:
                    value = value_at(view, halving, rung)
            values.setdefault(member.setting, []).append(value)
        if better not in ("lower", "higher"):
            raise InputError(
                f"halving: nothing says which way the headline of {group} is better, so that no "
                "setting can be stopped. Give its state a chart with better=..., or leave halving out"
            )
        losing, medians = stopped_at(halving, values, better=better)
        shown = {s: v if math.isfinite(v) else str(v) for s, v in medians.items()}
        line = Stopped(group=group, rung=rung, settings=tuple(losing), values=shown)
        self._lease.decide(line)
        self._take(line)
        return line

    def _look(self, member: Member) -> View | None:
        """None of one that never began."""
        if not Journal(self._store, member.run_id).exists():
            return None
        return RunReader(self._store, member.run_id).look()

    # words and records

    async def _decide_to(self, decision: Ended | Failed | Granted | Lost) -> None:
        await to_thread.run_sync(self._lease.decide, decision)

    def _tell(self, event: Event) -> None:
        tell(self._observers, event)


def _is_at_share(
    came: Came, base: StopRule, share: Mapping[str, float], stock: Stock | None
) -> bool:
    """Whether its share of the budget ended it, and not a budget of its own."""
    if stock is None or came.reason is not Reason.BUDGET:
        return False

    def is_over(limits: Mapping[str, float]) -> bool:
        cost = Counter(stock.used) + Counter(stock.dearest)
        return any(cost[name] > limits.get(name, math.inf) for name in AMOUNTS)

    return is_over(share) and not is_over(limits_of(plain_rule(base)))


_ALONG: Mapping[str, Along] = {"iterations": "iteration", "shots": "shots", "qpu_seconds": "qpu"}


def value_at(view: View, halving: Halving, rung: int) -> float:
    """A run's headline at a rung's cost: the best so far where one is better, else the last."""
    bound = halving.first * halving.factor**rung
    along = places_along(view, _ALONG[halving.cost])
    values = [v for v, place in zip(view.values, along, strict=False) if place <= bound]
    finite = [v for v in values if math.isfinite(v)]
    if not finite:
        return math.nan
    return {"lower": min, "higher": max}.get(view.chart.better, lambda found: found[-1])(finite)
