"""What drivers of one run do to one disk, as a model: each step is one that nothing can come into.

A driver claims the next epoch, reads where to go on, and commits iteration after iteration: it looks
whether there is a newer driver, writes the checkpoint, adds the line. It may stand still before any
of these, for however long, while others take the run over; and it may die there.

What an iteration makes is different for every driver here, though hooks give the same: so it is seen
who went on from whose.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

Phase = Literal[
    "out",  # drives nothing
    "looked",  # has seen which epoch is the next one
    "claimed",
    "completes",  # has read a checkpoint that has no line
    "settles",  # goes on from what an older driver than the last one has made
    "may settle",
    "ready",
    "may write",
    "written",
]
State = tuple[int, ...]
"""Which drivers made it, an iteration each; iteration 0 is anybody's."""

FIRST: State = (0,)


@dataclass(frozen=True)
class Line:
    """A commit: a checkpoint, or its line in the history."""

    state: State
    epoch: int

    @property
    def iteration(self) -> int:
        return len(self.state) - 1


@dataclass(frozen=True)
class Driver:
    """A process; `at` is what it goes on from, by which epoch's commit."""

    phase: Phase = "out"
    epoch: int = 0
    at: Line = Line(FIRST, 0)


@dataclass(frozen=True)
class World:
    """A disk and the processes that know it."""

    epochs: int = 0
    checkpoints: frozenset[Line] = frozenset({Line(FIRST, 0)})
    history: tuple[Line, ...] = (Line(FIRST, 0),)
    drivers: tuple[Driver, ...] = (Driver(), Driver())

    def step(self, number: int) -> World:
        """After the next step of a driver."""
        driver = self.drivers[number]
        match driver.phase:
            case "out":
                return self._with(number, Driver("looked", self.epochs + 1))
            case "looked":
                return self._claimed(number, driver)
            case "claimed":
                return self._with(number, self._reads(driver))
            case "settles" | "ready":
                return self._looked_for_newer(number, driver)
            case _:
                return self._written(number, driver)

    def _claimed(self, number: int, driver: Driver) -> World:
        if self.epochs >= driver.epoch:  # another one was quicker
            return self.without(number)
        claimed = replace(self, epochs=driver.epoch)
        return claimed._with(number, replace(driver, phase="claimed"))

    def _looked_for_newer(self, number: int, driver: Driver) -> World:
        if self.epochs > driver.epoch:
            return self.without(number)
        may: Phase = "may write" if driver.phase == "ready" else "may settle"
        return self._with(number, replace(driver, phase=may))

    def _written(self, number: int, driver: Driver) -> World:
        made = Line((*driver.at.state, driver.epoch), driver.epoch)
        match driver.phase:
            case "completes":
                return self._adds(driver.at)._with(number, _begins(driver))
            case "may settle":
                settled = self._adds(Line(driver.at.state, driver.epoch))
                return settled._with(number, replace(driver, phase="ready"))
            case "may write":
                world = replace(self, checkpoints=self.checkpoints | {made})
                return world._with(number, replace(driver, phase="written"))
            case _:
                return self._adds(made)._with(number, replace(driver, phase="ready", at=made))

    def without(self, number: int) -> World:
        """After a driver's death, or its finding out that it has lost the run."""
        return self._with(number, Driver())

    @property
    def counting(self) -> dict[int, Line]:
        """The line that counts of each iteration: the newest driver's."""
        found: dict[int, Line] = {}
        for line in self.history:
            known = found.setdefault(line.iteration, line)
            found[line.iteration] = max(known, line, key=lambda each: each.epoch)
        last = max(self.history[:-3:-1], key=lambda each: each.epoch)  # one may be late
        return {k: found[k] for k in sorted(found) if k <= last.iteration}

    @property
    def is_one_run(self) -> bool:
        """Whether each iteration that counts was gone on to from the one before that counts."""
        pairs = pairwise(self.counting.values())
        return all(after.state[:-1] == before.state for before, after in pairs)

    def _reads(self, driver: Driver) -> Driver:
        """The newest checkpoint that the history does not contradict."""
        counting = self.counting
        for found in sorted(self.checkpoints, key=lambda c: (c.iteration, c.epoch), reverse=True):
            line = counting.get(found.iteration)
            if line is None or line.epoch < found.epoch or line.state == found.state:
                read = replace(driver, at=found)
                if line is None or line.epoch < found.epoch:
                    return replace(read, phase="completes")
                return _begins(read)
        raise AssertionError("the first state is always there")

    def _adds(self, line: Line) -> World:
        return replace(self, history=(*self.history, line))

    def _with(self, number: int, driver: Driver) -> World:
        drivers = list(self.drivers)
        drivers[number] = driver
        return replace(self, drivers=tuple(drivers))


def _begins(driver: Driver) -> Driver:
    """One between this driver and its predecessor may stand still before a write of its own."""
    is_old = driver.at.epoch < driver.epoch - 1
    return replace(driver, phase="settles" if is_old else "ready")


def worlds(*, epochs: int, iterations: int) -> Iterator[World]:
    """Every world that can come about, up to so many drivers and iterations."""
    seen, left = {World()}, [World()]
    while left:
        world = left.pop()
        yield world
        for number, driver in enumerate(world.drivers):
            for after in (world.step(number), world.without(number)):
                small = after.epochs <= epochs and driver.at.iteration <= iterations
                if small and after not in seen:
                    seen.add(after)
                    left.append(after)
