"""Many runs in a list: which of them, in which order, and each in a line's parts."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, get_args

from qcsc_loop.errors import (
    InvalidParameters,
    QcscLoopError,
    RunNotFound,
    did_you_mean,
)
from qcsc_loop.plain import Json
from qcsc_loop.reports.phrases import ago, span
from qcsc_loop.reports.remembered import Entry, Remembered
from qcsc_loop.reports.run import number
from qcsc_loop.reports.status import RunStatus
from qcsc_loop.reports.view import RunReader, View
from qcsc_loop.reports.words import amount
from qcsc_loop.rules.reason import Reason
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import run_ids
from qcsc_loop.store.records import now

Order = Literal["trouble", "age", "best", "cost"]
ORDERS: Sequence[Order] = get_args(Order)
NEWEST = 20
NEXT_COMMANDS = 3

_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|d|w)")
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_GROUPS: dict[str, Callable[[RunStatus], bool]] = {
    "trouble": lambda status: status.is_trouble,
    "finished": lambda status: status.is_finished,
}
_OLD_WORDS = {
    "crashed": RunStatus.GONE,
    "max_iterations": RunStatus.LIMIT,
    "wall_time": RunStatus.OUT_OF_TIME,
    "budget": RunStatus.OUT_OF_BUDGET,
    "custom": RunStatus.STOPPED,
    "handed_over": RunStatus.HANDED_OVER,
    "newer": RunStatus.NEWER,
}
_TOLD = (
    RunStatus.FAILED,
    RunStatus.INTERRUPTED,
    RunStatus.CANCELLED,
    RunStatus.OUT_OF_BUDGET,
    RunStatus.STOPPED,
)


@dataclass(frozen=True)
class Wanted:
    """Which runs of a store, and in which order.

    Attributes:
        statuses: their words; none: any.
        algorithms: names of classes, in any case; none: any.
        since: those that gave a sign of themselves after this; None: whenever.
        whole: each with its whole history and all its jobs, for what was best and what it cost.
    """

    statuses: Sequence[str] = ()
    algorithms: Sequence[str] = ()
    since: datetime | None = None
    order: Order = "trouble"
    whole: bool = False

    @property
    def is_everything(self) -> bool:
        """Whether no run is left out."""
        return not (self.statuses or self.algorithms or self.since)


def read_runs(store: DirectoryStore, wanted: Wanted) -> list[View]:
    """The runs that are wanted, in their order; raises as `read_entries`."""
    return [entry.view for entry in read_entries(store, wanted)]


def read_entries(store: DirectoryStore, wanted: Wanted) -> list[Entry]:
    """The same as entries: of many runs few are looked at closely.

    Raises:
        InvalidParameters: a word that no status is.
        StoreError: the store cannot be read.
    """
    tests = [_status_test(word) for word in wanted.statuses]
    names = {name.lower() for name in wanted.algorithms}
    found: list[Entry] = []
    for entry in _entries(store, whole=wanted.whole or wanted.order in ("best", "cost")):
        seen = entry.last_seen
        if tests and not any(test(entry.status) for test in tests):
            continue
        if names and entry.algorithm.lower() not in names:
            continue
        if wanted.since is not None and (seen is None or seen < wanted.since):
            continue
        found.append(entry)
    return sorted(found, key=_KEYS[wanted.order])


def _entries(store: DirectoryStore, *, whole: bool) -> Iterator[Entry]:
    remembered = None if whole else Remembered(store)
    for run_id in run_ids(store):
        if remembered is not None and (known := remembered.entry(run_id)) is not None:
            yield known
            continue
        reader = RunReader(store, run_id)
        try:
            view = reader.look() if remembered is None else reader.skim()
            if remembered is not None:
                remembered.keep(view)
            yield Entry.of(view)
        except RunNotFound:  # removed meanwhile
            continue
        except (QcscLoopError, OSError, ArithmeticError, ValueError) as error:
            yield Entry.of(View(run_id, f"{store.place}/{run_id}", RunStatus.DAMAGED, str(error)))
    if remembered is not None:
        remembered.save()


def _status_test(word: str) -> Callable[[RunStatus], bool]:
    plain = word.lower().replace("-", " ").replace("_", " ").strip()
    if plain in _GROUPS:
        return _GROUPS[plain]
    by_word = {status.value: status for status in RunStatus} | {
        old.replace("_", " "): status for old, status in _OLD_WORDS.items()
    }
    if plain not in by_word:
        words = [*_GROUPS, *(status.value for status in RunStatus)]
        problem = f"--status: there is no status {word!r}{did_you_mean(plain, words)}"
        raise InvalidParameters("list", [problem], words)
    return by_word[plain].__eq__


def parse_age(text: str) -> timedelta:
    """`12h`, `3d`, `90min`.

    Raises:
        InvalidParameters: it is no such span.
    """
    found = _AGE.fullmatch(text.strip().lower())
    try:
        if found is not None:
            return timedelta(seconds=float(found[1]) * _SECONDS[found[2]])
    except OverflowError:
        pass
    problem = f"--older: {text!r} is no span of time"
    raise InvalidParameters("gc", [problem], ["12h", "30d", "90min"])


def parse_since(text: str) -> datetime:
    """`12h`, `3d`, `90min`, or a day or time as ISO 8601 has them, local without an offset.

    Raises:
        InvalidParameters: it is none of these.
    """
    found = _AGE.fullmatch(text.strip().lower())
    try:
        if found is not None:
            return now() - timedelta(seconds=float(found[1]) * _SECONDS[found[2]])
        return datetime.fromisoformat(text.strip()).astimezone()
    except (ValueError, OverflowError):
        problem = f"--since: {text!r} is no time that was"
        raise InvalidParameters("list", [problem], ["12h", "3d", "90min", "2026-11-29"]) from None


def _age_key(entry: Entry) -> float:
    seen = entry.last_seen
    return -seen.timestamp() if seen is not None else -math.inf


def _best_key(view: View) -> tuple[str, str, float]:
    """Those that can be compared stand together: of one algorithm and headline."""
    best = view.best
    sign = -1.0 if view.chart.better == "higher" else 1.0
    return view.algorithm, view.chart.headline, math.inf if best is None else sign * best.value


def _cost_key(view: View) -> tuple[float, float, float]:
    spent = view.spent
    names = ("qpu_seconds", "node_hours", "shots")
    first, second, third = (-spent.get(name, 0.0) for name in names)
    return first, second, third


_KEYS: dict[Order, Callable[[Entry], tuple[object, ...]]] = {
    "trouble": lambda entry: (entry.status.rank, _age_key(entry), entry.run_id),
    "age": lambda entry: (_age_key(entry), entry.run_id),
    "best": lambda entry: (*_best_key(entry.view), entry.run_id),
    "cost": lambda entry: (*_cost_key(entry.view), entry.run_id),
}


def newest(entries: Sequence[Entry], count: int) -> list[Entry]:
    """The last so many to give a sign of themselves, in the order they have."""
    kept = {entry.run_id for entry in sorted(entries, key=_age_key)[:count]}
    return [entry for entry in entries if entry.run_id in kept]


@dataclass(frozen=True)
class Line:
    """One run's parts of a line.

    Attributes:
        headline: its name, and its value as text.
        note: what else a person should know of it, in a few words.
    """

    run_id: str
    sign: str
    algorithm: str
    status: str
    iterations: str
    headline: tuple[str, str]
    last: str
    note: str


def line_of(view: View, at: datetime) -> Line:
    """A run as a line of a list that is made at this time."""
    limit = view.limits.get("iterations")
    of = f"/{limit:g}" if limit is not None else ""
    known = math.isfinite(view.headline) or len(view.history) > 0
    seen = view.last_seen
    unreadable = view.record is None
    return Line(
        run_id=view.run_id,
        sign=view.status.sign,
        algorithm=view.algorithm,
        status=str(view.status),
        iterations="" if unreadable else f"{view.iteration}{of}",
        headline=(view.chart.headline, number(view.headline)) if known else ("", ""),
        last="" if seen is None else ago(max(0.0, (at - seen).total_seconds())),
        note=note_of(view),
    )


def note_of(view: View) -> str:
    """What a person should know of a run beside its status; empty: nothing."""
    said: list[str] = []
    if (left := view.seconds_left) is not None:
        said.append(f"{span(left)} left")
    if jobs := jobs_in_words(view):
        said.append(jobs)
    if view.trouble:
        said.append(view.trouble)
    elif view.status in _TOLD:
        said.append(view.fact.replace(" at ", " "))  # a character more of a narrow line
    elif view.status is RunStatus.GONE and view.live is not None:
        said.append(f"in {view.live.phase} of {view.live.iteration}")
    elif view.status is RunStatus.RUNNING and view.live is not None and not jobs:
        said.append(view.live.phase)
    return ", ".join(part for part in said if part)


def jobs_in_words(view: View) -> str:
    """'1 job left' of a run that nobody drives, else what its jobs do; empty: it has none alive."""
    driven = view.status is RunStatus.RUNNING
    alive = view.live_jobs if driven else view.left_jobs
    if not alive:
        return ""
    count = f"{len(alive)} job{'' if len(alive) == 1 else 's'}"
    if not driven:
        return f"{count} left"
    known = {job.key: job for job in view.live.jobs} if view.live is not None else {}
    states = [known[key].state if (key := str(job.key)) in known else job.state for job in alive]
    if len(states) == 1:
        found = known.get(str(alive[0].key))
        why = f" ({found.reason})" if found is not None and found.reason else ""
        return f"job {states[0].lower()}{why}"
    each = ", ".join(f"{states.count(s)} {s.lower()}" for s in dict.fromkeys(states))
    return f"{count}: {each}"


def next_commands(views: Sequence[View]) -> list[str]:
    """What to type next, for the runs that want a person most; without `--store`."""
    ranked = [entry.view for entry in sorted(map(Entry.of, views), key=_KEYS["trouble"])]
    wanting = [v for v in ranked if v.status.is_trouble or v.status is RunStatus.NEW]
    wanting = wanting or ranked[:1]
    return [_command(view) for view in wanting[:NEXT_COMMANDS]]


def _command(view: View) -> str:
    if view.status in (RunStatus.GONE, RunStatus.INTERRUPTED, RunStatus.NEW):
        return f"qcsc-loop resume {view.run_id}"
    return f"qcsc-loop show {view.run_id}"


def old_status(view: View) -> str:
    """How a run stands in the words that `--json` has always had."""
    match view.status:
        case RunStatus.DAMAGED:
            return f"damaged: {view.trouble}"
        case RunStatus.NEWER:
            return f"newer: {view.trouble}"
        case RunStatus.GONE:
            word = "crashed"
        case _ if view.end is not None:
            word = str(Reason(view.end.reason))
        case _:
            word = str(view.status)
    return f"{word} (damaged, resumable)" if view.trouble else word


def details(view: View) -> str:
    """What the long list says of a run, beside its line."""
    said: list[str] = []
    if view.record is not None:
        began = view.record.created.astimezone()
        said.append(f"seed {view.record.seed}, began {began:%Y-%m-%d %H:%M %z}")
    if (best := view.best) is not None:
        said.append(f"best {number(best.value)} at {best.iteration}")
    if (reference := view.reference) is not None and math.isfinite(view.headline):
        said.append(f"{reference[0]} {number(reference[1])}")
    said += [amount(name, value) for name, value in view.spent.items() if value]
    if view.record is not None and (seen := view.last_seen) is not None:
        said.append(f"{span((seen - view.record.created).total_seconds())} in all")
    return ", ".join(said) or view.folder


def facts_of(view: View) -> Json:
    """A run as programs read it from a list."""
    scalars = {name: values[-1] for name, values in view.history.scalars.items()}
    best, reference, seen = view.best, view.reference, view.last_seen
    return {
        "run_id": view.run_id,
        "algorithm": view.algorithm,
        "status": old_status(view),
        "iteration": view.iteration,
        "scalars": {name: plain_number(value) for name, value in scalars.items()},
        "created": view.record.created.isoformat() if view.record is not None else "",
        "state": str(view.status),
        "message": view.message,
        "trouble": view.trouble,
        "fact": view.fact,
        "last_seen": seen.isoformat() if seen is not None else "",
        "seed": view.record.seed if view.record is not None else None,
        "limits": view.limits,
        "spent": view.spent,
        "headline": {
            "name": view.chart.headline,
            "value": plain_number(view.headline) if len(view.history) else None,
            "better": view.chart.better,
            "unit": view.chart.unit,
        },
        "best": None
        if best is None
        else {"iteration": best.iteration, "value": plain_number(best.value)},
        "reference": None
        if reference is None
        else {"name": reference[0], "value": plain_number(reference[1])},
        "seconds_left": view.seconds_left,
        "live_jobs": [{"key": str(job.key), "job_id": job.job_id} for job in view.live_jobs],
        "next": view.next_command,
        "folder": view.folder,
    }


def plain_number(value: float) -> float | str:
    """As JSON holds it: NaN and inf, which it lacks, as strings that float() reads."""
    return value if math.isfinite(value) else str(value)
