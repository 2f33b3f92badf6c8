"""What of a store nobody needs any more, by rule, and its removal.

A run's record, its drivers, its history, its ledger and the states that it keeps stay for ever. What
may go belongs to iterations up to the newest checkpoint that verifies, which no driver comes back to,
or is what an interrupted write has left. So nothing breaks if this is killed in the middle, or if a
driver takes the run meanwhile.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from qcsc_loop.errors import DamagedDocument, QcscLoopError, RunNotFound, StoreError
from qcsc_loop.jobs.entries import JobRecord
from qcsc_loop.jobs.ledger import job_records
from qcsc_loop.reports.status import RunStatus
from qcsc_loop.reports.view import RunReader, View
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal, iteration_of, run_ids
from qcsc_loop.store.landmarks import Landmarks, is_large
from qcsc_loop.store.records import Commit, now

LEFTOVER_SECONDS = 86400.0  # no write takes so long
_LEFTOVER = re.compile(r"\..*\.(tmp|now)|driver\.[0-9a-f]{8}\.out")
_ARRAYS = re.compile(r"(.*)\.[0-9a-f]{12}\.npz")


class Kind(StrEnum):
    """What may go."""

    WORK = "work folders"
    MAILBOXES = "mailboxes"
    STATES = "states"
    STEPS = "step records"
    LEFTOVERS = "leftovers"


@dataclass(frozen=True)
class Part:
    """Things of one kind.

    Attributes:
        names: relative to the store.
    """

    kind: Kind
    names: Sequence[str]
    bytes: int


@dataclass(frozen=True)
class Found:
    """What of a run may go.

    Attributes:
        run_id: "" of what belongs to no run.
        bytes: what all of it takes now.
        kept: why nothing of it may go, in words; empty: something may, or there is nothing.
    """

    run_id: str
    bytes: int
    parts: Sequence[Part] = ()
    kept: str = ""

    @property
    def freed(self) -> int:
        """Bytes that go."""
        return sum(part.bytes for part in self.parts)


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What may go.

    Attributes:
        older: of runs alone that gave no sign of themselves for so long.
        keep: of runs that a stop rule has ended the states of the last so many iterations; None: as
            many as each run was to keep.
    """

    older: timedelta = timedelta(days=30)
    keep: int | None = None


def find_rubbish(store: DirectoryStore, rules: Rules, only: Sequence[str] = ()) -> Iterator[Found]:
    """What may go of each run, and of the store.

    Args:
        only: these runs; none: all there are.

    Raises:
        RunNotFound: one of those is not there.
        StoreError: the store cannot be read.
    """
    replayed = _replayed(store) if rules.keep is not None else {}
    for run_id in only or run_ids(store):
        mine = replace(rules, keep=None) if run_id in replayed else rules
        try:
            yield _rubbish_of(store, run_id, mine)
        except RunNotFound:
            if only:
                raise
        except (QcscLoopError, OSError, ValueError) as error:
            yield Found(run_id, _bytes(store.root / run_id), kept=str(error))
    if not only and (parts := _imports(store)):
        yield Found("", sum(part.bytes for part in parts), parts)


def remove(store: DirectoryStore, found: Found) -> int:
    """Removes what was found; the bytes that it took. A run that is driven by now is left alone.

    Raises:
        StoreError: something cannot be removed.
    """
    freed = 0
    for part in found.parts:
        if found.run_id and _is_driven(store, found.run_id):
            return freed
        for name in part.names:
            _remove(store, name, part.kind)
        freed += part.bytes
    return freed


def _rubbish_of(store: DirectoryStore, run_id: str, rules: Rules) -> Found:
    journal = Journal(store, run_id)
    journal.record()
    store.require_own(run_id)
    view = RunReader(store, run_id).skim()
    whole = _bytes(store.root / run_id)
    if why := _why_not(view, job_records(store, run_id), rules, now()):
        return Found(run_id, whole, kept=why)
    committed = _newest_good(journal)
    if committed is None:
        return Found(run_id, whole, kept="its newest state does not verify")
    commit, large = committed
    parts = [
        _part(store, Kind.WORK, _through(store, f"{run_id}/work", commit.iteration)),
        _part(store, Kind.MAILBOXES, [f"{run_id}/warm/{n}" for n in store.names(f"{run_id}/warm")]),
        *_beyond_keep(journal, store, commit, _keep(view, rules), large=large),
        _part(store, Kind.LEFTOVERS, _leftovers(store, run_id)),
    ]
    return Found(run_id, whole, [part for part in parts if part.names])


