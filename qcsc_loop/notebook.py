"""Runs as objects, for notebooks and scripts: `Run`, `runs`, `compare`. Nothing here needs Prefect."""

from __future__ import annotations

import html
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qcsc_loop.catalog import find_algorithm, is_installed, recorded_algorithm
from qcsc_loop.errors import InputError, InvalidRunId, QcscLoopError
from qcsc_loop.jobs.entries import JobRecord
from qcsc_loop.loop.hooks import Table, hook_types
from qcsc_loop.loop.outcome import Outcome
from qcsc_loop.moving.forking import Fork, fork_run
from qcsc_loop.parameters.compare import to_plain
from qcsc_loop.parameters.environment import environment
from qcsc_loop.plain import Json
from qcsc_loop.reports.columns import Columns
from qcsc_loop.reports.comparing import Comparison, compare_runs
from qcsc_loop.reports.figure import ALONG_LABELS, Along, Figure, require_scalar, runs_figure
from qcsc_loop.reports.named_file import write_named
from qcsc_loop.reports.page import run_page
from qcsc_loop.reports.page_sections import Reported
from qcsc_loop.reports.phrases import exact
from qcsc_loop.reports.status import RunStatus
from qcsc_loop.reports.svg import figure_svg
from qcsc_loop.reports.view import Best, RunReader, View
from qcsc_loop.results import read_tables
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal, iteration_of, run_ids
from qcsc_loop.store.live import LogLine
from qcsc_loop.store.records import EndRecord, EpochRecord

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from matplotlib.axes import Axes

    Array = npt.NDArray[np.float64]


class HistoryTable(Mapping[str, "Array"]):
    """A run's history: a column a name, an entry an iteration; NaN where nothing is known.

    `history["energy"]` is a numpy array of float64, shape (iterations,). Beside the scalars there are
    `iteration`, `committed` (seconds since 1970), and the steps' seconds as `sample_seconds`, ….
    """

    def __init__(self, columns: Columns) -> None:
        self._columns: dict[str, Sequence[float]] = {
            "iteration": columns.iterations,
            **columns.scalars,
            "committed": columns.committed,
            **{f"{step}_seconds": values for step, values in columns.seconds.items()},
        }

    def __getitem__(self, name: str) -> Array:
        import numpy as np

        if name not in self._columns:
            raise KeyError(f"{name!r}; there are {', '.join(self._columns)}")
        return np.asarray(self._columns[name], dtype=np.float64)

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def to_pandas(self) -> Any:
        """As a `pandas.DataFrame`, indexed by iteration.

        Raises:
            InputError: pandas is not installed.
        """
        try:
            import pandas  # type: ignore[import-untyped, import-not-found, unused-ignore]
        except ImportError:
            raise InputError("to_pandas() needs pandas: pip install pandas") from None
        return pandas.DataFrame(dict(self)).astype({"iteration": int}).set_index("iteration")


class Drawing:
    """A picture that notebooks show; `str()` is its SVG.

    Args:
        figure: what is drawn.
        ax: axes of matplotlib's, on which it is drawn as well; a notebook shows those, then.
    """

    def __init__(self, figure: Figure, ax: Axes | None = None) -> None:
        self._figure, self._is_elsewhere = figure, ax is not None
        if ax is not None:
            from qcsc_loop.reports.raster import draw_on  # matplotlib's

            draw_on(ax, figure)

    def __str__(self) -> str:
        return figure_svg(self._figure)

    def __repr__(self) -> str:
        return f"Drawing({self._figure.title!r})"

    def _repr_svg_(self) -> str | None:
        return None if self._is_elsewhere else str(self)


