"""Whether a life of a run has come out as its first one did, and what is said of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from qcsc_loop.testing.checking.comparing import Difference, first_difference_of, submissions
from qcsc_loop.testing.checking.findings import Checked, Finding
from qcsc_loop.testing.checking.orders import Asked, Life, Lived
from qcsc_loop.testing.checking.process import LivingProcess

QUIET = ("the process", "the machine", "unwritten memory")  # asked for often, and for good reasons

Say = Callable[[str], None]


@dataclass(frozen=True)
class Otherwise:
    """A life that has come out otherwise."""

    at: Difference
    words: str


class Judge:
    """Compares lives with the first one, and keeps what it finds.

    Args:
        folder: where lives get their stores.
        say: told what was done and found, a line each.

    Attributes:
        asked: what the first life asked of the world.
    """

    def __init__(self, checked: Checked, folder: Path, say: Say) -> None:
        self.checked = checked
        self.asked: Sequence[Asked] = ()
        self._folder, self._say, self._number = folder, say, 0
        self.first = folder / "first"

    def lived_first(self, lived: Lived) -> bool:
        """Whether there is something to compare with."""
        self.asked = lived.asked
        if lived.error:
            failed = _failed(lived)
            self._add("it is run", failed.at, failed.words)
        return not lived.error

    def compare(self, live: LivingProcess, life: Life, store: str = "") -> Otherwise | None:
        """Has a life lived, and says what came out otherwise; None: nothing, nor were there more jobs.

        Args:
            store: with what an earlier life has left.
        """
        store = store or self.new("store")
        lived = live(replace(life, store=store))
        if lived.error:
            failed = _failed(lived)
            return replace(failed, words=f"it fails: {failed.words}")
        difference = first_difference_of(self.first, Path(store))
        if difference is not None:
            return Otherwise(difference, self._words(difference))
        more = submissions(Path(store)) - submissions(self.first)
        shutil.rmtree(store, ignore_errors=True)
        return Otherwise(Difference("", 0, ""), f"{more} more jobs are submitted") if more else None

    def is_same(self, live: LivingProcess, what: str, life: Life, store: str = "") -> bool:
        """Whether nothing came out otherwise; else it is a finding."""
        found = self.compare(live, life, store)
        if found is not None:
            self.find(what, found)
        elif not store:
            self.done(f"the same bits when {what}")
        return found is None

    def find(self, what: str, found: Otherwise) -> None:
        """Adds a finding."""
        self._add(what, found.at, f"when {what}, {found.words}")

    def found_by(self, begins: str) -> list[Difference]:
        """Where what was tried with such words has come out otherwise."""
        found = [f for f in self.checked.findings if f.check.startswith(begins)]
        return [Difference(each.hook, each.iteration, each.part) for each in found]

    def done(self, what: str) -> None:
        """Adds a check that was passed."""
        self.checked.done.append(what)
        self._say(f"✓ {what}")

    def note_what_is_left(self) -> None:
        """Of what the hooks have asked for and nothing came of."""
        blamed = {"", *(finding.hook for finding in self.checked.findings)}
        for asked in self.asked:
            if asked.hook not in blamed and asked.what not in QUIET:
                note = f"{asked.hook} asks for {asked.what} ({asked}); no bit depended on it here"
                self.checked.notes.append(note)
                self._say(f"· {note}")

    def new(self, kind: str) -> str:
        """A folder."""
        self._number += 1
        path = self._folder / f"{kind}-{self._number}"
        path.mkdir()
        return str(path)

    def _words(self, at: Difference) -> str:
        part = f" ({at.part})" if at.part else ""
        suspects = "; ".join(f"{each.what}: {each}" for each in self.asked if each.hook == at.hook)
        asks = f". It asks for {suspects}" if suspects else ""
        return (
            f"{self.checked.algorithm}.{at.hook} returns something else in iteration "
            f"{at.iteration}{part}{asks}"
        )

    def _add(self, check: str, at: Difference, words: str) -> None:
        self.checked.findings.append(Finding(check, at.hook, at.iteration, at.part, words))
        self._say(f"! {words}")


def _failed(lived: Lived) -> Otherwise:
    said = f". Its output ends: {lived.said}" if lived.said else ""
    at = Difference(lived.hook, lived.iteration, lived.part)
    return Otherwise(at, f"{lived.error.rstrip('.')}{said}")