def _why_not(view: View, jobs: Sequence[JobRecord], rules: Rules, at: datetime) -> str:
    """Why nothing of a run may go; empty: something may."""
    seen = view.last_seen
    if view.record is None:
        return view.trouble
    if view.status is RunStatus.RUNNING:
        return "it is being driven"
    if view.status is RunStatus.NEW:
        return "no driver has come to it yet"
    if alive := [job for job in jobs if not job.over or job.holding]:
        return f"{len(alive)} of its jobs may be alive: qcsc-loop cancel {view.run_id}"
    if seen is not None and at - seen < rules.older:
        return "it is too young"
    return ""


def _newest_good(journal: Journal) -> tuple[Commit, bool] | None:
    """The newest checkpoint, and whether its state is large; None if it does not verify.

    Where an older one has to do, all that might help is left where it is.
    """
    for name in journal.checkpoints()[:1]:
        with suppress(DamagedDocument, KeyError):
            commit, state = journal.checkpoint(name)
            state.verify()
            return commit, is_large(state)
    return None


def _keep(view: View, rules: Rules) -> int | None:
    """How many iterations keep their state; None: all."""
    own = view.settings.keep if view.settings is not None else None
    if rules.keep is None or not view.status.is_finished:
        return own
    return rules.keep if own is None else min(own, rules.keep)


def _beyond_keep(
    journal: Journal, store: DirectoryStore, newest: Commit, keep: int | None, *, large: bool
) -> list[Part]:
    """As the run's own driver would have removed it."""
    if keep is None:
        return []
    landmarks = Landmarks(None if newest.best is None else newest.best[0], large=large)
    through = newest.iteration - keep
    states = _through(store, f"{journal.run_id}/checkpoints", through)
    spared = [name for name in states if _iteration(name) in landmarks]
    return [
        _part(store, Kind.STATES, [name for name in states if name not in spared]),
        _part(store, Kind.STEPS, _through(store, f"{journal.run_id}/steps", through)),
    ]


def _through(store: DirectoryStore, folder: str, iteration: int) -> list[str]:
    names = [f"{folder}/{name}" for name in store.names(folder)]
    return [name for name in names if 0 <= _iteration(name) <= iteration]


def _iteration(name: str) -> int:
    return iteration_of(name.rpartition("/")[2])


def _leftovers(store: DirectoryStore, run_id: str) -> list[str]:
    """Files of writes that were interrupted: temporary ones, and arrays that nothing names."""
    found: list[str] = []
    for folder in ("", "epochs", "steps", "checkpoints"):
        place = store.root / run_id / folder
        for path in sorted(place.iterdir()) if place.is_dir() else ():
            arrays = _ARRAYS.fullmatch(path.name)
            orphan = arrays is not None and not path.with_name(f"{arrays[1]}.json").exists()
            if (orphan or _LEFTOVER.fullmatch(path.name)) and _is_old(path):
                found.append(str(path.relative_to(store.root)))
    return found


def _imports(store: DirectoryStore) -> list[Part]:
    """Folders of imports that were interrupted."""
    if not store.root.is_dir():
        return []
    names = [path.name for path in sorted(store.root.glob(".import-*")) if _is_old(path)]
    return [_part(store, Kind.LEFTOVERS, names)] if names else []


def _is_old(path: Path) -> bool:
    with suppress(OSError):
        return time.time() - path.lstat().st_mtime > LEFTOVER_SECONDS
    return False


def _replayed(store: DirectoryStore) -> set[str]:
    """Runs whose samples another one takes that may go on."""
    found: set[str] = set()
    for run_id in run_ids(store):
        with suppress(QcscLoopError, ValueError):
            view = RunReader(store, run_id).skim()
            if view.settings is not None and not view.status.is_finished:
                found |= set(_replays(view.settings.resolved))
    return found


def _replays(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if value.get("type") == "replay" and isinstance(run_id := value.get("run_id"), str):
            yield run_id
        for part in value.values():
            yield from _replays(part)
    elif isinstance(value, list):
        for part in value:
            yield from _replays(part)


def _part(store: DirectoryStore, kind: Kind, names: Sequence[str]) -> Part:
    return Part(kind, names, sum(_bytes_of(store, name, kind) for name in names))


def _bytes_of(store: DirectoryStore, name: str, kind: Kind) -> int:
    path = store.root / name
    if kind in (Kind.STATES, Kind.STEPS):
        return sum(_bytes(file) for file in path.parent.glob(f"{path.name}.*"))
    return _bytes(path)


def _bytes(path: Path) -> int:
    """What a file takes, or a folder with all below it; links are not followed."""
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            return sum(_bytes(below) for below in path.iterdir())
        return path.lstat().st_size
    return 0


def _is_driven(store: DirectoryStore, run_id: str) -> bool:
    try:
        return RunReader(store, run_id).skim().status is RunStatus.RUNNING
    except QcscLoopError:
        return True


def _remove(store: DirectoryStore, name: str, kind: Kind) -> None:
    if kind is not Kind.LEFTOVERS:
        store.remove(name)
        return
    path = store.root / name
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError("remove", str(path), error.strerror or str(error)) from error
