"""The parts of a run's page, each from what is on disk to markup."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from qcsc_loop.jobs.entries import JobRecord
from qcsc_loop.jobs.outcome import JobState
from qcsc_loop.loop.hooks import Table
from qcsc_loop.plain import Json
from qcsc_loop.reports.failure import find_failure
from qcsc_loop.reports.markup import (
    Column,
    block,
    element,
    flat,
    folded,
    paragraph,
    section,
    table,
    text,
)
from qcsc_loop.reports.phrases import count, span
from qcsc_loop.reports.status import RunStatus
from qcsc_loop.reports.tables import cell_text, columns_of
from qcsc_loop.reports.view import View, when
from qcsc_loop.store.live import LogLine
from qcsc_loop.store.records import EndRecord, EpochRecord

JOBS = 300  # rows
TAILS, TAIL_BYTES = 20, 2048
DRIVERS = 100
WARNINGS = 50
VALUES = 500  # parameters
RESULTS = 300  # rows of a table


@dataclass(frozen=True)
class Reported:
    """What a page is made of.

    Attributes:
        drivers: each with how it ended, oldest first.
        more: what each command has to be given, such as ` --store DIR`.
        defaults: of the algorithm's parameters; empty where nobody can say.
        tables: what the algorithm makes of the newest state.
        no_tables: why it does not; empty where nobody has asked.
    """

    view: View
    at: datetime
    drivers: Sequence[tuple[EpochRecord, EndRecord | None]] = ()
    log: Sequence[LogLine] = ()
    more: str = ""
    defaults: Json = field(default_factory=dict)
    state_sha256: str = ""
    tables: Mapping[str, Table] = field(default_factory=dict[str, Table])
    no_tables: str = ""


def header(run: Reported) -> str:
    """Which run it is, how it stands, and what to type next."""
    view = run.view
    head = element("h1", text(view.run_id)) + element(
        "span", text(view.status), class_=f"pill {_colour(view.status)}"
    )
    facts = [view.algorithm]
    if view.record is not None:
        facts += [f"seed {view.record.seed}", f"started {when(view.record.created)}"]
        if (fork := view.record.forked_from) is not None:
            facts.append(f"forked from {fork.run_id} at iteration {fork.iteration}")
    if view.driver is not None:
        facts.append(view.driver.holder.host)
    next_ = ""
    if view.next_command:
        code = element("code", text(view.next_command + run.more), id="command")
        next_ = f'<div class="next">{code}<button type="button" id="copy">copy</button></div>'
    sentence = view.heading[:1].upper() + view.heading[1:]
    return (
        f'<header><div class="head">{head}</div>{paragraph(sentence, "sentence")}'
        f"{paragraph(' · '.join(facts), 'soft')}{next_}</header>"
    )


def _colour(status: RunStatus) -> str:
    if status in (RunStatus.FAILED, RunStatus.DAMAGED):
        return "failed"
    if status.is_trouble:
        return "trouble"
    if status is RunStatus.RUNNING:
        return "running"
    return "good" if status in (RunStatus.CONVERGED, RunStatus.PLATEAU) else ""


# what it has come to


def results(run: Reported) -> str:
    """The tables that the algorithm makes of the state; empty where it makes none."""
    parts = [_result(name, rows) for name, rows in run.tables.items() if rows]
    if run.no_tables:
        parts.append(paragraph(f"Its tables are not here: {run.no_tables}", "soft"))
    return section("Results", "".join(parts)) if parts else ""


def _result(name: str, rows: Table) -> str:
    columns = [Column(name, "words" if words else "") for name, words in columns_of(rows).items()]
    cells = ([text(cell_text(row.get(each.name))) for each in columns] for row in rows[:RESULTS])
    more = f", the first {RESULTS} of {len(rows):,} rows" if len(rows) > RESULTS else ""
    return element("h3", text(f"{name}{more}")) + table(columns, cells)


# what went wrong


def what_went_wrong(run: Reported) -> str:
    """Why it does not go on, as far as anything on disk says; empty where all is well."""
    parts = [*_failure(run), *_warnings(run.log)]
    if not parts:
        return ""
    grave = run.view.status.is_trouble
    title = "What went wrong" if grave else "Warnings"
    kind = "box wrong" if grave else "box"
    return section(title, f'<div class="{kind}">{"".join(parts)}</div>')


def _failure(run: Reported) -> list[str]:
    view = run.view
    if not view.status.is_trouble:
        return [paragraph(view.trouble, "said")] if view.trouble else []
    details = list(_details(view))
    if not details and not view.trouble:
        return []  # the page's head says all that is known
    return [paragraph(view.trouble or f"{view.run_id}: {view.sentence}", "said"), *details]


def _details(view: View) -> Iterator[str]:
    if view.end is not None:
        yield from _raised(view.end)
    if left := view.left_jobs:
        ids = ", ".join(job.job_id or str(job.key) for job in left[:20])
        number = len(left)
        goes = "1 job may run on" if number == 1 else f"{number} jobs may run on"
        yield paragraph(f"{goes}: {ids}")
    failed = next((job for job in reversed(view.jobs) if job.spoilt), None)
    if failed is not None and _tail(failed):
        said = f"the end of what {failed.key} wrote ({failed.state}{_because(failed)})"
        yield folded(said, block(_tail(failed)))


def _raised(end: EndRecord) -> Iterator[str]:
    """What was raised, and where in the person's own code."""
    found = find_failure(end.traceback, end.because.rpartition(" at ")[2])
    if found is None:
        yield block(end.error) if end.error else ""
    else:
        where = f"{found.file}:{found.line} in {found.function}"
        code = f"\n    {found.code}" if found.code else ""
        yield block(f"{where}{code}\n{found.error or end.error}")
    if end.traceback:
        yield folded("the whole traceback", block(end.traceback))


