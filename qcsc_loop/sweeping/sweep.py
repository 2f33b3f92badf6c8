"""Sweeps in Python: `sweep` runs one, `Sweep` is one in a store, `sweeps` are all of a store."""

from __future__ import annotations

import html
import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qcsc_loop.algorithm import AnyAlgorithm
from qcsc_loop.concurrency.loading import class_reference
from qcsc_loop.errors import InputError, QcscLoopError
from qcsc_loop.events import Observer
from qcsc_loop.notebook import Drawing, Run, write_page
from qcsc_loop.parameters.environment import environment
from qcsc_loop.plain import Json
from qcsc_loop.rules.stop import StopRule
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.sweeping.facts import facts_of
from qcsc_loop.sweeping.page import sweep_page
from qcsc_loop.sweeping.picture import group_figure
from qcsc_loop.sweeping.plan import AT_ONCE, Halving, Plan
from qcsc_loop.sweeping.python_plan import choices_of, plan_of
from qcsc_loop.sweeping.running import Manner, run_sweep
from qcsc_loop.sweeping.standing import Standing, read_standing
from qcsc_loop.sweeping.summary import Row, claim, rows_of
from qcsc_loop.sweeping.sweep_journal import sweep_names
from qcsc_loop.sweeping.table import plain_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Place = DirectoryStore | str | Path | None


class Sweep:
    """A sweep in a store, as it stands whenever it is asked.

    Args:
        name: its name.
        store: where it is; by default the folder QCSC_LOOP_STORE or ~/.qcsc-loop.

    Raises:
        SweepNotFound: the store has no such sweep.
    """

    def __init__(self, name: str, *, store: Place = None) -> None:
        self.name, self._store = name, _store(store)
        self.standing  # noqa: B018  # that there is one is known from here on

    @property
    def standing(self) -> Standing:
        """All that can be seen of it right now."""
        return read_standing(self._store, self.name)

    @property
    def plan(self) -> Plan:
        """What it is."""
        return self.standing.plan

    @property
    def status(self) -> str:
        """In a word: "running", "done", "incomplete", …."""
        return str(self.standing.status)

    @property
    def message(self) -> str:
        """How it stands, in a sentence."""
        return self.standing.sentence

    @property
    def rows(self) -> list[Row]:
        """A row for each setting: median, range and paired differences."""
        return rows_of(self.standing)

    @property
    def facts(self) -> Json:
        """As plain JSON; docs/sweeps.md says what each name means."""
        return facts_of(self.standing).model_dump(mode="json")

    @property
    def runs(self) -> list[Run]:
        """The members that have begun, as runs."""
        begun = [each.member.run_id for each in self.standing.members if each.view is not None]
        return [Run(run_id, store=self._store) for run_id in begun]

    def to_pandas(self) -> Any:
        """Its members as a `pandas.DataFrame`, a row each.

        Raises:
            InputError: pandas is not installed.
        """
        try:
            import pandas  # type: ignore[import-untyped, import-not-found, unused-ignore]
        except ImportError:
            raise InputError("to_pandas() needs pandas: pip install pandas") from None
        members = facts_of(self.standing).members
        rows = [{**m.model_dump(exclude={"spent"}), **m.spent} for m in members]
        return pandas.DataFrame(rows).astype({"value": float})

    def plot(self, group: str | None = None, *, ax: Axes | None = None) -> Drawing:
        """All members' curves, with the median of each setting and what it lies between.

        Args:
            group: which of several; by default the first.
            ax: axes of matplotlib's to draw on.
        """
        standing = self.standing
        return Drawing(group_figure(standing, group or standing.plan.groups[0]), ax)

    def report(self, path: str | Path) -> Path:
        """Writes a page of it, one HTML file that needs nothing else.

        Raises:
            InputError: it cannot be written there.
        """
        return write_page(path, sweep_page(self.standing, datetime.now(UTC)))

    async def resume(self, **manner: Any) -> Sweep:
        """Goes on with it, as it is recorded; options are those of `Manner`."""
        await run_sweep(self.plan, self._store, Manner(**manner))
        return self

    def __str__(self) -> str:
        standing = self.standing
        rows = rows_of(standing)
        lines = [f"{self.name}: {standing.status}; {standing.sentence}"]
        for group in standing.plan.groups:
            own = [row for row in rows if row.group == group]
            lines += ["", *plain_lines(own), *(claim(row) for row in own if row.against)]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"{self.plot()}<pre>{html.escape(str(self))}</pre>"


