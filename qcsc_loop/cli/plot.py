"""`plot`: the convergence of runs, in the terminal or as a picture's file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from shutil import get_terminal_size

from rich.text import Text

from qcsc_loop.errors import InputError
from qcsc_loop.parameters.environment import environment
from qcsc_loop.printing import printable, say
from qcsc_loop.reports.braille import Curves, Role, draw
from qcsc_loop.reports.figure import Along, Figure, require_scalar, run_figure, runs_figure
from qcsc_loop.reports.named_file import write_named
from qcsc_loop.reports.run import number
from qcsc_loop.reports.svg import figure_svg
from qcsc_loop.reports.tables import PlainConsole
from qcsc_loop.reports.view import RunReader, View
from qcsc_loop.store.directory import DirectoryStore

FORMS = (".svg", ".png", ".pdf")
WIDTH, HEIGHT = 880, 400  # of a file, in pixels
ROWS, ROWS_OF_SEVERAL = 20, 11
PIPE_WIDTH = 100
_STYLES: dict[Role, str] = {
    "curve": "bold blue",
    "beside": "yellow",
    "axis": "dim",
    "reference": "green",
    "mark": "dim",
}


def plot_runs(
    run_ids: Sequence[str],
    *,
    name: str | None,
    along: Along,
    log: bool,
    output: Path | None,
    store: Path | None,
) -> None:
    """Draws runs.

    Raises:
        InputError: there is no such run or scalar, or no file of that kind can be written.
    """
    form = form_of(output) if output is not None else ""
    views = look_at(run_ids, store)
    if name is not None:
        require_scalar(views, name)
    if output is None:
        _print(views, name=name, along=along, log=log)
        return
    figure = runs_figure(views, name=name, along=along, log=log)
    write_file(output, picture(figure, form))
    say(f"{output}: {figure.title}")


def look_at(run_ids: Sequence[str], store: Path | None) -> list[View]:
    """Each run as it stands, once.

    Raises:
        RunNotFound: there is none of that id.
    """
    place = DirectoryStore(store or environment().store)
    return [RunReader(place, run_id).look() for run_id in dict.fromkeys(run_ids)]


def write_file(output: Path, content: bytes, option: str = "-o") -> None:
    """Writes it, whole where that is a file.

    Args:
        option: by which it was named.

    Raises:
        FileNotWritten: it cannot be written there.
    """
    write_named(output, content, option=option, sync="nothing")


def form_of(output: Path) -> str:
    """What kind of picture a file's name stands for.

    Raises:
        InputError: none.
    """
    if (form := output.suffix.lower()) not in FORMS:
        raise InputError(
            f"{output}: what kind of picture it is, is said by its name's end: {', '.join(FORMS)}"
        )
    return form


def picture(figure: Figure, form: str, *, width: int = WIDTH, height: int = HEIGHT) -> bytes:
    """A figure as a file of one of `FORMS`; pixels of an .svg."""
    if form == ".svg":
        return figure_svg(figure, width=width, height=height).encode()
    from qcsc_loop.reports.raster import draw as draw_raster  # matplotlib's

    return draw_raster(figure, "pdf" if form == ".pdf" else "png")


def _print(views: Sequence[View], *, name: str | None, along: Along, log: bool) -> None:
    console = PlainConsole()
    if not console.is_terminal:
        console = PlainConsole(width=get_terminal_size((PIPE_WIDTH, ROWS)).columns)
    rows = ROWS if len(views) == 1 else ROWS_OF_SEVERAL
    rows = max(4, min(rows, console.height - 4)) if console.is_terminal else rows
    for place, view in enumerate(views):
        if place:
            console.print()
        figure = run_figure(view, name=name, along=along, log=log)
        console.print(_head(view, figure), soft_wrap=True)
        lines = draw(
            _curves(view, figure),
            width=console.width,
            height=rows,
            ascii_only=not console.has_blocks,
        )
        for line in lines:
            pieces = [(printable(text), _STYLES.get(role, "")) for text, role in line]
            console.print(Text.assemble(*pieces), no_wrap=True, overflow="crop")
        if not lines:
            console.say("  nothing to show yet", style="dim")
        elif along != "iteration":
            console.say(f"  along: {figure.x_label}", style="dim")


def _head(view: View, figure: Figure) -> Text:
    """The run, and each curve's name and newest value."""
    parts: list[tuple[str, str]] = [(view.run_id, "bold")]
    for line in figure.lines:
        newest = next((v for v in reversed(line.y) if math.isfinite(v)), math.nan)
        name = line.name if line.beside else figure.y_label
        value = number(newest) if math.isfinite(newest) else "-"
        style = _STYLES["beside" if line.beside else "curve"]
        parts.append((f"   {printable(name)} {value}", style))
    return Text.assemble(*parts)


def _curves(view: View, figure: Figure) -> Curves:
    main, *beside = figure.lines
    epochs = view.history.epochs
    return Curves(
        values=main.y,
        beside=[line.y for line in beside],
        positions=[int(x) if x == int(x) else x for x in main.x],
        references=figure.references,
        marks=[k for k in range(1, len(epochs)) if epochs[k] != epochs[k - 1]],
        log=figure.log,
    )
