"""A sweep as one HTML file that asks the network for nothing, and runs no script."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from qcsc_loop import reports
from qcsc_loop.reports.markup import Column, element, paragraph, section, table, text
from qcsc_loop.reports.phrases import difference, exact
from qcsc_loop.reports.svg import figure_svg
from qcsc_loop.reports.view import when
from qcsc_loop.reports.words import amount
from qcsc_loop.sweeping.facts import warnings_of
from qcsc_loop.sweeping.picture import group_figure
from qcsc_loop.sweeping.signed_rank import NAME
from qcsc_loop.sweeping.standing import MemberStatus, Standing, SweepStatus
from qcsc_loop.sweeping.summary import Row, claim, rows_of

MEMBERS = 1000  # rows
WIDTH, HEIGHT = 1080, 360  # of a picture, in pixels


def sweep_page(standing: Standing, at: datetime, more: str = "") -> bytes:
    """The file's content.

    Args:
        more: what the next command has to be given, such as ` --store DIR`.
    """
    styles = (
        Path(reports.__file__).with_name("page_files").joinpath("report.css").read_text("utf-8")
    )
    name = text(standing.plan.name)
    digest = base64.b64encode(hashlib.sha256(styles.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        '<meta name="referrer" content="no-referrer">',
        '<link rel="icon" href="data:,">',
        f"<title>{name} · {text(standing.status)}</title>",
        f"<style>{styles}</style></head><body>",
        _header(standing, more),
        *_groups(standing),
        _stopped(standing),
        _members(standing),
        f"<footer>As it stood at {text(when(at))}. This file asks the network for nothing.</footer>",
        "</body></html>\n",
    ]
    return "".join(parts).encode("utf-8", "backslashreplace")


def _header(standing: Standing, more: str) -> str:
    colour = {SweepStatus.DONE: "good", SweepStatus.RUNNING: "running"}.get(standing.status, "")
    colour = "trouble" if standing.status.is_trouble else colour
    head = element("h1", text(standing.plan.name)) + element(
        "span", text(standing.status), class_=f"pill {colour}"
    )
    facts = [f"sweep, begun {when(standing.plan.created)}", *spent_words(standing)]
    next_ = ""
    if standing.next_command:
        next_ = f'<div class="next">{element("code", text(standing.next_command + more))}</div>'
    warnings = "".join(paragraph(words, "said") for words in warnings_of(standing))
    return (
        f'<header><div class="head">{head}</div>{paragraph(standing.sentence, "sentence")}'
        f"{paragraph(' · '.join(facts), 'soft')}{next_}{warnings}</header>"
    )


def spent_words(standing: Standing) -> list[str]:
    """What was spent of the budget, and by attempts that came to nothing."""
    spent, budget = standing.spent, standing.plan.budget
    found: list[str] = []
    for name in dict.fromkeys([*budget, *spent]):
        value = spent.get(name, 0.0)
        if value or name in budget:
            of = f" of {budget[name]:,.12g}" if name in budget else ""
            lost = (standing.lost or {}).get(name, 0.0)
            rest = f", at most {lost:,.6g} of them by attempts that were ended" if lost else ""
            found.append(f"{amount(name, value)}{of}{rest}")
    return found


def _groups(standing: Standing) -> Iterator[str]:
    rows = rows_of(standing)
    several = len(standing.plan.groups) > 1
    for group in standing.plan.groups:
        own = [row for row in rows if row.group == group]
        figure = group_figure(standing, group)
        picture = f'<div class="box">{figure_svg(figure, width=WIDTH, height=HEIGHT)}</div>'
        title = f"Convergence of {group}" if several else "Convergence"
        yield section(title, picture, "every member, medians, and from the lowest to the highest")
        yield section("Settings", _settings(own), _what(own))
        if said := [claim(row) for row in own if row.against is not None]:
            words = "".join(paragraph(sentence) for sentence in said)
            aside = f"{NAME}; p of all comparisons together (Holm)"
            yield section("Paired differences over seeds", f'<div class="box">{words}</div>', aside)


def _what(rows: list[Row]) -> str:
    row = next((row for row in rows if row.headline), None)
    if row is None:
        return ""
    best = {"lower": "lowest", "higher": "highest"}.get(row.better, "last")
    return f"{row.headline}{f' in {row.unit}' if row.unit else ''}: of each member the {best}"


def _settings(rows: list[Row]) -> str:
    columns = [
        Column("setting", "words"),
        Column("members"),
        Column("median"),
        Column("lowest"),
        Column("highest"),
        Column("from reference"),
        Column("iterations"),
        Column("shots"),
        Column("", "words"),
    ]
    return table(columns, [_settings_row(row) for row in rows])


def _settings_row(row: Row) -> list[str]:
    not_done = {s: n for s, n in row.statuses.items() if s != MemberStatus.DONE}
    note = ", ".join(f"{count} {status}" for status, count in not_done.items())
    cells = [
        row.setting,
        f"{row.values} of {row.members}",
        _value(row.value),
        _value(row.lowest),
        _value(row.highest),
        _above(row),
        f"{row.iterations:g}",
        f"{row.spent['shots']:,.0f}",
        note,
    ]
    return [text(cell) for cell in cells]


def _value(value: float) -> str:
    return exact(value) if math.isfinite(value) else "-"


def _above(row: Row) -> str:
    if not math.isfinite(row.above):
        return ""
    side = "above" if row.above > 0 else "below"
    return (
        f"{difference(abs(row.above), row.unit)} {side} {row.reference}" if row.above else "equal"
    )


def _stopped(standing: Standing) -> str:
    rows = [
        [text(line.group), text(line.rung + 1), text(", ".join(line.settings) or "none")]
        for line in standing.stopped
    ]
    if not rows:
        return ""
    columns = [Column("group", "words"), Column("rung"), Column("stopped", "wide")]
    return section("Settings that could not win any more", table(columns, rows))


def _members(standing: Standing) -> str:
    columns = [
        Column("run", "words"),
        Column("setting", "words"),
        Column("seed"),
        Column("status", "words"),
        Column("iteration"),
        Column("value"),
        Column("", "wide"),
    ]
    shown = sorted(standing.members, key=lambda each: each.status.rank)[:MEMBERS]
    rows = [
        [
            text(each.member.run_id),
            text(each.member.setting),
            text(each.member.seed),
            text(each.status),
            text(each.view.iteration if each.view is not None else ""),
            text(_value(each.value)),
            text(each.why),
        ]
        for each in shown
    ]
    aside = (
        f"the first {MEMBERS} of {len(standing.members):,}"
        if len(standing.members) > MEMBERS
        else ""
    )
    return section("Members", table(columns, rows), aside)
