"""A run on so many lines of so many letters: what `watch` and a run on a terminal show.

What has no room is left out, what counts least first; a line is never longer than it may be, and
words may end in "…", numbers not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Literal

from rich.text import Text

from qcsc_loop.printing import printable
from qcsc_loop.reports import phrases
from qcsc_loop.reports.braille import Curves, Role, draw
from qcsc_loop.reports.figure import beside_headline
from qcsc_loop.reports.iterations import iteration_lines
from qcsc_loop.reports.looking import Look, pace, phase_seconds, usual_seconds
from qcsc_loop.reports.phrases import one_line
from qcsc_loop.reports.status import RunStatus
from qcsc_loop.reports.view import View
from qcsc_loop.store.live import LiveJob

Below = Literal["iterations", "log", "jobs"]

LEAST_TABLE, LEAST_CHART, MOST_CHART = 4, 5, 26
FIRST_JOBS = 2
LEAST_RUN = 3  # lines, of one of several
CHART_SHARE = 0.55  # of the lines that it has together with the table
MANY, MANY_DRAWN_EVERY = 5000, 5.0  # iterations, whose curve is drawn anew after so many seconds
LIVELY = 0.01  # of an iteration: what takes less has no bar
WARNING_LINES = 2
BAR_MOST = 40

_STYLES: dict[Role, str] = {
    "": "",
    "axis": "dim",
    "curve": "cyan",
    "beside": "yellow",
    "reference": "green",
    "mark": "dim",
}
_PHASE_STYLES = ("blue", "magenta", "cyan", "white", "green")
_ASCII = str.maketrans(
    {
        "●": "*", "▸": ">", "·": "-", "…": "~", "━": "=", "─": "-", "█": "#", "µ": "u",
        "✓": "+", "│": "|",
    }
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Space:
    """What there is to draw on, and what is wanted there.

    Attributes:
        now: by the monotonic clock.
        date: by the clock on the wall.
        keys: they may be pressed, and are named.
        warnings: they are shown; not where they stand above already.
        curve_first: it is worth more than the table where there is no room for both.
    """

    width: int
    height: int
    now: float
    date: datetime = field(default_factory=lambda: datetime.now().astimezone())
    ascii_only: bool = False
    below: Below = "iterations"
    keys: bool = False
    warnings: bool = True
    curve_first: bool = False

    @property
    def inner(self) -> int:
        """Without the margin that all lines but the first have."""
        return self.width - 1


class Frames:
    """Draws looks at one run; what did not change is not drawn anew."""

    def __init__(self) -> None:
        self._size: object = None
        self._chart_of: object = None
        self._drawn = -math.inf
        self._chart: list[Text] = []

    def draw(self, look: Look, space: Space) -> list[Text]:
        """At most `space.height` lines of at most `space.width` letters."""
        lines = _Lines(look, space)
        jobs = lines.jobs()
        heights = _heights(look, space, lines, len(jobs))
        found: list[Text] = []
        for part, height in heights.items():
            match part:
                case "chart":
                    found += self._drawn_chart(look.view, space, height)
                case "jobs":
                    found += _first(jobs, height)
                case "below":
                    found += lines.below(height)
                case _:
                    found += lines.fixed[part][:height]
        if space.ascii_only:
            found = [_in_ascii(line) for line in found]
        return found[: space.height]

    def _drawn_chart(self, view: View, space: Space, height: int) -> list[Text]:
        size = space.inner, height, space.ascii_only
        of = id(view.values), len(view.history), view.chart
        is_late = len(view.history) < MANY or space.now - self._drawn >= MANY_DRAWN_EVERY
        if size != self._size or (of != self._chart_of and is_late):
            self._chart, self._drawn = chart_lines(view, *size), space.now
            self._size, self._chart_of = size, of
        return self._chart


def chart_lines(view: View, width: int, height: int, ascii_only: bool = False) -> list[Text]:
    """The headline over the iterations, with its references and what belongs beside it."""
    history = view.history
    curves = Curves(
        values=view.values,
        beside=[history.scalars[n] for n in islice(beside_headline(view), 1)],
        positions=history.iterations,
        references=view.chart.references,
        marks=[i for i in range(1, len(history)) if history.epochs[i] != history.epochs[i - 1]],
    )
    found: list[Text] = []
    for line in draw(curves, width=width, height=height, ascii_only=ascii_only):
        text = Text(" ", no_wrap=True)
        for piece, role in line:
            text.append(piece, _STYLES[role])
        text.rstrip()
        found.append(text)
    return found


def gone_words(look: Look, now: float, date: datetime | None = None) -> str:
    """'driver gone since 02:13 (in evaluate of 7); 1 job runs on: 48213'."""
    view = look.view
    words = "driver gone"
    if math.isfinite(look.silent):
        date = date or datetime.now().astimezone()
        since = date - timedelta(seconds=look.silent + now - look.at)
        today = since.date() == date.date()
        words += f" since {since:%H:%M}" if today else f" since {since:%Y-%m-%d %H:%M}"
    if view.live is not None:
        words += f" (in {view.live.phase} of {view.live.iteration})"
    alive = [job.job_id for job in view.left_jobs if job.job_id]
    if alive:
        ids = ", ".join(alive[:5]) + (", …" if alive[5:] else "")
        words += f"; {len(alive)} job{' runs' if len(alive) == 1 else 's run'} on: {ids}"
    return words


# how many lines each part has

_ORDER = ("head", "headline", "chart", "progress", "phase", "jobs", "warnings", "spent", "time")
_ORDER_BELOW = (*_ORDER, "below", "keys")


def _heights(look: Look, space: Space, lines: _Lines, jobs: int) -> dict[str, int]:
    """By part, in the order from the top; what counts most is given room first."""
    room = space.height
    has_curve = sum(map(math.isfinite, look.view.values[-500:])) > 1
    least = {
        "head": 1,
        "headline": len(lines.fixed["headline"]),
        "progress": 1,
        "phase": len(lines.fixed["phase"]),
        "jobs": min(jobs, FIRST_JOBS),
        "below": LEAST_TABLE,
        "chart": LEAST_CHART if has_curve else 0,
        "warnings": len(lines.fixed["warnings"]),
        "spent": len(lines.fixed["spent"]),
        "time": len(lines.fixed["time"]),
        "keys": len(lines.fixed["keys"]),
    }
    parts = list(least.items())
    if space.curve_first:
        parts.sort(key=lambda part: part[0] in ("jobs", "below"))
    taken: dict[str, int] = {}
    for part, height in parts:
        if 0 < height <= room:
            taken[part] = height
            room -= height
    if "jobs" in taken:
        more = min(jobs - taken["jobs"], room // 3)
        taken["jobs"], room = taken["jobs"] + more, room - more
    _share(taken, room, lines.rows_below)
    return {part: taken[part] for part in _ORDER_BELOW if part in taken}


def _share(taken: dict[str, int], room: int, rows: int) -> None:
    """Gives the chart and what is below it the lines that are left."""
    if "below" not in taken:
        if "chart" in taken:
            taken["chart"] = min(MOST_CHART, taken["chart"] + room)
        return
    if "chart" not in taken:
        taken["below"] = min(rows, taken["below"] + room)
        return
    both = taken["chart"] + taken["below"] + room
    below = min(rows, max(LEAST_TABLE, both - round(both * CHART_SHARE)))
    chart = min(MOST_CHART, both - below)
    taken["chart"], taken["below"] = chart, min(rows, both - chart)


# what the parts say


# Many short methods: one for each part, and all look at the same view.
class _Lines:
    """The parts of one look, as lines.

    Attributes:
        fixed: the lines of those parts that do not depend on how much room there is.
    """

    def __init__(self, look: Look, space: Space) -> None:
        self._look, self._view, self._space = look, look.view, space
        self.fixed = {
            "head": [self._head()],
            "headline": self._headline(),
            "progress": [self._progress()],
            "phase": self._phase(),
            "warnings": self._warnings() if space.warnings else [],
            "spent": self._spent(),
            "time": self._time(),
            "keys": self._keys(),
        }

    # the head

    def _head(self) -> Text:
        view, running = self._view, self._view.status is RunStatus.RUNNING
        colour = "green" if running or view.status.is_finished else "red"
        how_long = self._how_long()
        right = Text.assemble(
            (f"{'●' if running else view.status.sign} {view.status}", f"bold {colour}"),
            (f" {how_long}" if how_long else ""),
        )
        name = Text(one_line(view.run_id), "bold")
        if name.cell_len + right.cell_len >= self._space.width:
            right.right_crop(len(how_long) + 1 if how_long else 0)
        name.truncate(max(1, self._space.width - right.cell_len - 1), overflow="ellipsis")
        facts = [view.algorithm]
        if view.record is not None:
            facts.append(f"seed {view.record.seed}")
        if view.driver is not None:
            which = f"driver {view.drivers}, " if view.drivers > 1 else ""
            facts.append(f"{which}{view.driver.holder.host}:{view.driver.holder.pid}")
        room = self._space.width - right.cell_len - 2
        left = name
        for fact in facts:
            more = Text.assemble(("  " if left is name else " · "), one_line(fact))
            if left.cell_len + more.cell_len > room:
                break
            left = Text.assemble(left, more)
        gap = max(1, self._space.width - left.cell_len - right.cell_len)
        return _cut(Text.assemble(left, " " * gap, right), self._space.width)

    def _how_long(self) -> str:
        view = self._view
        if view.status is not RunStatus.RUNNING or view.driver is None:
            return ""
        since = self._space.date - view.driver.since
        return phrases.span(since.total_seconds())

    def _headline(self) -> list[Text]:
        view = self._view
        if not math.isfinite(view.headline):
            return []
        name, value = one_line(view.chart.headline), phrases.exact(view.headline)
        parts = [Text.assemble((f"{name} ", ""), (value, "bold cyan"))]
        told = (phrases.distance(view), phrases.best_since(view))
        parts += [Text(one_line(words)) for words in told if words]
        for other in view.chart.beside:
            beside = view.history.last(other)
            if math.isfinite(beside):
                parts.append(Text(f"{one_line(other)} {phrases.exact(beside)}", "yellow"))
        if view.chart.error and math.isfinite(error := view.history.last(view.chart.error)):
            parts.append(Text(f"{one_line(view.chart.error)} {error:.2g}"))
        return [self._fitting(parts)]

    # how far it is

    def _progress(self) -> Text:
        view, running = self._view, self._view.status is RunStatus.RUNNING
        at = view.live.iteration if running and view.live is not None else view.iteration
        limit = view.limits.get("iterations")
        line = Text.assemble(
            "iteration ", (str(at), "bold"), "" if limit is None else f"/{limit:g}"
        )
        each = pace(view).whole
        words: list[str] = []
        if limit:
            words.append(f"{min(100, 100 * view.iteration / limit):.0f} %")
        if running:
            left = view.seconds_left
            words.append(
                "time left unknown" if left is None else f"about {phrases.span(left)} left"
            )
        if math.isfinite(each):
            words.append(f"({phrases.span(each)} each)")
        bar = min(BAR_MOST, self._space.inner - line.cell_len - len("  ".join(words)) - 2)
        if limit and bar >= 8:
            done = round(bar * min(1.0, view.iteration / limit))
            line.append(" ").append("━" * done, "cyan").append("─" * (bar - done), "dim")
        return self._fitting([line, *map(Text, words)], gap="  ")

    def _phase(self) -> list[Text]:
        view = self._view
        if view.status is RunStatus.GONE:
            return self._folded(gone_words(self._look, self._space.now, self._space.date), "red")
        if view.status is not RunStatus.RUNNING or view.live is None:
            return []
        live, took = view.live, phase_seconds(self._look, self._space.now)
        usual = usual_seconds(view.history, live.phase)
        about = f" of about {phrases.span(usual)}" if math.isfinite(usual) else ""
        parts = [
            Text.assemble("▸ ", (one_line(live.phase), "bold"), f" {phrases.elapsed(took)}{about}")
        ]
        if live.attempt:
            parts.append(Text(f"attempt {live.attempt + 1}", "yellow"))
        for part in live.parts:
            label = f" of {one_line(part.label)}" if part.label else ""
            parts.append(Text(f"{part.done} of {part.total} parts{label} done"))
        if self._look.trouble:
            parts.append(Text(one_line(self._look.trouble), "yellow"))
        return [self._fitting(parts)]

    def jobs(self) -> list[Text]:
        """The jobs that wait or run, those that run first."""
        view = self._view
        if view.status is not RunStatus.RUNNING or view.live is None:
            return []
        jobs = sorted(view.live.jobs, key=lambda job: job.state == "PENDING")
        whats = [Text(one_line(job.what)) for job in jobs]
        places = [Text(one_line(f"{job.site} {job.job_id or '?'}"), "bold") for job in jobs]
        for column in (whats, places):
            width = max((each.cell_len for each in column), default=0)
            for each in column:
                each.pad_right(width - each.cell_len)
        rows = zip(whats, places, jobs, strict=True)
        return [self._job(what, place, job) for what, place, job in rows]

    def _job(self, what: Text, place: Text, job: LiveJob) -> Text:
        assert self._view.live is not None
        since = (self._view.live.at - job.since).total_seconds()
        seconds = since + self._view.seen + self._space.now - self._look.at
        why = f" ({job.reason})" if job.reason else ""
        nodes = f" on {job.nodes} node{'' if job.nodes == 1 else 's'}" if job.nodes else ""
        state = f"{job.state}{why}{nodes} {phrases.elapsed(seconds)}"
        style = "yellow" if job.state == "PENDING" else "green"
        return self._fitting([Text("  ").append_text(what), place, Text(one_line(state), style)])

    def _warnings(self) -> list[Text]:
        live = self._view.live
        texts = [self._view.trouble] if self._view.trouble else []
        texts += list(live.warnings[-1:]) if live is not None else []
        found: list[Text] = []
        for text in texts:
            found += self._folded(f"warning: {text}", "yellow")[:WARNING_LINES]
        return found

    # what it costs

    def _spent(self) -> list[Text]:
        wall = None
        if "seconds" in self._view.limits:
            wall = sum(t for t in self._view.history.took if math.isfinite(t))
        words = phrases.spent(self._view, wall)
        if not words:
            return []
        return [self._fitting([Text.assemble(("spent ", "dim"), words[0]), *map(Text, words[1:])])]

    def _time(self) -> list[Text]:
        times = pace(self._view)
        whole = sum(times.phases.values())
        shown = {n: s for n, s in times.phases.items() if whole and s / whole >= LIVELY}
        if not shown:
            return []
        words = [f"{name} {phrases.span(seconds)}" for name, seconds in shown.items()]
        text = sum(map(len, words)) + 4 * len(words) + len("time ")
        bars = min(BAR_MOST, self._space.inner - text)
        parts: list[Text] = []
        for at, ((name, seconds), word) in enumerate(zip(shown.items(), words, strict=True)):
            part = Text.assemble((one_line(word), ""))
            if bars >= 8 and (length := round(bars * seconds / whole)):
                style = {"queue": "yellow", "rest": "bright_black"}.get(name)
                bar = Text("█" * length, style or _PHASE_STYLES[at % len(_PHASE_STYLES)])
                part = Text.assemble(bar, " ", part)
            parts.append(part)
        return [self._fitting([Text.assemble(("time ", "dim"), parts[0]), *parts[1:]])]

    # what is below

    @property
    def rows_below(self) -> int:
        """How many lines it would have."""
        match self._space.below:
            case "log":
                return max(1, len(self._look.log))
            case "jobs":
                return 1 + len(self._view.jobs)
            case _:
                return 1 + len(self._view.history)

    def below(self, height: int) -> list[Text]:
        """The last iterations, or what was asked for instead."""
        match self._space.below:
            case "log":
                lines = self._log(height)
            case "jobs":
                lines = self._all_jobs(height)
            case _:
                lines = iteration_lines(self._view, width=self._space.inner, height=height)
        return [self._indented(line) for line in lines]

    def _log(self, height: int) -> list[Text]:
        if not self._look.log:
            return [Text("nothing is in its log", "dim")]
        found: list[Text] = []
        for line in self._look.log[-height:]:
            style = {"warning": "yellow", "error": "red"}.get(line.level, "")
            where = "" if line.iteration is None else f" {line.step}[{line.iteration}]"
            text = one_line(f"{line.at.astimezone():%H:%M:%S}{where} {line.text}")
            found.append(Text(" ".join(text.split()), style))
        return found

    def _all_jobs(self, height: int) -> list[Text]:
        if not self._view.jobs:
            return [Text("no jobs", "dim")]
        found = [Text("jobs, the newest first", "dim")]
        for job in self._view.jobs[: -max(1, height - 1) - 1 : -1]:
            what = "/".join(part for part in (job.key.label, job.key.name) if part)
            place = f"{job.key.step}[{job.key.iteration}]"
            times = [
                f"{name} {phrases.span(seconds)}"
                for name, seconds in (
                    ("queue", job.metrics.queue_seconds),
                    ("run", job.metrics.run_seconds),
                )
                if seconds is not None
            ]
            text = "  ".join((f"{place} {what}", job.job_id or "?", job.state, *times))
            found.append(Text(one_line(text), "" if job.over else "green"))
        return found

    def _keys(self) -> list[Text]:
        if not self._space.keys:
            return []
        names: dict[Below, tuple[str, str]] = {"log": ("l", "log"), "jobs": ("j", "jobs")}
        words = [
            f"{key} {'iterations' if self._space.below == below else word}"
            for below, (key, word) in names.items()
        ]
        return [self._indented(Text(" · ".join(("q leave", *words)), "dim"))]

    # lines that fit

    def _fitting(self, parts: Sequence[Text], gap: str = "   ") -> Text:
        """As many of the parts as have room, from the first one on."""
        line = Text(no_wrap=True)
        for part in parts:
            more = part.cell_len + (len(gap) if line else 0)
            if line and line.cell_len + more > self._space.inner:
                break
            line.append(gap if line else "").append_text(part)
        return self._indented(line)

    def _folded(self, text: str, style: str) -> list[Text]:
        return [self._indented(Text(line, style)) for line in fold(text, self._space.inner)]

    def _indented(self, line: Text) -> Text:
        return _cut(Text.assemble(" ", line, no_wrap=True), self._space.width)


def fold(text: str, width: int) -> list[str]:
    """Lines of words; a word that is longer than a line goes on in the next one."""
    found: list[str] = []
    for paragraph in printable(text).splitlines():
        line = ""
        for word in paragraph.split():
            if line and Text(f"{line} {word}").cell_len > width:
                found.append(line)
                line = ""
            line = f"{line} {word}" if line else word
            while len(line) > max(1, width):
                found.append(line[:width])
                line = line[width:]
        found.append(line)
    return found


def _first(lines: Sequence[Text], height: int) -> list[Text]:
    """The first lines, and how many are left out."""
    if len(lines) <= height:
        return list(lines)
    left = len(lines) - height + 1
    return [*lines[: height - 1], Text(f"   and {left} more jobs", "dim")]


def _cut(line: Text, width: int) -> Text:
    line.truncate(width, overflow="ellipsis")
    return line


def _in_ascii(line: Text) -> Text:
    plain = line.plain.translate(_ASCII).encode("ascii", "backslashreplace").decode()
    if len(plain) != len(line.plain):  # somebody's own words
        return Text(plain[: line.cell_len], line.style)
    cleaned = line.copy()
    cleaned.plain = plain
    return cleaned


def stacked(
    looks: Sequence[Look], frames: Sequence[Frames], space: Callable[[int], Space]
) -> Iterator[Text]:
    """Several runs, one below the other.

    Args:
        space: for as many lines.
    """
    height, count = space(0).height, len(looks)
    each = min(height, max(LEAST_RUN, (height - count + 1) // count))
    shown = min(count, max(1, (height + 1) // (each + 1)))
    if shown < count:  # a line says how many more there are
        shown = max(1, height // (each + 1))
        each = max(1, min(each, height - 1))
    for at in range(shown):
        if at:
            yield Text("")
        yield from frames[at].draw(looks[at], replace(space(each), curve_first=count > 1))
    if shown < count:
        left = count - shown
        yield Text(f" and {left} more run{'' if left == 1 else 's'}", "dim")