async def sweep(  # noqa: PLR0913  # a public call, with keyword-only options
    algorithm: AnyAlgorithm | Mapping[str, AnyAlgorithm],
    *,
    name: str,
    grid: Mapping[str, Sequence[Any]] | None = None,
    seeds: int | Sequence[int] = 1,
    stop: StopRule | None = None,
    at_once: int = AT_ONCE,
    budget: Mapping[str, float] | None = None,
    iteration: Mapping[str, float | str] | None = None,
    halving: Halving | None = None,
    baseline: str = "",
    store: Place = None,
    observers: Sequence[Observer] = (),
    take_over: bool = False,
) -> Sweep:
    """Runs an algorithm over settings and seeds, each an ordinary run, and gives what came of it.

    Called again with the same name and members it goes on with what was killed, and repeats nothing.

    >>> import anyio
    >>> from tempfile import mkdtemp
    >>> from qcsc_loop import MaxIterations, RandomSampler, sweep
    >>> from qcsc_algorithms.sqd import SQD
    >>> h2 = {"geometry": "H 0 0 0; H 0 0 0.735", "basis": "sto-3g"}
    >>> async def main():
    ...     sqd = SQD(system=h2, optimizer="random")
    ...     return await sweep(sqd, name="h2", grid={"shots": [50, 100]}, seeds=2,
    ...                        stop=MaxIterations(1), store=mkdtemp())
    >>> found = anyio.run(main)
    >>> found.status, [row.values for row in found.rows]
    ('done', [2, 2])

    Args:
        algorithm: with the parameters of all members; or several settings, each under its label.
        name: the sweep's: 1 to 32 lower-case letters, digits and dashes.
        grid: dotted parameter to its values; every combination is a setting.
        seeds: how many, from 0, or which.
        stop: each member's rule; by default as of a run.
        at_once: how many members go at once.
        budget: of all members together: "shots", "qpu_seconds", "node_hours".
        iteration: what an iteration costs at most, for each amount of the budget: a number, or a
            product of parameters such as "population * shots".
        halving: stops settings that can no longer win; None: none is stopped.
        baseline: the setting that the others are compared with; by default the first.
        store: by default the folder QCSC_LOOP_STORE or ~/.qcsc-loop.
        observers: told of the sweep (`sweeping.events`) and of its members' runs.
        take_over: from a process that drives the sweep, even if it lives.

    Raises:
        InvalidParameters: it cannot be as asked for; nothing was started.
        SweepChanged: there is another sweep of that name.
        SweepLocked: another process drives it.
    """
    choices = choices_of(algorithm, grid)
    place = _store(store)
    plan = plan_of(
        choices,
        name=name,
        seeds=seeds,
        stop=stop,
        at_once=at_once,
        budget=budget,
        iteration=iteration,
        halving=halving,
        baseline=baseline,
    )
    kinds = {class_reference(kind): kind for kind in choices}
    manner = Manner(kinds=kinds, observers=observers, take_over=take_over)
    await run_sweep(plan, place, manner)
    return Sweep(name, store=place)


def sweeps(store: Place = None) -> list[Sweep]:
    """The sweeps of a store, newest last; a warning names those that cannot be read."""
    place = _store(store)
    found: list[tuple[datetime, Sweep]] = []
    for name in sweep_names(place):
        try:
            each = Sweep(name, store=place)
            found.append((each.plan.created, each))
        except QcscLoopError as error:
            warnings.warn(f"the sweep {name!r} is left out: {error}", stacklevel=2)
    return [each for _, each in sorted(found, key=lambda pair: pair[0])]


def _store(given: Place) -> DirectoryStore:
    if isinstance(given, DirectoryStore):
        return given
    return DirectoryStore(given or environment().store)
