"""docs/benchmarks.md: what the last run of each benchmark measured, and where. Docs quote only it.

`benchmarks/run.py` names a file in `FIGURES`; each `figures.show` adds its lines to it; the end of the
run puts them in the place of that subject's old ones.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

FIGURES = "QCSC_BENCH_FIGURES"
PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
KEPT = Path(__file__).with_name("measured.json")
COLUMNS = ("measured", "median", "beside", "its median", "ratio", "target")
VERSIONS = ("qcsc-loop", "prefect", "qiskit", "qiskit-aer", "numpy", "mpi4py")
HEAD = """\
# Benchmarks

What `make bench` measured, or `python benchmarks/run.py SUBJECT...`, which writes this page. Each value
is a median, beside a floor or a peer of the same run on the same machine: the ratio is what to look
at. A target that is missed is said to be.
"""
NOTHING = "Nothing is measured yet: `make bench`, on a machine that does nothing else.\n"

Row = Mapping[str, Any]  # Any: JSON


def record(title: str, rows: Iterable[Row]) -> None:
    """Adds the rows of one table to the file that collects them, if there is one."""
    if place := os.environ.get(FIGURES):
        with Path(place).open("a") as file:
            file.writelines(f"{json.dumps({'title': title, **row})}\n" for row in rows)


def keep(subject: str, collected: Path) -> None:
    """Puts what a subject has just measured in the place of what it had, and writes the page."""
    rows = [json.loads(line) for line in collected.read_text().splitlines()]
    measured = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    measured[subject] = {"where": where(), "rows": rows}
    KEPT.write_text(json.dumps(measured, indent=1) + "\n")
    PAGE.write_text(page(measured))


def where() -> dict[str, str]:
    """Machine, versions and date."""
    versions = ", ".join(f"{name} {version(name)}" for name in VERSIONS)
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": f"{os.cpu_count()} cores of {cpu}",
        "versions": f"Python {platform.python_version()}, {versions}",
    }


def page(measured: Mapping[str, Any]) -> str:
    """The page for all that was measured, by subject."""
    return "\n".join([HEAD, *_sections(measured)]) if measured else f"{HEAD}\n{NOTHING}"


def _sections(measured: Mapping[str, Any]) -> Iterator[str]:
    for subject, found in sorted(measured.items()):
        facts = found["where"]
        yield f"## {subject}\n\n`python benchmarks/run.py {subject}`, {facts['date']}, on"
        yield f"{facts['machine']}; {facts['versions']}.\n"
        for title in dict.fromkeys(row["title"] for row in found["rows"]):
            yield f"### {title}\n\n| {' | '.join(COLUMNS)} |\n|---|--:|---|--:|--:|---|"
            rows = (row for row in found["rows"] if row["title"] == title)
            yield from (_row(row) for row in rows)
            yield ""


def _row(row: Row) -> str:
    cells = [
        row["what"],
        f"{row['value']:.3g} {row['unit']}",
        row["beside"],
        f"{row['floor']:.3g} {row['unit']}",
        f"{row['ratio']:.3g}",
        f"{row['target']}: {'met' if row['met'] else 'missed'}" if row["target"] else "",
    ]
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


if __name__ == "__main__":
    PAGE.write_text(page(json.loads(KEPT.read_text()) if KEPT.exists() else {}))
