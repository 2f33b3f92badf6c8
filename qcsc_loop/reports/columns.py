"""A run's history as columns, read from where the last look ended: a run of 50,000 iterations is one
look of a fraction of a second, and then its new lines."""

from __future__ import annotations

import math
import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from pydantic_core import from_json

from qcsc_loop.plain import Json
from qcsc_loop.store.records import NO_DRIVER

Numbers = Sequence[float]


@dataclass(frozen=True)
class Columns:
    """What was committed, an entry an iteration, oldest first.

    Attributes:
        iterations: their numbers.
        epochs: which driver committed each; `NO_DRIVER`: it is another run's, whose state this one
            began with.
        committed: when, in seconds since 1970 by that driver's clock.
        scalars: by name; NaN where an iteration has none of that name.
        seconds: by step, of each iteration; NaN where an earlier driver's record was used, and where
            it is another run's, as earlier versions have copied it into forks.
        usage: by name, of each iteration; 0 where nothing was spent.
        spent: the same of all iterations up to the last one.
    """

    iterations: Sequence[int] = ()
    epochs: Sequence[int] = ()
    committed: Numbers = ()
    scalars: dict[str, Numbers] = field(default_factory=dict[str, Numbers])
    seconds: dict[str, Numbers] = field(default_factory=dict[str, Numbers])
    usage: dict[str, Numbers] = field(default_factory=dict[str, Numbers])
    spent: dict[str, float] = field(default_factory=dict[str, float])

    def __len__(self) -> int:
        return len(self.iterations)

    def last(self, name: str) -> float:
        """The newest value of a scalar; NaN if there is none."""
        values = self.scalars.get(name, ())
        return values[-1] if values else math.nan

    def row(self, index: int) -> dict[str, float]:
        """The scalars of one entry, without those that it has not."""
        return {n: v[index] for n, v in self.scalars.items() if not math.isnan(v[index])}

    def tail(self, count: int) -> Columns:
        """The last so many entries; `spent` stays that of all."""

        def last(columns: dict[str, Numbers]) -> dict[str, Numbers]:
            return {name: values[-count:] for name, values in columns.items()}

        return Columns(
            iterations=self.iterations[-count:],
            epochs=self.epochs[-count:],
            committed=self.committed[-count:],
            scalars=last(self.scalars),
            seconds=last(self.seconds),
            usage=last(self.usage),
            spent=self.spent,
        )

    @property
    def took(self) -> Numbers:
        """Wall seconds of each iteration, from the commit before it by the same driver; else NaN."""
        before = [math.nan, *self.committed][: len(self)]
        epochs = [NO_DRIVER, *self.epochs][: len(self)]
        rows = zip(self.committed, before, self.epochs, epochs, strict=True)
        return [
            max(0.0, now - then) if epoch == other != NO_DRIVER else math.nan
            for now, then, epoch, other in rows
        ]


class HistoryReader:
    """Reads one run's `history.jsonl`, each line once."""

    def __init__(self, file: Path) -> None:
        self._file, self._offset, self._inode = file, 0, 0
        self._growing, self._columns = _Growing(), Columns()

    def read(self) -> Columns:
        """All that is committed by now.

        Raises:
            OSError: it is there and cannot be read.
        """
        lines = self._new_lines()
        for commit in _commits(lines):
            self._growing.add(commit)
        if lines:
            self._columns = self._growing.columns()
        return self._columns

    def _new_lines(self) -> list[bytes]:
        try:
            with self._file.open("rb") as log:
                status = os.fstat(log.fileno())
                if status.st_ino != self._inode or status.st_size < self._offset:  # another by now
                    self._growing, self._columns = _Growing(), Columns()
                    self._offset, self._inode = 0, status.st_ino
                log.seek(self._offset)
                content = log.read(status.st_size - self._offset)
        except FileNotFoundError:
            return []
        whole = content.rfind(b"\n") + 1  # half a line is being written, or was torn by a crash
        self._offset += whole
        return content[:whole].splitlines()


