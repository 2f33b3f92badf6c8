"""The page of a run's files, from the models that are written to them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from qcsc_loop.jobs import entries
from qcsc_loop.jobs.key import JobKey
from qcsc_loop.jobs.outcome import JobMetrics, JobOutcome
from qcsc_loop.store import live, records

FILES: dict[str, tuple[type[BaseModel], ...]] = {
    "run.json": (records.RunRecord, records.Settings, records.ForkedFrom),
    "epochs/NNNN.json": (records.EpochRecord, records.Holder),
    "epochs/NNNN-end.json": (records.EndRecord,),
    "history.jsonl": (records.Commit,),
    "steps/NNNNNNNN.STEP.eNNNN.json": (records.StepNote,),
    "jobs.jsonl": (
        entries.Intent,
        entries.Submitted,
        entries.Finished,
        entries.Collected,
        entries.Cancelling,
        entries.Holding,
        entries.Released,
        entries.Measured,
        JobKey,
        JobOutcome,
        JobMetrics,
    ),
    "live.json": (live.LiveRecord, live.LiveJob, live.LiveParts),
    "chart.json": (live.ChartRecord,),
    "log.jsonl": (live.LogLine,),
}
HEAD = """\
# Files of a run

What each file below a run's folder holds, made from the models that are written to it. Times are
UTC in ISO 8601; NaN and inf are strings. Fields that a version does not know are left alone. What the
folder looks like, and in which order it is written: [durability](../durability.md).
"""
ATTRIBUTE = re.compile(r"^    (\w[\w, ]*): (.*(?:\n {8}.*)*)", re.MULTILINE)


def write_records(folder: Path) -> None:
    """Writes the page."""
    text = "\n".join(_page())
    (folder / "files.md").write_text(text, encoding="utf-8")


def _page() -> Iterator[str]:
    yield HEAD
    for file, models in FILES.items():
        yield f"## {file}\n"
        for model in models:
            yield from _section(model)


def _section(model: type[BaseModel]) -> Iterator[str]:
    doc = inspect.getdoc(model) or ""
    yield f"### {model.__name__}\n\n{doc.partition('Attributes:')[0].strip()}\n"
    said = _attributes(doc)
    yield "| field | type | default | |\n|---|---|---|---|"
    for name, field in model.model_fields.items():
        what = _cell(said.get(name, field.description or ""))
        yield f"| `{name}` | `{_cell(_type(field))}` | {_default(field)} | {what} |"
    yield ""


def _attributes(doc: str) -> dict[str, str]:
    said: dict[str, str] = {}
    for names, words in ATTRIBUTE.findall(doc.partition("Attributes:")[2]):
        said |= dict.fromkeys((name.strip() for name in names.split(",")), " ".join(words.split()))
    return said


def _type(field: FieldInfo) -> str:
    kind: Any = field.annotation  # Any: whatever a field may be annotated with
    words = kind.__name__ if inspect.isclass(kind) and not hasattr(kind, "__args__") else str(kind)
    return re.sub(r"\b(?:qcsc_loop|typing|datetime|collections)\.(?:[a-z_]+\.)*", "", words)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "has to be there"
    if field.default_factory is not None:
        return "made"
    plain = isinstance(field.default, str | int | float | None)
    return f"`{field.default!r}`" if plain else "as its model says"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