def _warnings(log: Sequence[LogLine]) -> Iterator[str]:
    found = [line for line in log if line.level != "info"]
    if not found:
        return
    shown = found[-WARNINGS:]
    rows = [
        (
            text(when(line.at)),
            text("" if line.iteration is None else line.iteration),
            text(line.text),
        )
        for line in reversed(shown)
    ]
    columns = [Column("when", "words"), Column("iteration"), Column("what", "wide")]
    several = f"{len(found)} warnings" if len(found) > 1 else "1 warning"
    less = f", the last {len(shown)}" if len(shown) < len(found) else ""
    yield folded(several + less, table(columns, rows))


# jobs


def jobs(run: Reported) -> str:
    """Those first that did not end well, then the newest."""
    every = run.view.jobs
    if not every:
        nothing = "no jobs: all work was done in the driver and its workers"
        return section("Jobs", _none(nothing))
    newest = list(reversed(every))
    unwell = [job for job in newest if job.state != JobState.COMPLETED]
    ordered = [*unwell, *(job for job in newest if job.state == JobState.COMPLETED)][:JOBS]
    rows = [_job_row(job, tail=place < TAILS) for place, job in enumerate(ordered)]
    columns = [
        Column("job", "words"), Column("site", "words"), Column("id", "words"),
        Column("state", "words"), Column("queue"), Column("run"), Column("nodes"), Column("QPU"),
        Column("why", "wide"),
    ]  # fmt: skip
    return section("Jobs", table(columns, rows), _counted(every, len(ordered)))


def _none(words: str) -> str:
    return f'<div class="box soft">{paragraph(words)}</div>'


def _counted(every: Sequence[JobRecord], shown: int) -> str:
    states = Counter(job.state for job in every)
    ordered = sorted(states.items(), key=lambda found: found[0] == JobState.COMPLETED)
    words = ", ".join(f"{number:,} {state}" for state, number in ordered)
    return f"{words}; {shown} are shown" if shown < len(every) else words


def _job_row(job: JobRecord, *, tail: bool) -> list[str]:
    key, metrics, end = job.key, job.metrics, _tail(job) if tail else ""
    name = "/".join(part for part in (str(key.iteration), key.step, key.label, key.name) if part)
    state = text(job.state)
    bad = job.spoilt or bool(job.unread)
    return [
        text(name + (f" ({key.attempt + 1})" if key.attempt else "")),
        text(_site(job), 40),
        text(job.job_id or "", 60),
        element("span", state, class_="bad") if bad else state,
        *(text("" if s is None else span(s)) for s in (metrics.queue_seconds, metrics.run_seconds)),
        text("" if metrics.nodes is None else metrics.nodes),
        text("" if metrics.qpu_seconds is None else span(metrics.qpu_seconds)),
        text(_because(job).removeprefix(": "), 200)
        + (folded("the end of its log", block(end)) if end else ""),
    ]


