"""One run on a terminal: how it stands and what to type next, what went wrong, what it came to."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rich.text import Text

from qcsc_loop.errors import QcscLoopError
from qcsc_loop.jobs.entries import JobRecord
from qcsc_loop.jobs.site import outlives_driver, site_from
from qcsc_loop.parameters.compare import flat
from qcsc_loop.printing import as_typed, printable, store_option
from qcsc_loop.reports.failure import find_failure
from qcsc_loop.reports.phrases import difference, span
from qcsc_loop.reports.placement_cost import placement_cost
from qcsc_loop.reports.run import WORTH_SECONDS, curve, number
from qcsc_loop.reports.status import RunStatus
from qcsc_loop.reports.tables import PlainConsole, plain_table
from qcsc_loop.reports.view import Best, RunReader, View, driver_ends, when
from qcsc_loop.reports.words import amount, rule_in_words
from qcsc_loop.store.live import LiveJob, LogLine
from qcsc_loop.store.records import EndRecord, EpochRecord

LAST = 10
LAST_WARNINGS = 5
WORTH_TIME = 0.05  # seconds
NAMES = 11  # characters of a fact's name, as `PlainConsole.say_fact` has them


@dataclass(frozen=True, kw_only=True)
class Showing:
    """What was asked for.

    Attributes:
        all: what is left out otherwise: parameters by default, scalars without room, older drivers.
        traceback: the whole one.
    """

    store: Path | None
    all: bool = False
    traceback: bool = False
    as_json: bool = False

    @property
    def where(self) -> str:
        """What a command needs to find the store again."""
        return store_option(self.store)


# Many short methods: one for each paragraph.
class RunPage:
    """One run on a terminal."""

    def __init__(self, reader: RunReader, asked: Showing, console: PlainConsole) -> None:
        self._reader, self._asked, self._console = reader, asked, console
        self._view, self._journal = reader.look(), reader.journal

    def print(self) -> None:
        """Prints it: first what is to be known at once."""
        view = self._view
        console = self._console
        console.say(f"{view.run_id}: {view.sentence}", style="bold")
        for what, command in _next(view):
            typed = printable(f"{command}{self._asked.where}")
            console.print(Text.assemble((f"{what} ", "dim"), typed), soft_wrap=True)
        self._print_living_jobs()
        self._print_failure()
        console.print()
        for name, fact in [*self._came_to(), *self._spent(), *self._is()]:
            console.say_fact(name, fact)
        self._print_drivers()
        self._print_warnings()
        self._print_history()
        self._print_jobs()
        if self._asked.traceback and view.end is not None and view.end.traceback:
            console.print()
            console.say(view.end.traceback)

    def _command(self, words: str) -> str:
        return f"qcsc-loop {words}{self._asked.where}"

    def _print_living_jobs(self) -> None:
        """What runs or waits, and may cost."""
        view = self._view
        driven = view.status is RunStatus.RUNNING
        alive = view.live_jobs if driven else view.left_jobs
        if not alive:
            return
        known = {job.key: job for job in view.live.jobs} if view.live is not None else {}
        self._console.print()
        for job in alive:
            site = f"{_title(job)} job {job.job_id or '?'}"
            self._console.say(f"{site}, {job.key}: {self._stands(job, known.get(str(job.key)))}")
        if not driven:
            says = (
                "it runs on, and a resume uses it"
                if len(alive) == 1
                else "they run on, and a resume uses them"
            )
            end = "to end it" if len(alive) == 1 else "to end them"
            self._console.say(f"{says}; {end}: {self._command(f'reap {view.run_id}')}", style="dim")

    def _stands(self, job: JobRecord, live: LiveJob | None) -> str:
        """How a job that may be alive stood, when its driver could last say so."""
        if live is None:
            return f"{job.state} since {when(job.intent.at)}"
        why = f" ({live.reason})" if live.reason else ""
        stands = f"{live.state}{why} since {when(live.since)}"
        if self._view.status is RunStatus.RUNNING:
            return stands
        return f"{stands}, by its driver's last word"

    def _print_failure(self) -> None:
        view, console = self._view, self._console
        end = view.end
        if end is None or not end.error:
            return
        where = end.because.rpartition(" at ")[2]
        found = find_failure(end.traceback, where)
        console.print()
        if found is None:
            console.say(_happened(end))
            return
        # a job's log, a server's answer: what was raised may be long
        console.say(f"{found.file}:{found.line} in {found.function}", style="bold")
        if found.code:
            console.say(f"    {found.code}")
        console.say(found.error or _happened(end), style="red")
        if found.others and not self._asked.traceback:
            more = f"{found.others} frames more: {self._command(f'show {view.run_id} --traceback')}"
            console.say(more, style="dim")

    def _came_to(self) -> Iterator[tuple[str, str]]:
        view = self._view
        if not len(view.history) or not view.chart.headline:
            return
        unit = f" {view.chart.unit}" if view.chart.unit else ""
        limit = view.limits.get("iterations")
        of = f" of {limit:g}" if limit is not None else ""
        yield (
            view.chart.headline,
            f"{number(view.headline)}{unit} at iteration {view.iteration}{of}",
        )
        if (best := view.best) is not None:
            yield "best", f"{number(best.value)}{unit} at iteration {best.iteration}"
        for name, value in view.chart.references.items():
            yield name, f"{number(value)}{unit}{_gap(view, best, value)}"

    def _spent(self) -> Iterator[tuple[str, str]]:
        view = self._view
        limits = {k: v for k, v in view.limits.items() if k not in ("iterations", "seconds")}
        spent = {name: 0.0 for name in limits} | view.spent
        said = [
            amount(name, value) + (f" of {limits[name]:,.12g}" if name in limits else "")
            for name, value in spent.items()
            if value or name in limits
        ]
        if said:
            yield "spent", ", ".join(said)
        if times := self._times():
            yield "time", times

    def _times(self) -> str:
        """Wall time by what it went to, of all drivers."""
        wall = math.fsum(self._lasted())
        steps = {
            step: math.fsum(s for s in seconds if math.isfinite(s))
            for step, seconds in self._view.history.seconds.items()
        }
        each = [f"{step} {span(s)}" for step, s in steps.items() if s >= WORTH_TIME]
        rest = max(0.0, wall - math.fsum(steps.values()))
        queue = math.fsum(job.metrics.queue_seconds or 0.0 for job in self._view.jobs)
        waited = f"; {span(queue)} of it in queues" if queue >= WORTH_TIME else ""
        return f"{span(wall)}: {', '.join([*each, f'rest {span(rest)}'])}{waited}"

    def _lasted(self) -> Iterator[float]:
        for driver in self._journal.epochs():
            end = self._journal.end(driver.epoch)
            until = end.ended if end is not None else self._last_word_of(driver)
            yield max(0.0, (until - driver.since).total_seconds())

    def _last_word_of(self, driver: EpochRecord) -> datetime:
        """When a driver without an end was last heard of."""
        view = self._view
        if view.driver is not None and driver.epoch == view.driver.epoch:
            return view.last_seen or driver.since
        history = view.history
        times = [
            t for t, e in zip(history.committed, history.epochs, strict=True) if e == driver.epoch
        ]
        return datetime.fromtimestamp(times[-1], driver.since.tzinfo) if times else driver.since

    def _is(self) -> Iterator[tuple[str, str]]:
        view = self._view
        assert view.record is not None and view.settings is not None  # `open_run` has read them
        yield "algorithm", view.settings.algorithm
        if (fork := view.record.forked_from) is not None:
            yield "forked from", f"{fork.run_id} after iteration {fork.iteration}"
        yield "seed", str(view.record.seed)
        yield from self._parameters()
        yield "stop", rule_in_words(view.settings.stop)
        yield "created", when(view.record.created)
        yield "folder", view.folder
        if view.trouble:
            yield "damaged", view.trouble

    def _parameters(self) -> Iterator[tuple[str, str]]:
        settings = self._view.settings
        assert settings is not None
        every = flat(settings.parameters)
        shown = every
        if settings.given is not None and not self._asked.all:
            shown = {name: value for name, value in every.items() if name in settings.given}
        title = "parameters"
        for name, value in shown.items():
            yield title, f"{name} = {json.dumps(value)}"
            title = ""
        if len(shown) < len(every):
            rest = len(every) - len(shown)
            more = f"show {self._view.run_id} --all"
            yield title, f"{'and ' if shown else ''}{rest} by default: {self._command(more)}"

    def _print_drivers(self) -> None:
        drivers = list(driver_ends(self._journal))
        shown = drivers if self._asked.all else drivers[-LAST_WARNINGS:]
        if len(shown) < len(drivers):
            self._console.say_fact("drivers", f"{len(drivers)}, of which the last ones are")
        for driver, how in shown:
            end = self._journal.end(driver.epoch)
            how += f" ({end.because})" if end is not None and end.because else ""
            who = f"process {driver.holder.pid} on {driver.holder.host}"
            since = when(driver.since) + (_until(driver.since, end.ended) if end else "")
            self._console.say_fact("driver", f"{driver.epoch}: {who}, {since}, {how}")

    def _print_warnings(self) -> None:
        lines = self._reader.log()
        warnings = [line for line in lines if line.level != "info"]
        for line in warnings[-LAST_WARNINGS:]:
            self._console.print(
                Text.assemble(
                    (f"{'warning':<{NAMES}} ", "yellow"), printable(as_typed(log_line(line)))
                ),
                soft_wrap=True,
            )
        if len(lines) > min(len(warnings), LAST_WARNINGS):
            command = self._command(f"show {self._view.run_id} --log")
            self._console.say_fact("log", f"{len(lines)} lines: {command}")

    def _print_history(self) -> None:
        view, console = self._view, self._console
        history = view.history
        if not len(history):
            return
        told = (view.chart.headline, view.chart.error, *view.chart.beside)
        first = [name for name in told if name in history.scalars]
        rows = range(max(0, len(history) - LAST), len(history))

        def says_nothing(name: str) -> bool:
            return all(math.isnan(history.scalars[name][k]) for k in rows)

        names = sorted(dict.fromkeys([*first, *history.scalars]), key=says_nothing)
        columns = [
            _Column(name, [number(history.scalars[name][k]) for k in rows]) for name in names
        ]
        columns += [
            _Column(f"{step} (s)", [_seconds(seconds[k]) for k in rows])
            for step, seconds in history.seconds.items()
            if step != "initialize" and any(seconds[k] >= WORTH_SECONDS for k in rows)
        ]
        key = _Column("iteration", [str(history.iterations[k]) for k in rows])
        blocks = list(_blocks(key, columns, console.width))
        for block in blocks if self._asked.all else blocks[:1]:
            console.print()
            table = plain_table(key.name, *(column.name for column in block))
            for k, iteration in enumerate(key.cells):
                table.add_row(iteration, *(column.cells[k] for column in block))
            console.print(table)
        left = [column.name for block in blocks[1:] for column in block]
        if left and not self._asked.all:
            more = self._command(f"show {view.run_id} --all")
            console.say(f"beside these: {', '.join(left)}: {more}", style="dim")
        if console.has_blocks and (line := curve(view.values)):
            console.print(
                Text.assemble((printable(view.chart.headline), "dim"), " ", (line, "cyan"))
            )

    def _print_jobs(self) -> None:
        """The last jobs that were somebody's queue's."""
        remote = [job for job in self._view.jobs if outlives_driver(job.intent.site)]
        shown = remote if self._asked.all else remote[-LAST:]
        if not shown:
            return
        table = plain_table(
            "job", "id", "state", "queue (s)", "run (s)", "nodes", left={"job", "id", "state"}
        )
        for job in shown:
            times = (job.metrics.queue_seconds, job.metrics.run_seconds)
            seconds = ["" if time is None else f"{max(0.0, time):.1f}" for time in times]
            nodes = "" if job.metrics.nodes is None else str(job.metrics.nodes)
            table.add_row(str(job.key), job.job_id or "", job.state, *seconds, nodes)
        self._console.print()
        self._console.print(table)
        if (cost := placement_cost(self._view.jobs)) is not None:
            self._console.print()
            self._console.say(cost.words(), style="dim")


def _next(view: View) -> Iterator[tuple[str, str]]:
    """What to type, and what for."""
    command = view.next_command
    match view.status:
        case RunStatus.FAILED:
            yield "after the fix:", command
        case RunStatus.RUNNING:
            yield "to look on:", command
        case RunStatus.NEW:
            yield "to begin:", command
        case _ if command:
            yield "to go on:", command
        case _:
            yield "its results:", f"qcsc-loop show {view.run_id} --tables"


def _gap(view: View, best: Best | None, reference: float) -> str:
    """How far the best value, or the newest where none is, is from a reference."""
    gap = (best.value if best is not None else view.headline) - reference
    if not math.isfinite(gap):
        return ""
    what = "the best" if best is not None else "the run"
    return f"; {what} is {difference(abs(gap), view.chart.unit)} {'above' if gap >= 0 else 'below'}"


def _until(since: datetime, end: datetime) -> str:
    here = end.astimezone()
    same_day = since.astimezone().date() == here.date()
    return f" to {here:%H:%M:%S}" if same_day else f" to {when(end)}"


def _happened(end: EndRecord) -> str:
    """The error without what older versions added of what to do."""
    return end.error.partition(". Finished steps are kept; the traceback: ")[0]


def _title(job: JobRecord) -> str:
    try:
        return site_from(job.intent.site).title
    except QcscLoopError:  # of a distribution that is not here
        return str(job.intent.site.get("type", "?"))


def _seconds(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3f}"


@dataclass(frozen=True)
class _Column:
    name: str
    cells: Sequence[str]

    @property
    def width(self) -> int:
        return max(map(len, (printable(self.name), *self.cells)))


_GAP = 3  # as `plain_table` has it


def _blocks(key: _Column, columns: Sequence[_Column], width: int) -> Iterator[list[_Column]]:
    """Columns as they fit beside the key, whole: a terminal's width full at a time."""
    block: list[_Column] = []
    for column in columns:
        used = key.width + sum(_GAP + each.width for each in block)
        if block and used + _GAP + column.width > width:
            yield block
            block = []
        block.append(column)
    if block:
        yield block


def log_line(line: LogLine) -> str:
    where = f"{line.step}[{line.iteration}]" if line.step else ""
    what = "" if line.kind == "hook" and line.level == "info" else f"{line.level}: "
    return " ".join(filter(None, (f"{when(line.at)} ", where, f"{what}{line.text}")))
