"""Write boundaries: the instants between which a run's durable state is one thing or the next."""

from __future__ import annotations

import json
import re
from pathlib import PurePath

DOCUMENT = ("before", "torn", "written", "synced", "named", "durable")
"""Of a file that appears whole: nothing of it is there; half of it; all of it, in a temporary file;
that one is synced; it has its name; the folder that holds the name is synced."""

LOG = ("before", "torn", "written", "durable")
"""Of a line that is added to a log."""

FILE = ("torn", "written", "synced", "named")
"""Of a file in a job's folder, whose name is not relied on."""

REMOTE = ("before", "after")
"""Of a submission: it is about to be asked for; it was accepted."""

REMOVAL = ("before", "after")


def _of(what: str, stages: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{what}/{stage}" for stage in stages)


WRITE_BOUNDARIES = (
    *_of("run", DOCUMENT),
    *_of("driver", DOCUMENT),
    *_of("0/checkpoint", DOCUMENT),
    *_of("0/history", LOG),
    *_of("1/sample", DOCUMENT),
    *_of("1/evaluate", DOCUMENT),
    *_of("1/checkpoint", DOCUMENT),
    *_of("1/history", LOG),
    *_of("end", DOCUMENT),
)
"""Those of every run of one iteration, in their order. `write_boundaries` lists an algorithm's own:
its other iterations, large arrays (`1/sample.arrays/named`), what is pruned (`0/checkpoint.remove`)
and its jobs."""

JOB_BOUNDARIES = (
    *_of("1/job.sh", FILE),
    *_of("1/job.intent", LOG),
    *_of("1/submit", REMOTE),
    *_of("1/job.submitted", LOG),
    *_of("1/job.finished", LOG),
    *_of("1/job.collected", LOG),
)
"""Those of a program that `evaluate` of the first iteration runs on a machine, in their order."""

_FOR_LOOKERS_ON = re.compile(r"^(live|chart)\.json$|^log\.")
_TEMPORARY = re.compile(r"^\.(.+)\.\w+\.tmp$")
_STEP = re.compile(r"^(\d{8,})\.(\w+)\.e\d+(\.\w{12}\.npz)?(\.json)?$")
_CHECKPOINT = re.compile(r"^(\d{8,})\.e\d+(\.\w{12}\.npz)?(\.json)?$")
_DRIVER = re.compile(r"^\d{4,}(-(\w+))?(\.json)?$")
_WORK = re.compile(r"^(\d{8,})-")


def document_called(path: PurePath) -> str | None:
    """What is written at a path below a run's folder; None for what no run relies on.

    Temporary files are called as what they become.
    """
    place, name = path.parent.parts, _final(path.name)
    match place:
        case ():
            return None if _FOR_LOOKERS_ON.match(name) else name.removesuffix(".json")
        case ("epochs",):
            found = _DRIVER.match(name)
            return (found[2] or "driver") if found else None
        case ("steps",):
            found = _STEP.match(name)
            return f"{int(found[1])}/{found[2]}{_arrays(found[3])}" if found else None
        case ("checkpoints",):
            found = _CHECKPOINT.match(name)
            return f"{int(found[1])}/checkpoint{_arrays(found[2])}" if found else None
        case ("work",):
            found = _WORK.match(name)
            return f"{int(found[1])}/work" if found else None
        case ("work", step, *_):
            found = _WORK.match(step)
            return f"{int(found[1])}/{name}" if found else None
        case _:
            return None


def line_called(log: str, line: bytes) -> str | None:
    """What is added to a log; None for what no run relies on."""
    facts = json.loads(line)
    match log:
        case "history.jsonl":
            return f"{facts['iteration']}/history"
        case "jobs.jsonl" if "key" in facts:
            return f"{facts['key']['iteration']}/job.{facts['kind']}"
        case "jobs.jsonl":
            return f"job.{facts.get('kind', 'carried')}"
        case _:
            return None


def _arrays(suffix: str | None) -> str:
    return ".arrays" if suffix else ""


def _final(name: str) -> str:
    found = _TEMPORARY.match(name)
    return found[1] if found else name
