"""qstat(1B)."""

from __future__ import annotations

from qcsc_hpc.testing.executables.answer import Answer, Refused
from qcsc_hpc.testing.executables.job import Job
from qcsc_hpc.testing.executables.options import Grammar
from qcsc_hpc.testing.executables.pbs.attributes import attributes, letter
from qcsc_hpc.testing.executables.pbs.history import active, ended, full_id, is_id, parsed
from qcsc_hpc.testing.executables.pbs.system import SERVER, is_miyabi
from qcsc_hpc.testing.executables.pbs.writing import Value, in_text, written
from qcsc_hpc.testing.executables.state import State
from qcsc_hpc.testing.fault import Fault

GRAMMAR = Grammar(valued="Fu", flags="fxHtwan1s")
USAGE = "qstat [-f] [-J] [-p] [-t] [-x] [-E] [-F format] [-D delim] [ job_identifier... ]"
VERSION = "23.06.06"
HEAD = """Job id            Name             User              Time Use S Queue
----------------  ---------------- ----------------  -------- - -----
"""
UNKNOWN_ID, FINISHED, UNKNOWN_QUEUE = 153, 35, 170


def answer(state: State, arguments: list[str]) -> Answer:
    """The jobs asked for; the exit code is the last failure's, and the others are there, too.

    -x shows jobs that have ended as well; -H is the table of those, whatever else is asked for.
    """
    if is_miyabi(state):
        from qcsc_hpc.testing.executables.pbs import miyabi

        return miyabi.listed(state, arguments)
    options, ids = parsed(GRAMMAR, arguments, USAGE)
    if "H" in options:
        return Answer(
            _table([job for job in ended(state.known_jobs()) if not ids or job.id in ids])
        )
    found, error, rc = _found(state, options, ids)
    if len(found) > 1 and ids and state.take(Fault.STATUS_IN_PART, "qstat"):
        found = found[:1]
    if options.get("F", "").lower() == "json":
        output = _json(state, found)
    elif "f" in options:
        output = "".join(in_text(job.id, attributes(state, job)) for job in found)
    else:
        output = _table(found)
    return Answer(output, error, rc)


def _its(known: list[Job], id: str) -> list[str]:
    return [job.id for job in known if job.array == id] or [id]


def _found(state: State, options: dict[str, str], ids: list[str]) -> tuple[list[Job], str, int]:
    known = state.known_jobs()
    if "t" in options:  # an array stands for its elements, too
        ids = [one for id in ids for one in _its(known, full_id(state, id))]
    if not ids:
        return known if "x" in options else active(known), "", 0
    wants_history = "x" in options
    by_id = {job.id: job for job in known}
    found: list[Job] = []
    error, rc = "", 0
    for id in ids:
        if not is_id(id):
            raise Refused(f"qstat: Unknown queue destination {id}\n", UNKNOWN_QUEUE)
        job = by_id.get(full_id(state, id))
        if job is None:
            error, rc = f"{error}qstat: Unknown Job Id {full_id(state, id)}\n", UNKNOWN_ID
        elif job.is_over and not wants_history:
            hint = "Job has finished, use -x or -H to obtain historical job information"
            error, rc = f"{error}qstat: {job.id} {hint}\n", FINISHED
        else:
            found.append(job)
    return found, error, rc


def _json(state: State, jobs: list[Job]) -> str:
    """Without "Jobs" if there are none."""
    whole: dict[str, Value] = {
        "timestamp": int(state.now),
        "pbs_version": VERSION,
        "pbs_server": SERVER,
    }
    if jobs:
        whole["Jobs"] = {job.id: attributes(state, job) for job in jobs}
    return f"{written(whole)}\n"


def _table(jobs: list[Job]) -> str:
    return HEAD + "".join(_line(job) for job in jobs) if jobs else ""


def _line(job: Job) -> str:
    time = "00:00:00" if job.starts else "0"
    name = job.name if len(job.name) < 16 else f"{job.name[:14]}*"
    return f"{job.id:<17} {name:<16} {'root':<16}  {time:>8} {letter(job)} {job.queue:<16}\n"
