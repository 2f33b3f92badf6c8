"""Jobs that have ended: the server keeps them apart, for those who ask for history."""

from __future__ import annotations

from qcsc_hpc.testing.executables.answer import Refused
from qcsc_hpc.testing.executables.job import Job
from qcsc_hpc.testing.executables.options import BadOption, Grammar
from qcsc_hpc.testing.executables.pbs.system import server
from qcsc_hpc.testing.executables.state import State


def parsed(grammar: Grammar, arguments: list[str], usage: str) -> tuple[dict[str, str], list[str]]:
    """Options and ids.

    Raises:
        Refused: an option is unknown.
    """
    try:
        given, ids = grammar.parse(arguments)
    except BadOption as bad:
        error = f"/opt/pbs: invalid option -- '{bad.option.lstrip('-')[:1]}'\nusage: {usage}\n"
        raise Refused(error, 2) from bad
    return dict(given), ids


def full_id(state: State, id: str) -> str:
    """With the server's name, which may be left out."""
    return id if "." in id else f"{id}.{server(state)}"


def is_id(text: str) -> bool:
    """Whether it can be a job's; everything else is a queue's name to these commands."""
    return text[:1].isdigit()


def active(jobs: list[Job]) -> list[Job]:
    """Those that have not ended."""
    return [job for job in jobs if not job.is_over]


def ended(jobs: list[Job]) -> list[Job]:
    """Those that have."""
    return [job for job in jobs if job.is_over]
