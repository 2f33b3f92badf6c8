"""Whether an algorithm keeps the contract that its runs are resumed by.

Its run is driven many times: as it is; again; with other global randomness, folder, environment, hash
seed, threads and order of parts; in several lives; killed before and after every write. All have to end
with the same bits. What differs is named by hook, iteration and field, with what brought it about.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from qcsc_loop.algorithm import AnyAlgorithm
from qcsc_loop.errors import CheckFailed, InputError
from qcsc_loop.testing.checking.comparing import Difference, first_difference_of, submissions
from qcsc_loop.testing.checking.elsewhere import DIFFERS
from qcsc_loop.testing.checking.orders import Asked, Life, Lived, When
from qcsc_loop.testing.checking.process import LivingProcess, living_process

UNWRITTEN = 0x5A  # a byte of memory; doubles of it are 4e125
QUIET = ("the process", "the machine", "unwritten memory")  # asked for often, and for good reasons

Say = Callable[[str], None]


@dataclass(frozen=True)
class Finding:
    """A way in which the contract is not kept.

    Attributes:
        check: what was tried.
        hook, iteration, part: what came out otherwise; part is a dotted name of a field.
        words: all of it, in a sentence.
    """

    check: str
    hook: str
    iteration: int
    part: str
    words: str


@dataclass
class Checked:
    """What a check has found.

    Attributes:
        done: the checks that were made, in words.
        findings: what is wrong; empty: nothing was found.
        notes: what the hooks ask of the world, though it has changed no bit here.
        kills: how often the run was killed.
        seconds: how long all of it took.
    """

    algorithm: str
    iterations: int
    done: list[str] = field(default_factory=list[str])
    findings: list[Finding] = field(default_factory=list[Finding])
    notes: list[str] = field(default_factory=list[str])
    kills: int = 0
    seconds: float = 0.0


def check_algorithm(
    algorithm: AnyAlgorithm,
    *,
    iterations: int = 3,
    seed: int = 0,
    kills: int | None = None,
    say: Say = lambda _text: None,
) -> Checked:
    """Drives an algorithm's run in many ways and refuses it if one of them has other bits.

    A run of `iterations` iterations should take seconds: it is driven some ten times as a whole, and
    twice for each write. Remote jobs and QPUs are used as the algorithm's parameters say: give it
    simulators and a local machine.

    Args:
        algorithm: with its parameters; its class in a file or a module, where others find it.
        iterations: how many are driven.
        seed: the run's.
        kills: how many of the kills are made, spread over all; None: every one.
        say: told what was done, a line each.

    Raises:
        CheckFailed: it does not keep the contract; says where, and by what.
        InputError: its class cannot be imported elsewhere.

    Example:
        >>> from qcsc_algorithms.bitcount import BitCount
        >>> check_algorithm(BitCount(num_qubits=2, shots=10), iterations=1, kills=2).findings
        []
    """
    checked = find_impurities(algorithm, iterations=iterations, seed=seed, kills=kills, say=say)
    if checked.findings:
        raise CheckFailed(checked.algorithm, [finding.words for finding in checked.findings])
    return checked


def find_impurities(
    algorithm: AnyAlgorithm,
    *,
    iterations: int = 3,
    seed: int = 0,
    kills: int | None = None,
    say: Say = lambda _text: None,
) -> Checked:
    """As `check_algorithm`, for whoever wants to know what was found rather than an error."""
    if iterations < 1:
        raise InputError(f"a check drives at least 1 iteration, not {iterations}")
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="qcsc-loop-check-"))
    try:
        check = _Check(algorithm, folder, iterations, seed, say)
        check.make(kills)
        check.checked.seconds = time.monotonic() - began
        return check.checked
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Check:
    def __init__(
        self, algorithm: AnyAlgorithm, folder: Path, iterations: int, seed: int, say: Say
    ) -> None:
        self._algorithm = algorithm
        self._folder, self._say = folder, say
        self._life = Life(store="", iterations=iterations, seed=seed)
        self._first = folder / "first"
        self._asked: Sequence[Asked] = ()
        self._number = 0
        self.checked = Checked(type(algorithm).__name__, iterations)

    def make(self, kills: int | None) -> None:
        with living_process(self._algorithm, hash_seed=1, threads=1) as live:
            first = live(replace(self._life, store=str(self._first), watch=True))
            if first.error:
                self._fail("it is run", first)
                return
            self._asked = first.asked
            if not self._same(live, "it is run again", replace(self._life, start=1)):
                return  # everything else would differ as well
            self._change_the_world(live)
            self._resume(live)
            self._kill(live, first.writes, kills)
        with living_process(self._algorithm, hash_seed=2, threads=1) as live:
            self._same(live, "Python's hash seed is another one (the order of sets)", self._life)
        with living_process(self._algorithm, hash_seed=1, threads=2) as live:
            self._same(live, "it has more threads (the order of sums)", self._life)
        with living_process(self._algorithm, hash_seed=1, threads=1, memory=UNWRITTEN) as live:
            self._same(live, "memory that it has not written holds something else", self._life)
        self._note_what_is_left()

    def _change_the_world(self, live: LivingProcess) -> None:
        life = self._life
        self._same(live, "global random generators have another state", replace(life, start=2))
        self._same(live, "it is started in another folder", replace(life, folder=self._new("cwd")))
        self._same(live, f"it is on another machine ({DIFFERS})", replace(life, elsewhere=True))
        self._same(live, "parts are begun in another order", replace(life, reverse=True))
        self._same(live, "it was run before in the same process", replace(life, twice=True))
        if names := sorted({a.name for a in self._asked if a.what == "the environment"}):
            changed: dict[str, str | None] = {n: _other(os.environ.get(n)) for n in names}
            what = f"the environment has another {', '.join(names)}"
            self._same(live, what, replace(life, variables=changed))

    def _resume(self, live: LivingProcess) -> None:
        """Run n is run k and its resume, for every k."""
        for k in range(self._life.iterations):
            store = self._new("store")
            live(replace(self._life, store=store, iterations=k))
            if not self._same(live, f"it is resumed after iteration {k}", self._life, store):
                return
        self._done(f"resumed after each of {self._life.iterations} iterations")

    def _kill(self, live: LivingProcess, writes: int, kills: int | None) -> None:
        whens: tuple[When, ...] = ("before", "after")
        points = [(number, when) for number in range(1, writes + 1) for when in whens]
        if kills is not None and kills < len(points):
            points = [points[i * len(points) // kills] for i in range(kills)]
        for number, when in points:
            store = self._new("store")
            live(replace(self._life, store=store, die_at=number, when=when))
            self.checked.kills += 1
            if not self._same(live, f"it is killed {when} write {number}", self._life, store):
                return
        if points:
            self._done(f"killed at {len(points)} of its {2 * writes} write boundaries, and resumed")

    def _same(self, live: LivingProcess, what: str, life: Life, store: str = "") -> bool:
        """Whether a life has the first one's bits, and no more jobs; else it is a finding."""
        resumed = bool(store)
        store = store or self._new("store")
        lived = live(replace(life, store=store))
        if lived.error:
            self._fail(what, lived, f"when {what}, it fails: ")
            return False
        difference = first_difference_of(self._first, Path(store))
        if difference is not None:
            self._add(what, difference, self._words(what, difference))
            return False
        more = submissions(Path(store)) - submissions(self._first)
        if more:
            words = f"when {what}, {more} more jobs are submitted"
            self._add(what, Difference("", 0, ""), words)
            return False
        shutil.rmtree(store, ignore_errors=True)
        if not resumed:
            self._done(f"the same bits when {what}")
        return True

    def _words(self, what: str, difference: Difference) -> str:
        name, hook = self.checked.algorithm, difference.hook
        part = f" ({difference.part})" if difference.part else ""
        suspects = self._suspects(hook)
        asks = f". It asks for {suspects}" if suspects else ""
        return (
            f"when {what}, {name}.{hook} returns something else in iteration "
            f"{difference.iteration}{part}{asks}"
        )

    def _suspects(self, hook: str) -> str:
        found = [asked for asked in self._asked if asked.hook == hook]
        return "; ".join(f"{asked.what}: {asked}" for asked in found)

    def _fail(self, what: str, lived: Lived, before: str = "") -> None:
        said = f". Its output ends: {lived.said}" if lived.said else ""
        at = Difference(lived.hook, lived.iteration, lived.part)
        self._add(what, at, f"{before}{lived.error.rstrip('.')}{said}")

    def _add(self, check: str, at: Difference, words: str) -> None:
        self.checked.findings.append(Finding(check, at.hook, at.iteration, at.part, words))
        self._say(f"! {words}")

    def _done(self, what: str) -> None:
        self.checked.done.append(what)
        self._say(f"✓ {what}")

    def _note_what_is_left(self) -> None:
        blamed = {finding.hook for finding in self.checked.findings}
        for asked in self._asked:
            if asked.hook not in blamed and asked.what not in QUIET:
                note = f"{asked.hook} asks for {asked.what} ({asked}); no bit depended on it here"
                self.checked.notes.append(note)
                self._say(f"· {note}")

    def _new(self, kind: str) -> str:
        self._number += 1
        path = self._folder / f"{kind}-{self._number}"
        path.mkdir()
        return str(path)


def _other(value: str | None) -> str:
    """Another value of the same kind; of what is not set, a number, which is a text as well."""
    try:
        return f"{float(value or 1) + 1:g}"
    except ValueError:
        return f"{value}x"
