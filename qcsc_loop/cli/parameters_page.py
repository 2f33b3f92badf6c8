"""docs/parameters.md, made from the models: `python -m qcsc_loop.cli.parameters_page FILE`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

from pydantic import BaseModel

from qcsc_loop.catalog import find_algorithm, installed_algorithms
from qcsc_loop.parameters.describe import Description, Parameter, describe, kinds, types_of
from qcsc_loop.plugins import OURS, distribution
from qcsc_loop.sweeping.plan import Halving
from qcsc_loop.sweeping.toml_plan import SweepTable

_HEAD = """\
# Parameters

Every parameter of the algorithms, samplers, machines, solvers and stop rules that come with
qcsc-loop. This page is made from their classes; `qcsc-loop describe` says the same of those that are
installed, yours included:

```
qcsc-loop describe bitcount
qcsc-loop describe sampler aer
```

A parameter is given as `--set NAME=VALUE`, in a TOML file (`--params FILE`) or in Python. A nested one
has dots: `--set sampler.method=stabilizer`. `--set sampler=ibm-runtime` takes another type of sampler,
`--set sampler=aer-sampler/mine` a saved block, which a TOML file makes with `qcsc-loop blocks apply`:

```toml
[aer-sampler.mine]
method = "stabilizer"
```

Those marked with * may be changed when a run goes on; the others decide its results.
"""
_SWEEP: dict[str, type[BaseModel]] = {"sweep file": SweepTable, "halving": Halving}
JOB_SITE = "job-site"
_COLUMNS = ("name", "default", "takes", "what it is")


def page() -> str:
    """The page as it should be."""
    return "\n".join(_sections()).rstrip() + "\n"


def write_page(file: Path) -> None:
    """Writes it."""
    file.write_text(page(), encoding="utf-8")


def _sections() -> Iterator[str]:
    yield _HEAD
    yield "## Algorithms\n"
    for name, point in sorted(installed_algorithms().items()):
        if _is_ours(point):
            yield from _section(describe(find_algorithm(name), name))
    for kind, model in sorted(kinds().items()):
        if kind == JOB_SITE:  # what ledgers keep: no setting of a person's
            continue
        theirs = {name: each for name, each in types_of(model).items() if _comes_with_us(each)}
        if theirs:
            yield f"## {kind.replace('-', ' ').capitalize()}\n"
        for name, each in theirs.items():
            yield from _section(describe(each, f"{kind} {name}"))
    yield "## Sweep\n"
    for name, table in _SWEEP.items():
        yield from _section(describe(table, name))


def _is_ours(point: EntryPoint) -> bool:
    return distribution(point) == OURS


def _comes_with_us(kind: type) -> bool:
    """Whether it is of these packages: a test, or another distribution, may have added some."""
    return kind.__module__.partition(".")[0] in ("qcsc_loop", "qcsc_hpc", "qcsc_algorithms")


def _section(found: Description) -> Iterator[str]:
    yield f"### {found.name}\n"
    if found.what:
        yield f"{_cell(found.what)}\n"
    if found.parameters:
        yield _row(_COLUMNS)
        yield _row(["---"] * len(_COLUMNS))
        yield from (_row(_cells(parameter, found)) for parameter in found.parameters)
        yield ""
    else:
        yield "It has no parameters.\n"


def _cells(parameter: Parameter, found: Description) -> list[str]:
    default = "has to be given" if parameter.default is None else f"`{parameter.default}`"
    kinds_of = found.types.get(parameter.name, ())
    takes = f"one of {', '.join(kinds_of)}" if kinds_of else parameter.type
    limits = f", {parameter.limits}" if parameter.limits else ""
    mark = " *" if parameter.operational else ""
    return [f"`{parameter.name}`{mark}", default, f"{takes}{limits}", parameter.what]


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    write_page(Path(sys.argv[1]))
