"""A call of a scheduler's command, with the faults that strike it."""

from __future__ import annotations

import os
import sys
import time

from qcsc_hpc.testing.executables.answer import Answer, Refused
from qcsc_hpc.testing.executables.arrays import elements
from qcsc_hpc.testing.executables.files import job_folder
from qcsc_hpc.testing.executables.job import Job
from qcsc_hpc.testing.executables.launching import launch, launch_jobs
from qcsc_hpc.testing.executables.scheduling import schedule
from qcsc_hpc.testing.executables.state import State
from qcsc_hpc.testing.executables.systems import COMMANDS, acceptance, handler, reader, system_of
from qcsc_hpc.testing.fault import Fault

FOR_EVER = 3600.0
LATE_SECONDS = 1.0
GARBAGE = "\x00\x00\x1b[garbage"


def main(folder: str, command: str, arguments: list[str]) -> int:
    """Answers a command; its exit code."""
    with State(folder) as state:
        entry = state.note_command(command, arguments)
        answer, late = _answer(state, command, arguments)
        launch_jobs(folder, schedule(state))
        if late is not None:
            launch(folder, ["schedule-at", str(late)])
        if answer.seconds:
            state.note_process()
        else:
            state.note_end(entry, answer.rc)
    if answer.seconds:
        time.sleep(answer.seconds)
        with State(folder) as state:
            state.note_end(entry, answer.rc)
    _write(answer)
    return answer.rc


def _write(answer: Answer) -> None:
    sys.stderr.write(answer.error)
    sys.stderr.flush()
    sys.stdout.write(answer.output)
    sys.stdout.flush()


def _answer(state: State, command: str, arguments: list[str]) -> tuple[Answer, float | None]:
    """The answer, and when a job will be accepted later."""
    if state.setting("stopped") or state.setting("away"):
        return system_of(state).unreachable(command), None
    try:
        match COMMANDS[command][1]:
            case "submit":
                return _submit(state, command, arguments)
            case "cancel":
                return _cancel(state, command, arguments), None
            case _:
                return _status(state, command, arguments), None
    except Refused as refused:
        return refused.answer, None


def _cancel(state: State, command: str, arguments: list[str]) -> Answer:
    if state.take(Fault.CANCEL_FAILS, command):
        return system_of(state).unreachable(command)
    return handler(command)(state, arguments)


def _status(state: State, command: str, arguments: list[str]) -> Answer:
    if state.take(Fault.STATUS_FAILS, command):
        return system_of(state).unreachable(command)
    # what has become possible since the last command is seen by this one
    hangs = state.take(Fault.STATUS_HANGS, command)
    garbage = state.take(Fault.STATUS_GARBAGE, command)
    try:
        answer = handler(command)(state, arguments)
    except Refused as refused:
        answer = refused.answer
    if garbage:
        answer = Answer(answer.output[: len(answer.output) * 2 // 3].rstrip("}\n") or GARBAGE)
    if hangs:
        answer.seconds = FOR_EVER if hangs["seconds"] is None else hangs["seconds"]
    return answer


def _submit(state: State, command: str, arguments: list[str]) -> tuple[Answer, float | None]:
    if state.take(Fault.SUBMIT_FAILS_TRANSIENT, command):
        return system_of(state).unreachable(command), None
    if refused := state.take(Fault.SUBMIT_REFUSED, command):
        return Answer(error=f"{refused['reason']}\n", rc=1), None
    job = reader(command)(state, arguments)
    late = _strike(state, job)
    for one in elements(state.folder, job, system_of(state).element_form(job)):
        state.save(one)
    hangs = state.take(Fault.SUBMIT_TIMES_OUT_THOUGH_ACCEPTED, command)
    if late is None and hangs is None:
        return Answer(acceptance(command)(job, arguments)), None
    answer = system_of(state).lost(command)
    if hangs:
        answer.seconds = FOR_EVER if hangs["seconds"] is None else hangs["seconds"]
    return answer, late


def _strike(state: State, job: Job) -> float | None:
    """Lets faults have an accepted job; when it will be in the queue, if not at once."""
    job.lag = state.number_setting("accounting_lag")
    if lag := state.take(Fault.ACCOUNTING_LAGS):
        job.lag = lag["seconds"]
    if state.take(Fault.JOB_VANISHES):
        job.hidden = 1
    if never := state.take(Fault.NEVER_STARTS):
        job.held, job.reason = 1, never["reason"] or system_of(state).never_starts(job)
    late = state.take(Fault.SUBMIT_ACCEPTED_LATE)
    if late is None:
        return None
    job.submitted = state.now + (LATE_SECONDS if late["seconds"] is None else late["seconds"])
    return job.submitted


def keep_script(state: State, number: int, text: str) -> str:
    """Keeps a copy of a job's script, as it was when it was submitted; where."""
    place = job_folder(state.folder, number)
    os.makedirs(place, exist_ok=True)
    file = os.path.join(place, "script")
    with open(file, "w", encoding="utf-8", errors="surrogateescape") as script:
        script.write(text)
    os.chmod(file, 0o700)
    return file
