"""A run as one HTML file that asks the network for nothing: to look at, to keep, to send to somebody.

Scripts and styles are in it, and its policy lets no others run: what a parameter or a job's log says is
text, whatever it says.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from qcsc_loop.reports.markup import section, text
from qcsc_loop.reports.page_cards import cards
from qcsc_loop.reports.page_data import ROWS, as_script, page_data
from qcsc_loop.reports.page_sections import (
    Reported,
    drivers,
    header,
    jobs,
    parameters,
    provenance,
    results,
    what_went_wrong,
)
from qcsc_loop.reports.svg import curve_svg
from qcsc_loop.reports.view import when

_FILES = Path(__file__).with_name("page_files")


def run_page(run: Reported) -> bytes:
    """The file's content."""
    styles = _read("uplot/uPlot.min.css") + _read("report.css")
    library, own = _read("uplot/uPlot.iife.min.js"), _read("report.js")
    data = as_script(page_data(run.view))
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_policy([styles], [library, own])}">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        '<meta name="referrer" content="no-referrer">',
        '<link rel="icon" href="data:,">',
        f"<title>{text(run.view.run_id)} · {text(run.view.status)}</title>",
        f"<style>{styles}</style></head><body>",
        *_content(run),
        f'<script type="application/json" id="data">{data}</script>',
        f"<!--\nThe charts are drawn by uPlot:\n\n{_read('uplot/LICENSE')}-->",
        f"<script>{library}</script><script>{own}</script></body></html>\n",
    ]
    return "".join(parts).encode("utf-8", "backslashreplace")


def _content(run: Reported) -> list[str]:
    view = run.view
    return [
        header(run),
        cards(run.view),
        what_went_wrong(run),
        section(
            "Convergence", _CURVE.format(picture=curve_svg(view)), _how_many(len(view.history))
        ),
        results(run),
        section("Time per iteration", _TIMES),
        _ITERATIONS.format(aside=_rows_shown(len(view.history))),
        jobs(run),
        drivers(run),
        parameters(run),
        provenance(run),
        f"<footer>As it stood at {text(when(run.at))}. "
        "This file asks the network for nothing.</footer>",
    ]


_CURVE = (
    '<div class="box"><div class="chips" id="scalars"><span class="end">'
    '<span class="at" id="at"></span>'
    '<button type="button" id="reset" hidden>whole run</button>'
    '<button type="button" class="plain" id="log" aria-pressed="false">log distance</button>'
    '</span></div><div class="plot" id="curve" role="img" aria-label="scalars over iterations"></div>'
    "<noscript>{picture}</noscript></div>"
)
_TIMES = (
    '<div class="box"><div class="chips" id="parts">'
    '<span class="end"><span class="at" id="of"></span></span></div>'
    '<div class="plot" id="times" role="img" aria-label="seconds of each iteration"></div></div>'
)
_ITERATIONS = (
    '<section><div class="bar"><h2>Iterations <small>{aside}</small></h2>'
    '<button type="button" id="csv">save as CSV</button></div>'
    '<div class="scroll" tabindex="0"><table id="rows"></table></div></section>'
)


def _how_many(iterations: int) -> str:
    return "drag to zoom, double click for the whole run" if iterations > 1 else ""


def _rows_shown(iterations: int) -> str:
    return f"the last {ROWS} of {iterations:,}" if iterations > ROWS else ""


def _read(name: str) -> str:
    return (_FILES / name).read_text(encoding="utf-8")


def _policy(styles: list[str], scripts: list[str]) -> str:
    """Only what is in the file itself, told by its hash, and nothing from anywhere."""
    return (
        f"default-src 'none'; script-src {_hashes(scripts)}; style-src {_hashes(styles)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _hashes(sources: list[str]) -> str:
    return " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"
        for source in sources
    )