class _Drawn(ABC):
    """What has curves."""

    @abstractmethod
    def _drawn(self) -> Sequence[View]:
        """The runs whose these are."""

    def plot(
        self,
        y: str | None = None,
        *,
        x: Along = "iteration",
        log: bool = False,
        ax: Axes | None = None,
    ) -> Drawing:
        """The convergence, a curve a run.

        Args:
            y: another scalar instead.
            x: along what: "iteration", "shots", "qpu" (seconds) or "wall" (seconds of drivers' work).
            log: the distance to the reference, or to the best value.
            ax: axes of matplotlib's to draw on.

        Raises:
            InputError: a run has no such scalar, or there is no such `x`.
        """
        views = self._drawn()
        if y is not None:
            require_scalar(views, y)
        if x not in ALONG_LABELS:
            raise InputError(f"x={x!r}: a curve is drawn along one of {', '.join(ALONG_LABELS)}")
        return Drawing(runs_figure(views, name=y, along=x, log=log), ax)


# Many short properties: what a person asks of a run, each under its own name.
class Run(_Drawn):
    """A run in a store, as it stands whenever it is asked.

    Two are equal if they are the same run: of one id, in one store.

    >>> import anyio
    >>> from tempfile import mkdtemp
    >>> from qcsc_loop import DirectoryStore, Run
    >>> from qcsc_algorithms.bitcount import BitCount
    >>> store = DirectoryStore(mkdtemp())
    >>> algorithm = BitCount(num_qubits=2, shots=100)
    >>> outcome = anyio.run(lambda: algorithm.run(store=store, run_id="ghz"))
    >>> run = Run("ghz", store=store)
    >>> run.status
    'converged'
    >>> int(run.history["shots"][1])
    100
    >>> run.fork("longer").forked_from, [fork.run_id for fork in run.forks]
    ('ghz', ['longer'])

    Args:
        run_id: its id.
        store: where it is; by default the folder QCSC_LOOP_STORE or ~/.qcsc-loop.

    Raises:
        InvalidRunId: that is no text.
        RunNotFound: the store has no such run.
    """

    def __init__(self, run_id: str, *, store: DirectoryStore | str | Path | None = None) -> None:
        if not isinstance(run_id, str):
            raise InvalidRunId(run_id)
        self._store = _store(store)
        self._reader = RunReader(self._store, run_id)
        self.run_id = run_id
        self._reader.look()

    @property
    def view(self) -> View:
        """All that can be seen of it right now."""
        return self._reader.look()

    @property
    def journal(self) -> Journal:
        """Its records."""
        return self._reader.journal

    @property
    def status(self) -> str:
        """In a word: "running", "converged", "failed", …."""
        return str(self.view.status)

    @property
    def message(self) -> str:
        """How it stands, in a sentence."""
        return self.view.message

    @property
    def next(self) -> str:
        """What to type next; empty: nothing is left to do."""
        return self.view.next_command

    @property
    def iteration(self) -> int:
        """The last committed one."""
        return self.view.iteration

    @property
    def headline(self) -> float:
        """Its newest value, in the chart's unit; NaN before there is one."""
        return self.view.headline

    @property
    def best(self) -> Best | None:
        """The iteration and value of the best headline; None where no value is better."""
        return self.view.best

    @property
    def references(self) -> Mapping[str, float]:
        """What the headline is held against, by name."""
        return self.view.chart.references

    @property
    def history(self) -> HistoryTable:
        """Its scalars, as arrays."""
        return HistoryTable(self.view.history)

    @property
    def parameters(self) -> Json:
        """As they were given, with every block's settings."""
        settings = self.view.settings
        return settings.resolved or settings.parameters if settings is not None else {}

    @property
    def seed(self) -> int | None:
        """What its randomness derives from."""
        record = self.view.record
        return None if record is None else record.seed

    @property
    def cost(self) -> Mapping[str, float]:
        """What was spent, by name: `shots`, `qpu_seconds`, `node_hours`."""
        return self.view.spent

    @property
    def jobs(self) -> Sequence[JobRecord]:
        """Its remote jobs, oldest first."""
        return self.view.jobs

    @property
    def drivers(self) -> Sequence[EpochRecord]:
        """Who has driven it, oldest first."""
        return self.journal.epochs()

    @property
    def log(self) -> Sequence[LogLine]:
        """What went wrong and what its hooks logged, oldest first."""
        return self._reader.log()

    @property
    def forked_from(self) -> str | None:
        """The run whose state it began with."""
        record = self.view.record
        return None if record is None or record.forked_from is None else record.forked_from.run_id

    @property
    def forks(self) -> Sequence[Run]:
        """The runs of its store that began with a state of it, oldest first."""
        record = self.view.record
        if record is None:
            return []
        return runs(self._store, where=lambda run: _parent_uid(run) == record.uid)

    def state(self, iteration: int | None = None) -> Any:
        """The state after an iteration, of its own type; by default the last one that is kept.

        Raises:
            InputError: it is not kept.
        """
        names = self.journal.checkpoints()
        for name in names:
            if iteration is None or iteration_of(name) == iteration:
                return self._types().state.decode(self.journal.checkpoint(name)[1])
        kept = ", ".join(str(iteration_of(name)) for name in reversed(names)) or "none"
        raise InputError(
            f"the state of iteration {iteration} of run {self.run_id!r} is not kept; kept are: {kept}"
        )

    def samples(self, iteration: int) -> Any:
        """What `sample` returned in an iteration, of its own type.

        Raises:
            InputError: it is not kept.
        """
        found = self.journal.step(iteration, "sample")
        if found is None:
            raise InputError(
                f"the samples of iteration {iteration} of run {self.run_id!r} are not kept: a run "
                "keeps those of its last 10 iterations; more with keep=N"
            )
        return self._types().samples.decode(found[1])

    def report(self, path: str | Path) -> Path:
        """Writes a page of it, one HTML file that needs nothing else.

        Raises:
            FileNotWritten: it cannot be written there.
        """
        return write_page(path, run_page(reported(self._reader, with_tables=True)))

    async def resume(self, **options: Any) -> Outcome[Any]:
        """Goes on with it; options as those of `IterativeAlgorithm.run`, such as `stop`."""
        algorithm = recorded_algorithm(self.journal)
        return await algorithm.run(store=self._store, run_id=self.run_id, **options)

    def fork(
        self,
        run_id: str | None = None,
        *,
        at: int | None = None,
        replay: bool = False,
        **parameters: Any,
    ) -> Run:
        """A new run that begins with its state after an iteration, with other parameters.

        Args:
            run_id: the new run's.
            at: the iteration; by default the last one that is kept.
            replay: take its samples where they are kept, without a shot.
            parameters: what is to be otherwise.
        """
        asked = Fork(at=at, changed=parameters, run_id=run_id, replay=replay)
        return Run(fork_run(self.journal, asked).run_id, store=self._store)

    def _drawn(self) -> Sequence[View]:
        return [self.view]

    def _types(self) -> Any:
        return hook_types(type(recorded_algorithm(self.journal)))

    def __eq__(self, other: object) -> bool:
        return self._identity == other._identity if isinstance(other, Run) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._identity)

    @property
    def _identity(self) -> tuple[str, str]:
        return os.path.realpath(self._store.root), self.run_id

    def __repr__(self) -> str:
        return f"Run({self.run_id!r}): {self.view.algorithm}, {self.view.message}"

    def _repr_html_(self) -> str:
        return card(self.view)