def _site(job: JobRecord) -> str:
    site = job.intent.site
    return next(
        (str(site[name]) for name in ("scheduler", "backend", "type") if site.get(name)), ""
    )


def _because(job: JobRecord) -> str:
    reason = job.fault or job.unread or (job.outcome.reason if job.outcome is not None else "")
    return f": {reason}" if reason else ""


def _tail(job: JobRecord) -> str:
    """The end of its output, whole characters, in at most so many bytes."""
    words = job.outcome.tail if job.outcome is not None else ""
    content = words.encode("utf-8", "backslashreplace")[-TAIL_BYTES:]
    return content.decode("utf-8", "ignore").strip("\n")


# who, what with, and on what


def drivers(run: Reported) -> str:
    """Who drove it, the newest first."""
    if not run.drivers:
        return ""
    history = run.view.history
    counted = zip(history.epochs, history.iterations, strict=True)
    committed = Counter(epoch for epoch, iteration in counted if iteration)  # 0 is the beginning
    shown = list(reversed(run.drivers))[:DRIVERS]
    rows = [_driver_row(driver, end, run, committed[driver.epoch]) for driver, end in shown]
    columns = [
        Column("driver", "words"), Column("host", "words"), Column("process"),
        Column("since", "words"), Column("until", "words"), Column("how it ended", "wide"),
        Column("iterations"),
    ]  # fmt: skip
    less = f"the last {len(shown)} of {len(run.drivers):,}" if len(shown) < len(run.drivers) else ""
    return section("Drivers", table(columns, rows), less)


def _driver_row(
    driver: EpochRecord, end: EndRecord | None, run: Reported, committed: int
) -> list[str]:
    newest = driver.epoch == run.drivers[-1][0].epoch
    if end is not None:
        how = f"{str(end.reason).replace('_', ' ')}{f' ({end.because})' if end.because else ''}"
    else:
        how = "runs" if newest and run.view.status is RunStatus.RUNNING else "gone without a word"
    return [
        text(driver.epoch),
        text(driver.holder.host, 60),
        text(driver.holder.pid),
        text(when(driver.since)),
        text(when(end.ended) if end is not None else ""),
        text(how, 300),
        text(count(committed)),
    ]


def parameters(run: Reported) -> str:
    """What it runs with; what is not by default stands out."""
    if run.view.settings is None:
        return ""
    given = flat(run.view.settings.parameters)
    default = flat(run.defaults)
    changed = [n for n, value in given.items() if default and default.get(n) != value]
    rows = []
    for name in [*changed, *(n for n in given if n not in changed)][:VALUES]:
        shown, stands_out = text(_in_json(given[name]), 800), name in changed
        known = text(_in_json(default[name])) if stands_out and name in default else ""
        value = element("span", shown, class_="changed") if stands_out else shown
        rows.append([text(name, 200), value, *([known] if default else [])])
    columns = [Column("parameter", "words"), Column("value", "wide")]
    columns += [Column("by default", "wide")] if default else []
    aside = f"{len(changed)} not by default" if changed else "all by default" if default else ""
    return section(
        "Parameters", table(columns, rows, "facts") if rows else _none("it has none"), aside
    )


def provenance(run: Reported) -> str:
    """Where it is, and what it was made with."""
    view = run.view
    facts: dict[str, object] = {"run": view.run_id, "folder": view.folder}
    if view.settings is not None:
        facts |= {"algorithm": view.settings.algorithm, "stop": _in_json(view.settings.stop)}
        facts |= {"keep": view.settings.keep, "retry": _in_json(view.settings.retry.model_dump())}
    if view.record is not None:
        facts |= {"seed": view.record.seed, "uid": view.record.uid}
        if (fork := view.record.forked_from) is not None:
            facts |= flat({"forked_from": fork.model_dump()})
        facts |= flat(view.record.provenance)
    if run.state_sha256:
        facts["newest state's sha256"] = run.state_sha256
    rows = [[text(name, 200), text(_in_json(value))] for name, value in [*facts.items()][:VALUES]]
    return section("Provenance", table([Column("", "words"), Column("", "wide")], rows, "facts"))


def _in_json(value: object) -> str:
    """A value as people type it: texts bare, the rest as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
