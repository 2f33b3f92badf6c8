"""Whether an algorithm keeps the contract that its runs are resumed by.

Its run is driven many times: as it is; again; with other global randomness, folder, environment, clock,
hash seed, threads and order of parts; in other processes; in several lives; killed before and after
every write. All have to end with the same bits. What differs is named by hook, iteration and field,
with what brought it about.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from qcsc_loop.algorithm import AnyAlgorithm
from qcsc_loop.errors import CheckFailed, InputError
from qcsc_loop.testing.checking import clock, elsewhere
from qcsc_loop.testing.checking.comparing import Difference
from qcsc_loop.testing.checking.findings import Checked
from qcsc_loop.testing.checking.judging import Judge, Otherwise, Say
from qcsc_loop.testing.checking.orders import Life, When
from qcsc_loop.testing.checking.process import THREADS, LivingProcess, living_process
from qcsc_loop.testing.checking.surroundings import (
    Variables,
    other_environment,
    other_values,
    suspects,
)

UNWRITTEN = 0x5A  # a byte of memory; doubles of it are 4e125

ANEW = (
    "it is run in another process (something that was read when the file was imported, such as a "
    "random number or the clock; or an object's id)"
)
ANOTHER_ENVIRONMENT = (
    "it is run in another environment (HOME, LANG, TZ and all that it need not have)"
)
_IMPORTED = "its file was imported in another folder, on another machine, at another time"
_ENVIRONMENT, _MACHINE, _CLOCK = (
    "the environment has",
    "it is on another machine",
    "its clock shows",
)


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
        self._algorithm, self._folder = algorithm, folder
        self._life = Life(store="", iterations=iterations, seed=seed)
        self.checked = Checked(type(algorithm).__name__, iterations)
        self._judge = Judge(self.checked, folder, say)

    def make(self, kills: int | None) -> None:
        judge = self._judge
        with living_process(self._algorithm) as live:
            first = live(replace(self._life, store=str(judge.first), watch=True))
            if not judge.lived_first(first):
                return
            if not judge.is_same(live, "it is run again", replace(self._life, start=1)):
                return  # everything else would differ as well
            self._change_the_world(live)
            self._resume(live)
            self._kill(live, first.writes, kills)
        self._begin_anew()
        judge.note_what_is_left()

    def _change_the_world(self, live: LivingProcess) -> None:
        life, judge = self._life, self._judge
        cwd = judge.new("cwd")
        worlds = {
            "global random generators have another state": replace(life, start=2),
            "it is started in another folder": replace(life, folder=cwd),
            f"{_MACHINE} ({elsewhere.DIFFERS})": replace(life, elsewhere=True),
            f"{_CLOCK} {clock.DIFFERS}": replace(life, earlier=True),
            "parts are begun in another order": replace(life, reverse=True),
            "it was run before in the same process": replace(life, twice=True),
        }
        names = self._read(in_hooks=True)
        also = {"PATH", *THREADS}.intersection(names)
        if changed := other_values(names, self._folder, also=also):
            what = f"{_ENVIRONMENT} another {', '.join(sorted(changed))}"
            worlds[what] = replace(life, variables=dict(changed))
        for what, world in worlds.items():
            judge.is_same(live, what, world)

    def _begin_anew(self) -> None:
        """In other processes, which import the algorithm anew: in one with all of it at once.

        Only if that has other bits, in one for each: first with all else equal, which explains others.
        """
        changed = other_environment(self._folder, self._read())
        others: dict[str, dict[str, Any]] = {
            ANEW: {},
            "Python's hash seed is another one (the order of sets)": {"hash_seed": 2},
            "it has more threads (the order of sums)": {"threads": 2},
            "memory that it has not written holds something else": {"memory": UNWRITTEN},
            _IMPORTED: {"elsewhere": self._judge.new("cwd")},
            ANOTHER_ENVIRONMENT: {"variables": changed},
        }
        together = {name: value for each in others.values() for name, value in each.items()}
        if self._in_another(**together) is None:
            for what in others:
                self._judge.done(f"the same bits when {what}")
            return
        seen = (_MACHINE, _CLOCK, _ENVIRONMENT)
        in_hooks = [at for begins in seen for at in self._judge.found_by(begins)]
        known: list[Difference] = []
        for what, options in others.items():
            found = self._in_another(**options)
            if what == _IMPORTED:
                known += in_hooks
            if found is None:
                self._judge.done(f"the same bits when {what}")
            elif found.at not in known:
                self._judge.find(self._named(what, found, changed), found)
            if what == ANEW and found is not None:
                known.append(found.at)

    def _named(self, what: str, found: Otherwise, changed: Variables) -> str:
        """Of what was changed in the environment, the variable that makes the difference."""
        name = self._variable(found, changed) if what == ANOTHER_ENVIRONMENT else ""
        return f"{_ENVIRONMENT} another {name}" if name else what

    def _variable(self, found: Otherwise, changed: Variables) -> str:
        """Which one it is that makes the difference alone; empty: none of those that are likely."""
        for names in suspects(self._read()):
            alone = {name: changed[name] for name in names if name in changed}
            other = self._in_another(variables=alone) if alone else None
            if other is not None and other.at == found.at:
                return " or ".join(alone)
        return ""

    def _read(self, *, in_hooks: bool = False) -> list[str]:
        """The variables that its own files read; if asked so, only those read in a hook."""
        asked = [each for each in self._judge.asked if each.what == "the environment"]
        return sorted({each.name for each in asked if each.hook or not in_hooks})

    def _in_another(self, **options: Any) -> Otherwise | None:
        """What comes out otherwise in a process of its own."""
        try:
            with living_process(self._algorithm, **options) as live:
                return self._judge.compare(live, self._life)
        except InputError as error:
            return Otherwise(Difference("", 0, ""), f"it fails: {error}")

    def _resume(self, live: LivingProcess) -> None:
        """Run n is run k and its resume, for every k."""
        for k in range(self._life.iterations):
            store = self._judge.new("store")
            live(replace(self._life, store=store, iterations=k))
            what = f"it is resumed after iteration {k}"
            if not self._judge.is_same(live, what, self._life, store):
                return
        self._judge.done(f"resumed after each of {self._life.iterations} iterations")

    def _kill(self, live: LivingProcess, writes: int, kills: int | None) -> None:
        whens: tuple[When, ...] = ("before", "after")
        points = [(number, when) for number in range(1, writes + 1) for when in whens]
        if kills is not None and kills < len(points):
            points = [points[i * len(points) // kills] for i in range(kills)]
        for number, when in points:
            store = self._judge.new("store")
            live(replace(self._life, store=store, die_at=number, when=when))
            self.checked.kills += 1
            what = f"it is killed {when} write {number}"
            if not self._judge.is_same(live, what, self._life, store):
                return
        if points:
            done = f"killed at {len(points)} of its {2 * writes} write boundaries, and resumed"
            self._judge.done(done)