def write_page(path: str | Path, content: bytes) -> Path:
    """Writes a page where a person has named it.

    Raises:
        FileNotWritten: it cannot be written there.
    """
    target = Path(path)
    write_named(target, content)
    return target


def runs(
    store: DirectoryStore | str | Path | None = None,
    *,
    where: Callable[[Run], bool] = lambda _run: True,
) -> list[Run]:
    """The runs of a store, newest last.

    Args:
        store: by default the folder QCSC_LOOP_STORE or ~/.qcsc-loop.
        where: which of them, such as `lambda run: run.status == "converged"`.
    """
    found = _store(store)
    several = [Run(run_id, store=found) for run_id in run_ids(found)]
    return sorted((run for run in several if where(run)), key=_created)


def _parent_uid(run: Run) -> str | None:
    record = run.view.record
    return None if record is None or record.forked_from is None else record.forked_from.uid


def _created(run: Run) -> datetime:
    record = run.view.record
    return datetime.fromtimestamp(0, UTC) if record is None else record.created


class Compared(_Drawn):
    """Two runs side by side, as a table and a picture of both curves."""

    def __init__(self, one: View, other: View, difference: Comparison) -> None:
        self._views, self.difference = (one, other), difference

    def _drawn(self) -> Sequence[View]:
        return self._views

    def __str__(self) -> str:
        rows = [(row.name, row.one, row.other, row.note) for row in self.difference.rows]
        table = [("", self.difference.one, self.difference.other, ""), *rows]
        widths = [max(len(row[column]) for row in table) for column in range(4)]
        lines = ["   ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in table]
        return "\n".join([*(line.rstrip() for line in lines), self.difference.last_line])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"{self.plot()}<pre>{html.escape(str(self))}</pre>"


def compare(
    one: str | Run, other: str | Run, *, store: DirectoryStore | str | Path | None = None
) -> Compared:
    """How two runs differ, from where on, and what each has cost."""
    mine, theirs = (run if isinstance(run, Run) else Run(run, store=store) for run in (one, other))
    views = mine.view, theirs.view
    return Compared(*views, compare_runs(*views, (mine.journal, theirs.journal)))


def card(view: View) -> str:
    """A run as a card of HTML: name, status, headline, curve."""
    value = f"{view.chart.headline} {exact(view.headline)}" if view.chart.headline else ""
    words = " · ".join(fact for fact in (f"iteration {view.iteration}", value) if fact)
    colour = "#b3261e" if view.status.is_trouble else "#475569"
    return (
        f"<div style='max-width:740px'><b>{html.escape(view.run_id)}</b> "
        f"<span style='color:{colour}'>{html.escape(str(view.status))}</span> "
        f"{html.escape(view.algorithm)} · {html.escape(words)}"
        f"<div>{html.escape(view.message)}</div>{_curve(view)}</div>"
    )


def _curve(view: View) -> str:
    if view.status in (RunStatus.DAMAGED, RunStatus.NEWER) or len(view.history) < 2:
        return ""
    return figure_svg(runs_figure([view]))


def reported(reader: RunReader, more: str = "", *, with_tables: bool = False) -> Reported:
    """What a run's page is made of.

    Args:
        more: what each command of the page has to be given, such as ` --store DIR`.
        with_tables: whether the algorithm's code is loaded, and asked what the run has come to.
    """
    view = reader.look()
    tables, no_tables = _tables(reader.journal) if with_tables else ({}, "")
    return Reported(
        view=view,
        at=datetime.now(UTC),
        drivers=_drivers(reader.journal),
        log=reader.log(),
        more=more,
        defaults=_defaults(view),
        state_sha256=_state_sha256(reader.journal),
        tables=tables,
        no_tables=no_tables,
    )


def _drivers(journal: Journal) -> Sequence[tuple[EpochRecord, EndRecord | None]]:
    try:
        return [(epoch, journal.end(epoch.epoch)) for epoch in journal.epochs()]
    except QcscLoopError:  # a newer version's, or damaged: the page says so of the run
        return ()


def _state_sha256(journal: Journal) -> str:
    try:
        newest = journal.commits.newest()
    except QcscLoopError:
        return ""
    return newest.state_sha256 if newest is not None else ""


def _defaults(view: View) -> Json:
    """Of an installed algorithm's parameters; a file that somebody named is not run for it."""
    if view.settings is None or not is_installed(view.settings.algorithm):
        return {}
    try:
        found = to_plain(find_algorithm(view.settings.algorithm)())
    except Exception:  # it may have parameters that have to be given, and code that is not here
        return {}
    return found if isinstance(found, dict) else {}


def _store(given: DirectoryStore | str | Path | None) -> DirectoryStore:
    if isinstance(given, DirectoryStore):
        return given
    return DirectoryStore(given or environment().store)


def _tables(journal: Journal) -> tuple[Mapping[str, Table], str]:
    """They, or why there are none."""
    if not journal.checkpoints():
        return {}, ""
    try:
        return read_tables(journal)[1], ""
    except QcscLoopError as error:
        return {}, str(error)
