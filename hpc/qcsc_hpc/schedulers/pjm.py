"""PJM, the job manager of Fugaku: pjsub, pjstat, pjdel.

Fujitsu, "Job Operation Software End-user's Guide".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from qcsc_hpc.schedulers.not_now import refusal
from qcsc_hpc.schedulers.scheduler import Answer, Argv, NotUnderstood, Placement, Scheduler, Status
from qcsc_loop.jobs.outcome import JobMetrics, JobState

_S = JobState
_STATES = {
    "ACC": _S.PENDING,
    "QUE": _S.PENDING,
    "HLD": _S.PENDING,
    "RNA": _S.PENDING,
    "RNP": _S.PENDING,
    "RUN": _S.RUNNING,
    "SPP": _S.RUNNING,
    "SPD": _S.RUNNING,
    "RSM": _S.RUNNING,
    "RNE": _S.ENDING,
    "RNO": _S.ENDING,
    "EXT": _S.COMPLETED,
    "CCL": _S.CANCELLED,
    "RJT": _S.REJECTED,
    "ERR": _S.FAILED,
}
# PJM codes, the column PC (Fugaku Users Guide 5.16.1): what ended a job that did not end by itself
_CODES = {
    "1": _S.CANCELLED,
    "2": _S.REJECTED,
    "3": _S.REJECTED,
    "7": _S.TIMEOUT,
    "8": _S.CANCELLED,
    "10": _S.TIMEOUT,
    "11": _S.TIMEOUT,
    "12": _S.OUT_OF_MEMORY,
    "18": _S.PREEMPTED,
    "20": _S.NODE_FAIL,
    "25": _S.NODE_FAIL,
    "22": _S.NODE_FAIL,
    "23": _S.OUT_OF_MEMORY,
}

NAME_SHOWN = 10
_NEEDED = {"JOB_ID", "JOB_NAME", "ST", "EC", "PC", "SN", "REASON"}

_ID = re.compile(r"\bJob (\d+) submitted")
_HEADER = re.compile(r"\S+\s*")


class PJM(Scheduler):
    """Fujitsu Technical Computing Suite."""

    name: ClassVar[str] = "pjm"
    title: ClassVar[str] = "PJM"
    prefix: ClassVar[str] = "#PJM"
    own_id: ClassVar[str] = '"$PJM_JOBID"'
    # its own launcher is told the ranks of a node by --mpi
    honoured: ClassVar[frozenset[str]] = frozenset(
        {
            "queue_cpu",
            "queue_gpu",
            "project_cpu",
            "project_gpu",
            "qpu",
            "num_nodes",
            "walltime",
            "extra_directives",
            "resources",
            "exclusive",
            "queue_timeout",
            "gfscache",
            "mpi_options_for_pjm",
        }
    )
    refused: ClassVar[Mapping[str, str]] = {
        "memory": "PJM gives whole nodes; leave it out, or give node-mem=… as one of the resources",
        "gpus_per_node": "PJM has no GPUs to ask for; leave it out",
        "reservation": "give the reservation's resource group as queue_cpu",
        "constraint": "choose the nodes by their resource group, queue_cpu",
    }

    def directives(self, job: Placement) -> list[str]:
        where, how = job.where, job.how
        project = (where.project_directive or "-g {project}").format(project=where.project(how))
        mpi = [f"proc={how.ranks}", f"max-proc-per-node={how.mpiprocs}", *where.mpi_options_for_pjm]
        lines = [
            f"--name {_short(job.job_name)}",
            # its own files would appear at the end: the script writes its own
            "-j",
            "-o /dev/null",
            f'-L "node={how.num_nodes}"',
            f'--mpi "{",".join(mpi)}"',
        ]
        optional = {
            f'-L "rscgrp={where.queue(how)}"': where.queue(how),
            project: where.project(how),
            f'-L "elapse={how.walltime}"': how.walltime,
            f"-x PJM_LLIO_GFSCACHE={where.gfscache}": where.gfscache,
            where.qpu_directive.format(qpu=where.qpu): where.qpu,
        }
        lines += [line for line, wanted in optional.items() if wanted]
        return lines + [f'-L "{resource}"' for resource in where.resources] + where.extra_directives

    def submit(self, script: str) -> Argv:
        return ["pjsub", script]

    def submitted(self, answer: Answer) -> str:
        found = _ID.search(answer.out)
        if answer.code == 0 and found is not None:
            return found[1]
        raise refusal(self.name, answer)

    def status(self, ids: Sequence[str]) -> Argv:
        return ["pjstat", "-v", *ids]

    def statuses(self, answer: Answer) -> dict[str, Status]:
        return {row["JOB_ID"]: _status(row) for row in _rows(answer)}

    def history(self, ids: Sequence[str]) -> Argv | None:
        return ["pjstat", "-H", "-v", *ids]

    def find(self, job_name: str) -> list[Argv]:
        return [["pjstat", "-v"], ["pjstat", "-H", "-v"]]

    def found(self, answer: Answer, job_name: str) -> list[str]:
        shown = _short(job_name)[:NAME_SHOWN]
        ids = [row["JOB_ID"] for row in _rows(answer) if row["JOB_NAME"] == shown]
        return sorted(ids, key=int)

    def cancel(self, job_id: str) -> Argv:
        return ["pjdel", job_id]

    def cancelled(self, answer: Answer) -> None:
        over = _unknown(answer) or "already finished" in (answer.err + answer.out).lower()
        if answer.code != 0 and not over:
            raise NotUnderstood(answer.words)


def _status(row: Mapping[str, str]) -> Status:
    letters, code = row.get("ST", ""), row.get("PC", "")
    if letters not in _STATES:
        raise NotUnderstood(f"the state {letters!r} is not known")
    state, exit_code, signal = _STATES[letters], _number(row.get("EC")), _number(row.get("SN"))
    if state.final:
        state = _CODES.get(code, state)
    if state is JobState.COMPLETED and (exit_code or signal or code not in ("0", "-", "")):
        state = JobState.FAILED
    reason = row.get("REASON", "").strip("- ")
    return Status(state, reason, exit_code if state.final else None, signal or None, _metrics(row))


def _metrics(row: Mapping[str, str]) -> JobMetrics:
    started = _time(row.get("START_DATE", ""))
    ran = _span(row.get("ELAPSE_TIM", ""))
    final = _STATES[row["ST"]].final
    return JobMetrics(
        submitted=_time(row.get("ACCEPT", "")),
        started=started if _STATES[row["ST"]] is not JobState.PENDING else None,
        ended=started + ran if final and started is not None and ran is not None else None,
        nodes=_number(row.get("NODE_REQUIRE", "").partition(":")[0]),
    )


def _rows(answer: Answer) -> Iterator[dict[str, str]]:
    """The table's lines, cut where the header's words begin: a date holds a blank."""
    header: list[tuple[str, int, int]] = []
    for line in answer.out.splitlines():
        if line.lstrip().startswith("JOB_ID"):
            header = [(m[0].strip(), m.start(), m.end()) for m in _HEADER.finditer(line)]
            if missing := _NEEDED - {name for name, _, _ in header}:
                raise NotUnderstood(f"its table has no column {min(missing)}")
            header[-1] = (*header[-1][:2], 10_000)
        elif header and line[:1].isdecimal():
            if len(line) <= header[-2][1]:  # all but the last column always hold something
                raise NotUnderstood(f"a line of it is cut off: {line!r}")
            yield {name: line[start:end].strip() for name, start, end in header}
    if not header and not _unknown(answer):
        raise NotUnderstood(answer.words)


def _unknown(answer: Answer) -> bool:
    """Whether it says that there is no such job."""
    said = (answer.err + answer.out).lower()
    return "does not exist" in said or "no such job" in said


def _short(job_name: str) -> str:
    """The name's hash: pjstat shows ten characters, and by them a job has to be found."""
    return "q" + job_name.rpartition("-")[2]


def _time(text: str) -> datetime | None:
    """Local times without a year, "11/20 18:27:03"; a forecast is in brackets."""
    for form in ("%Y/%m/%d %H:%M:%S", "%m/%d %H:%M:%S"):
        try:
            found = datetime.strptime(text.strip("()<> "), form)
        except ValueError:
            continue
        now = datetime.now()
        if found.year == 1900:
            found = found.replace(year=now.year)
            found = found if found < now + timedelta(days=180) else found.replace(year=now.year - 1)
        return found.astimezone(UTC)
    return None


def _span(text: str) -> timedelta | None:
    try:
        hours, minutes, seconds = (int(part) for part in text.split(":"))
    except ValueError:
        return None
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None
