"""A sweep begun or gone on with: claimed, driven, given back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from anyio import to_thread

from qcsc_loop.catalog import AlgorithmType, find_algorithm
from qcsc_loop.concurrency.uncancelled import require_asyncio, run_uncancelled
from qcsc_loop.errors import SweepLost
from qcsc_loop.events import Event, Observer, tell
from qcsc_loop.rules.reason import Reason
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.sweeping.changing import reconcile
from qcsc_loop.sweeping.driving import Drives, Sweeping
from qcsc_loop.sweeping.here import Here
from qcsc_loop.sweeping.plan import Plan
from qcsc_loop.sweeping.sweep_journal import Stopped, SweepJournal, SweepLease

DONE = Reason.CUSTOM  # of a sweep whose every member has come as far as it could


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How a sweep is driven.

    Attributes:
        kinds: classes by reference, of those that only this process knows.
        observers: told of the sweep and of the runs that this process drives.
        drives: what drives members of a deployment, by its name.
        leave_jobs, ended_by: as of a run.
    """

    kinds: Mapping[str, AlgorithmType] = field(default_factory=dict[str, AlgorithmType])
    observers: Sequence[Observer] = ()
    drives: Mapping[str, Drives] = field(default_factory=dict[str, Drives])
    take_over: bool = False
    leave_jobs: Callable[[], bool] = lambda: False
    ended_by: Callable[[], str] = lambda: ""


async def run_sweep(plan: Plan, store: DirectoryStore, manner: Manner) -> None:
    """Drives a sweep until every member is at its end, has failed or is out of budget.

    A sweep of that name is gone on with.

    Raises:
        SweepChanged: it is another one.
        SweepLocked: another process drives it.
        SweepLost: another process has taken it over meanwhile.
        StoreError: its records cannot be written.
    """
    require_asyncio()
    journal = SweepJournal(store, plan.name)
    await to_thread.run_sync(
        to_go_on_with, journal, plan, manner.kinds
    )  # before anything is written
    lease = await run_uncancelled(
        partial(journal.claim, take_over=manner.take_over), undo=_give_back
    )
    reason, because = Reason.FAILED, ""
    try:
        plan = await to_thread.run_sync(_settled, lease, plan, manner.kinds)
        await Sweeping(plan, lease, store, _drives(plan, store, manner), manner.observers).drive()
        reason = DONE
    except SweepLost:
        raise
    except Exception as error:
        because = str(error)
        raise
    except BaseException:
        reason, because = Reason.INTERRUPTED, manner.ended_by() or "cancelled"
        raise
    finally:
        lease.release(reason, because)


def to_go_on_with(journal: SweepJournal, plan: Plan, kinds: Mapping[str, AlgorithmType]) -> Plan:
    """The plan as it is to be driven: what there is of the sweep, and what may be changed in it.

    Raises:
        SweepChanged: there is another one of that name.
    """
    if not journal.exists():
        return plan
    was = journal.plan()
    has_stopped = any(isinstance(line, Stopped) for line in journal.decisions())
    return reconcile(was, plan, _Kinds(kinds), has_stopped=has_stopped)


class _Kinds(dict[str, AlgorithmType]):
    """Classes by reference, found where they are not known."""

    def __missing__(self, reference: str) -> AlgorithmType:
        return self.setdefault(reference, find_algorithm(reference))


def _settled(lease: SweepLease, plan: Plan, kinds: Mapping[str, AlgorithmType]) -> Plan:
    """The same for whoever holds the sweep, and kept."""
    journal = lease.journal
    found = to_go_on_with(journal, plan, kinds)
    if not journal.exists() or journal.plan() != found:
        lease.keep(found)
    return found


def _give_back(lease: SweepLease) -> None:
    """Its driver was cancelled before it did anything."""
    lease.release(Reason.INTERRUPTED)


def _drives(plan: Plan, store: DirectoryStore, manner: Manner) -> Mapping[str, Drives]:
    def observe(event: Event) -> None:
        tell(manner.observers, event)

    here = Here(plan.name, store, observe, manner.kinds, manner.leave_jobs, manner.ended_by)
    return {**manner.drives, "": here}
