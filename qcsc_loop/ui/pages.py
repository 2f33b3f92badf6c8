"""The pages: the list, a run while it goes on, and several runs side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence

from qcsc_loop.plain import Json
from qcsc_loop.reports.comparing import compare_runs
from qcsc_loop.reports.figure import runs_figure
from qcsc_loop.reports.listing import note_of
from qcsc_loop.reports.markup import Column, element, paragraph, section, table, text
from qcsc_loop.reports.page import run_page
from qcsc_loop.reports.page_sections import Reported
from qcsc_loop.reports.phrases import ago, exact, one_line
from qcsc_loop.reports.svg import figure_svg
from qcsc_loop.reports.view import RunReader, View
from qcsc_loop.reports.words import amount
from qcsc_loop.store.live import LogLine
from qcsc_loop.store.records import now

LOG_LINES = 40


def runs_page() -> str:
    """The list; its rows come later, and again and again."""
    return _page("Runs", "runs.js", _LIST, root=".")


def live_run_page(run: Reported) -> str:
    """A run's own page, with what it is doing just now, and the end of its log."""
    page = run_page(run).decode()
    live = (
        f'<nav class="crumbs"><a href="../">runs</a></nav><div id="live" '
        f'data-run="{text(run.view.run_id)}" data-iteration="{run.view.iteration}" '
        f'data-status="{text(run.view.status)}"></div>'
    )
    log = section("Log", '<pre id="log-tail" class="tail"></pre>', f"the last {LOG_LINES} lines")
    head, _, rest = page.partition("<body>")
    # what the file itself brings is told by its hash; ours comes from beside it
    head = head.replace("script-src ", "script-src 'self' ").replace(
        "style-src ", "style-src 'self' "
    )
    head = head.replace("img-src data:", "img-src data:; connect-src 'self'")
    head = head.replace("</head>", '<link rel="stylesheet" href="../files/ui.css"></head>')
    rest = rest.replace("<footer>", f"{log}<footer>").replace(
        "This file asks the network for nothing.", "It is kept up to date."
    )
    rest = rest.replace("</body>", '<script src="../files/live.js"></script></body>')
    return f"{head}<body>{live}{rest}"


def live_facts(reader: RunReader) -> Json:
    """What a run is doing, for its page."""
    view = reader.look()
    live = view.live if view.driver is not None and view.end is None else None
    seen = view.last_seen
    return {
        "status": str(view.status),
        "trouble": view.status.is_trouble,
        "iteration": view.iteration,
        "sentence": view.sentence,
        "note": note_of(view),
        "next": view.next_command,
        "seen": ago(max(0.0, (now() - seen).total_seconds())) if seen is not None else "",
        "phase": "" if live is None else live.phase,
        "working": None if live is None else live.iteration,
        "since": None if live is None else live.since.timestamp(),
        "parts": [] if live is None else [[p.label, p.done, p.total] for p in live.parts],
        "jobs": []
        if live is None
        else [[j.what, j.site, j.job_id, j.state, j.reason] for j in live.jobs],
        "warnings": [] if live is None else list(live.warnings),
        "log": [_log_line(line) for line in reader.log(LOG_LINES)],
    }


def compare_page(readers: Sequence[RunReader], more: str) -> str:
    """Several runs: their curves in one picture, what each came to and cost; of two how they differ."""
    views = [reader.look() for reader in readers]
    drawn = [view for view in views if len(view.history) > 1]
    picture = figure_svg(runs_figure(drawn)) if drawn else paragraph("nothing to draw yet", "soft")
    parts = [
        '<nav class="crumbs"><a href="./">runs</a></nav>',
        element("h1", text(" · ".join(view.run_id for view in views))),
        section("Convergence", f'<div class="box picture">{picture}</div>'),
        section("What they came to", _summary(views)),
    ]
    if len(views) == 2:
        difference = compare_runs(views[0], views[1], (readers[0].journal, readers[1].journal))
        columns = [Column(""), *(Column(view.run_id) for view in views), Column("", "wide")]
        rows = [[text(cell) for cell in (r.name, r.one, r.other, r.note)] for r in difference.rows]
        told = table(columns, rows) + paragraph(difference.last_line, "soft")
        parts.append(section("How they differ", told))
    ids = " ".join(view.run_id for view in views)
    parts.append(
        section("To draw them yourself", element("pre", text(f"qcsc-loop plot {ids}{more}")))
    )
    return _page("Compared", "", "".join(parts), root=".")


def problem_page(title: str, words: str) -> str:
    """What cannot be shown, and why."""
    body = '<nav class="crumbs"><a href="../">runs</a></nav>'
    return _page(title, "", f"{body}<h1>{text(title)}</h1>{paragraph(words)}", root="..")


def _summary(views: Sequence[View]) -> str:
    columns = [
        Column("run"),
        Column("status", "words"),
        Column("iterations"),
        Column("headline"),
        Column("best"),
        Column("at"),
        Column("spent", "words"),
    ]
    return table(columns, [_summary_row(view) for view in views])


def _summary_row(view: View) -> list[str]:
    best = view.best
    spent = ", ".join(amount(name, value) for name, value in view.spent.items() if value)
    value = exact(view.headline) if math.isfinite(view.headline) else ""
    link = element("a", text(view.run_id), href=f"run/{view.run_id}")
    headline = f"{text(view.chart.headline)} {value}"
    at = [text(exact(best.value)), str(best.iteration)] if best is not None else ["", ""]
    return [link, text(view.status), str(view.iteration), headline, *at, text(spent)]


def _log_line(line: LogLine) -> list[str]:
    where = "" if line.iteration is None else f"{line.iteration} {line.step}"
    return [f"{line.at.astimezone():%m-%d %H:%M:%S}", line.level, where, one_line(line.text)]


def _page(title: str, script: str, body: str, *, root: str) -> str:
    scripts = f'<script src="{root}/files/{script}"></script>' if script else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{text(title)}</title>'
        f'<link rel="stylesheet" href="{root}/files/report.css">'
        f'<link rel="stylesheet" href="{root}/files/ui.css"></head>'
        f"<body>{body}{scripts}</body></html>\n"
    )


_LIST = """
<header class="top"><h1>Runs</h1><span class="soft" id="count">reading the store…</span>
<span class="tools"><button type="button" id="compare" disabled>compare</button>
<input id="filter" type="search" placeholder="filter: sqd status:failed" aria-label="filter"
autocomplete="off" spellcheck="false"></span></header>
<div class="chips" id="statuses"></div>
<div class="scroll list" tabindex="0"><table id="runs"><thead><tr>
<th></th><th data-by="run">run</th><th data-by="status" class="words">status</th>
<th data-by="iteration">iteration</th><th data-by="value">headline</th><th class="words">curve</th>
<th data-by="cost">cost</th><th data-by="seen">last</th><th class="words">next</th></tr></thead>
<tbody></tbody></table></div>
<p class="soft" id="rest"></p>
"""
