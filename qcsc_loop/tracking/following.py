"""Following a run's journal for a tracker: each iteration once, over any number of processes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from qcsc_loop.errors import InputError, did_you_mean
from qcsc_loop.plain import Json
from qcsc_loop.plugins import failures_said, load, offered
from qcsc_loop.reports.markup import flat
from qcsc_loop.reports.status import RunStatus
from qcsc_loop.reports.view import RunReader
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.records import Commit, RunRecord
from qcsc_loop.tracking.tracker import TrackedPoint, TrackedRun, Tracker

GROUP = "qcsc_loop.trackers"
AT_ONCE = 500  # iterations in a call


def find_tracker(name: str) -> type[Tracker]:
    """The tracker of that name.

    Raises:
        InputError: nobody offers one.
        PluginFailed: it cannot be imported.
    """
    known = offered(GROUP)
    if name not in known:
        raise InputError(
            f"there is no tracker {name!r}{did_you_mean(name, known)}. Installed are: "
            f"{', '.join(known) or 'none'}{failures_said(GROUP)}"
        )
    found = load(known[name])
    if not (isinstance(found, type) and issubclass(found, Tracker)):
        raise InputError(f"tracker {name!r}: {known[name].value} is no subclass of Tracker")
    return found


@dataclass
class Position:
    """How far a run is tracked, beside it; nothing of the run relies on it.

    Attributes:
        through: the last iteration that was taken; -1 before there is one.
        ended: the driver whose end was told.
        memory: the tracker's own.
    """

    through: int = -1
    ended: int = 0
    memory: Json = field(default_factory=dict)


class Following:
    """One run on its way to one tracker.

    Attributes:
        goes_on: it had a driver when it was last looked at.

    Raises:
        RunNotFound: the store has no such run.
    """

    def __init__(self, store: DirectoryStore, run_id: str, name: str) -> None:
        self._store, self._name = store, f"{run_id}/tracked-{name}.json"
        self._reader = RunReader(store, run_id)
        self._run = _tracked(self._reader.journal.record(), store.place)
        self._kind = find_tracker(name)
        self.position = _position(store.left(self._name))
        self._tracker: Tracker | None = None
        self.goes_on = True

    def look(self) -> None:
        """Hands on what is new, and how the run has ended.

        Raises:
            Exception: whatever the tracker raises; what it has not taken is handed on the next time.
        """
        view = self._reader.look()
        self.goes_on = view.status is RunStatus.RUNNING
        self._hand_on()
        if not self.goes_on and self.position.ended != view.drivers:
            self._opened().end(str(view.status), view.message)
            self.position.ended = view.drivers
            self._keep()

    def _hand_on(self) -> None:
        commits = self._reader.journal.commits.after(self.position.through)
        for start in range(0, len(commits), AT_ONCE):
            some = commits[start : start + AT_ONCE]
            self._opened().log([_point(commit) for commit in some])
            self.position.through = some[-1].iteration
            self._keep()

    def _opened(self) -> Tracker:
        if self._tracker is None:
            self._tracker = self._kind(self._run, self.position.memory)
        return self._tracker

    def _keep(self) -> None:
        position = self.position
        facts = {"through": position.through, "ended": position.ended, "memory": position.memory}
        self._store.leave(self._name, json.dumps(facts).encode())


def _position(content: bytes | None) -> Position:
    try:
        found = json.loads(content or b"{}")
        return Position(int(found["through"]), int(found["ended"]), dict(found["memory"]))
    except (ValueError, KeyError, TypeError):  # none, or damaged: all is told again
        return Position()


def _tracked(record: RunRecord, store: str) -> TrackedRun:
    parent = record.forked_from
    return TrackedRun(
        run_id=record.run_id,
        uid=record.uid,
        algorithm=record.settings.algorithm.rpartition(":")[2],
        seed=record.seed,
        created=record.created,
        parameters=flat(record.settings.resolved),
        forked_from=parent.run_id if parent is not None else "",
        store=store,
    )


def _point(commit: Commit) -> TrackedPoint:
    return TrackedPoint(
        iteration=commit.iteration,
        at=commit.committed,
        scalars=commit.scalars,
        seconds=commit.seconds,
        spent=commit.spent or {},
    )