class _Part:
    """Columns of one part of the commits, such as their scalars."""

    def __init__(self, name: str, without: float) -> None:
        self._name, self._without = name, without
        self._columns: dict[str, array[float]] = {}

    def put(self, commit: Json, at: int) -> None:
        """Puts a commit's values at a place: an earlier one, or the next."""
        given = commit.get(self._name)
        if not isinstance(given, dict):
            return
        columns = self._columns
        for name, value in given.items():
            column = columns.get(name)
            if type(value) is float and column is not None and len(column) == at:  # nearly always
                column.append(value)
            else:
                self._put(name, _float(value), at)

    def _put(self, name: str, value: float, at: int) -> None:
        column = self._columns.setdefault(name, array("d"))
        if len(column) < at:
            column.extend([self._without] * (at - len(column)))
        if len(column) == at:
            column.append(value)
        else:
            column[at] = value

    def columns(self, places: Sequence[int], newest: Json) -> dict[str, Numbers]:
        """By name, in the order of the newest commit's; the names that it lacks come after."""
        count = max(places, default=-1) + 1
        named: Json = newest.get(self._name) or {}
        order: dict[str, None] = dict.fromkeys([*named, *self._columns])
        in_order = list(places) == list(range(count))
        found: dict[str, Numbers] = {}
        for name in order:
            column = self._columns.get(name, array("d"))
            column.extend([self._without] * (count - len(column)))
            found[name] = column[:count] if in_order else array("d", [column[p] for p in places])
        return found


class _Growing:
    """Commits as they are read; of a repeated iteration the newest driver's counts."""

    def __init__(self) -> None:
        self._places: dict[int, int] = {}  # by iteration
        self._epochs: list[int] = []
        self._committed: list[float] = []
        self._parts = {
            "scalars": _Part("scalars", math.nan),
            "seconds": _Part("seconds", math.nan),
            "usage": _Part("usage", 0.0),
        }
        self._newest: Json = {}

    def add(self, commit: Json) -> None:
        """Takes a commit in."""
        number, epoch = commit["iteration"], commit["epoch"]
        at = self._places.setdefault(number, len(self._places))
        when = _seconds(commit.get("committed"))
        if at == len(self._epochs):
            self._epochs.append(epoch)
            self._committed.append(when)
        elif epoch < self._epochs[at]:  # a late line of a driver that had lost the run
            return
        else:
            self._epochs[at], self._committed[at] = epoch, when
        if epoch >= self._newest.get("epoch", 0):
            self._newest = commit
        for name, part in self._parts.items():
            if name != "seconds" or epoch != NO_DRIVER:
                part.put(commit, at)

    def columns(self) -> Columns:
        """All of them; what an older driver did beyond the newest one's iteration is undone."""
        last = self._newest.get("iteration", 0)
        numbers = sorted(number for number in self._places if number <= last)
        places = [self._places[number] for number in numbers]
        found = {n: part.columns(places, self._newest) for n, part in self._parts.items()}
        return Columns(
            iterations=numbers,
            epochs=[self._epochs[place] for place in places],
            committed=[self._committed[place] for place in places],
            spent=_floats(self._newest.get("spent")),
            **found,
        )


def _commits(lines: Iterable[bytes]) -> Iterator[Json]:
    for line in lines:
        try:
            found = from_json(line)
            if isinstance(found["iteration"], int) and isinstance(found["epoch"], int):
                yield found
        except (ValueError, KeyError, TypeError):  # a line that a crash cut off
            continue


def _floats(values: object) -> dict[str, float]:
    return {k: _float(v) for k, v in values.items()} if isinstance(values, dict) else {}


def _float(value: object) -> float:
    if isinstance(value, float | int):
        return value
    try:
        return float(str(value))  # NaN and inf are texts in JSON
    except ValueError:
        return math.nan


def _seconds(when: object) -> float:
    try:
        return datetime.fromisoformat(str(when)).timestamp()
    except ValueError:
        return math.nan
