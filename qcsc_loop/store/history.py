"""A run's history: a line for each committed iteration, for ever; read whole, or from its end.

A repeated iteration has several lines, and that of the newest epoch counts. Lines are in the order
of epochs and, within one, of iterations, but for the single late line of a driver that stood still
between the check of its lease and its write. So a reader from the end may stop at a line that is
older than all it wanted, of an epoch that is no newer than those: nothing before it counts more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice

from pydantic import ValidationError

from qcsc_loop.store.checksum import add_checksum, is_intact
from qcsc_loop.store.records import Commit
from qcsc_loop.store.store import Store

Found = dict[int, Commit]


class History:
    """The log of one run's commits."""

    def __init__(self, store: Store, name: str) -> None:
        self._store, self._name = store, name

    def add(self, commits: Iterable[Commit]) -> None:
        """Adds lines, durably."""
        if lines := [add_checksum(commit.model_dump_json().encode()) for commit in commits]:
            self._store.append(self._name, lines)

    def whole(self) -> list[Commit]:
        """Every committed iteration, oldest first."""
        return _in_order(_merged(_commits(self._store.lines(self._name))))

    def newest(self) -> Commit | None:
        """What the run has come to: what the newest driver committed last, which may have begun
        before an older one's end."""
        lines = list(islice(self._from_end(), 2))
        return max(lines, key=lambda line: line.epoch, default=None)  # the last one may be late

    def last(self, count: int, through: int) -> list[Commit]:
        """The last so many up to an iteration, oldest first."""

        def enough(found: Found, line: Commit) -> bool:
            if len(found) < count:
                return False
            wanted = sorted(found)[-count:]
            return line.iteration < wanted[0] and line.epoch <= min(found[k].epoch for k in wanted)

        lines = (commit for commit in self._from_end() if commit.iteration <= through)
        return _in_order(_merged(lines, enough))[-count:]

    def after(self, iteration: int) -> list[Commit]:
        """Those after an iteration, oldest first, up to the newest."""
        newest = self.newest()
        if newest is None:
            return []
        before: list[Commit] = []

        def enough(found: Found, line: Commit) -> bool:
            if line.iteration > iteration:
                before.clear()
                return False
            before.append(line)  # one alone may be a late one
            return len(before) > 1 and line.epoch <= before[-2].epoch

        found = _in_order(_merged(self._from_end(), enough))
        return [each for each in found if iteration < each.iteration <= newest.iteration]

    def spent(self, through: int) -> Mapping[str, float]:
        """What the steps up to an iteration have cost, by name. Reads everything."""
        total: Counter[str] = Counter()
        for commit in self.whole():
            if commit.iteration <= through:
                total.update(commit.usage)
        return dict(total)

    def _from_end(self) -> Iterator[Commit]:
        return _commits(self._store.lines_from_end(self._name))


def _commits(lines: Iterable[bytes]) -> Iterator[Commit]:
    for line in filter(is_intact, lines):
        try:
            yield Commit.model_validate_json(line)
        except ValidationError:  # a line that a crash cut off; its checkpoint still has it
            continue


def _merged(
    commits: Iterable[Commit], enough: Callable[[Found, Commit], bool] = lambda _found, _line: False
) -> Found:
    """The newest epoch's commit of each iteration, until a line that is not needed any more."""
    found: Found = {}
    for commit in commits:
        if enough(found, commit):
            break
        known = found.get(commit.iteration)
        if known is None or known.epoch < commit.epoch:
            found[commit.iteration] = commit
    return found


def _in_order(found: Found) -> list[Commit]:
    return [found[iteration] for iteration in sorted(found)]
