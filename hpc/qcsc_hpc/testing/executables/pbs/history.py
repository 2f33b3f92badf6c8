"""Jobs that have ended: the server keeps them apart, for those who ask for history."""

from __future__ import annotations

from qcsc_hpc.testing.executables.answer import Refused
from qcsc_hpc.testing.executables.job import Job
from qcsc_hpc.testing.executables.options import BadOption, Grammar
from qcsc_hpc.testing.executables.pbs.system import SERVER
from qcsc_hpc.testing.executables.state import State


def parsed(
    state: State, grammar: Grammar, arguments: list[str], usage: str
) -> tuple[dict[str, str], list[str], bool]:
    """Options, ids, and whether history is asked for.

    Raises:
        Refused: an option is unknown; a site's command knows only its own way to history.
    """
    command = usage.partition(" ")[0]
    flag = state.text_setting("history_flag").lstrip("-")
    try:
        given, ids = grammar.parse(arguments)
        options = dict(given)
        for letter in {"x", "H"} - {flag}:
            if letter in options:
                raise BadOption(f"-{letter}")
    except BadOption as bad:
        error = f"/opt/pbs: invalid option -- '{bad.option[1]}'\nusage: {usage}\n"
        raise Refused(error, 2) from bad
    assert command
    return options, ids, flag in options


def full_id(id: str) -> str:
    """With the server's name, which may be left out."""
    return id if "." in id else f"{id}.{SERVER}"


def is_id(text: str) -> bool:
    """Whether it can be a job's; everything else is a queue's name to these commands."""
    return text[:1].isdigit()


def active(jobs: list[Job]) -> list[Job]:
    """Those that have not ended."""
    return [job for job in jobs if not job.is_over]
