"""PJM, the job manager of Fugaku: pjsub, pjstat, pjdel.

Fujitsu, "Job Operation Software End-user's Guide".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import ClassVar

from qcsc_hpc.profiles import ExecutionProfile
from qcsc_hpc.schedulers.command_set import CommandSet, command_set, no_arrays
from qcsc_hpc.schedulers.not_now import refusal
from qcsc_hpc.schedulers.scheduler import (
    SCHEDULER_LOG,
    Answer,
    Argv,
    ArrayWords,
    NotUnderstood,
    Placement,
    Scheduler,
    Status,
    read_each,
    runs_of,
)
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
    # not the job's doing: it could not be set up again, its prologue or epilogue, the job manager
    "9": _S.NODE_FAIL,
    "26": _S.NODE_FAIL,
    "27": _S.NODE_FAIL,
    "28": _S.NODE_FAIL,
}

_MAIL = {"begin": "b", "end": "e"}  # pjsub(1)
NAME_SHOWN = 10
# -L options that ask for a share of a node: it is asked for in the place of nodes, never with them
_SHARES = ("gpu=", "vnode=", "vnode-core=")

# of pjstat, where it takes an option not at all, or not so
_NO_QUESTION = (
    "invalid item",
    "invalid filter",
    "invalid option",
    "invalid param",
    "illegal option",
    "unrecognized option",
    "usage:",
)

_ID = re.compile(r"\bJob (\d+) submitted")
_HEADER = re.compile(r"\S+\s*")


class PJM(Scheduler):
    """Fujitsu Technical Computing Suite."""

    name: ClassVar[str] = "pjm"
    title: ClassVar[str] = "PJM"
    prefix: ClassVar[str] = "#PJM"
    own_id: ClassVar[str] = '"$PJM_JOBID"'
    # Fujitsu's mpiexec puts what each rank writes into a file of its own (Fugaku Users Guide 6.4)
    gathers: ClassVar[str] = "output.*/*/*/std*"
    # bulk jobs (Fugaku Users Guide 5.4): 12[3] is a sub job of 12
    arrays: ClassVar[ArrayWords | None] = ArrayWords(
        number='"$PJM_BULKNUM"', own_id=r'"${PJM_JOBID%%\[*}${PJM_BULKNUM:+[$PJM_BULKNUM]}"'
    )
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
            "gpus_per_node",
            "resources_cpu",
            "resources_gpu",
            "export",
            "mail_to",
            "mail_on",
            "array",
        }
    )
    refused: ClassVar[Mapping[str, str]] = {
        "memory": "PJM gives whole nodes; leave it out, or give node-mem=… as one of the resources",
        "reservation": "give the reservation's resource group as queue_cpu",
        "constraint": "choose the nodes by their resource group, queue_cpu",
        "constraint_cpu": "choose the nodes by their resource group, queue_cpu",
        "constraint_gpu": "choose the nodes by their resource group, queue_gpu",
        "qos_cpu": "PJM has no QOS, its resource groups are; give queue_cpu",
        "qos_gpu": "PJM has no QOS, its resource groups are; give queue_gpu",
        "licenses": "PJM counts no licences; leave them out, or give the site's word in resources",
        "gpus_per_rank": "PJM gives no GPUs to ranks; give gpus_per_node, and let rank_commands choose",
        "gpu_bind": "PJM binds no GPUs to ranks; let rank_commands choose",
        "warning_seconds": "PJM tells no program of its elapse limit in time; leave it out, and let "
        "the program look at the clock",
    }

    def directives(self, job: Placement) -> list[str]:
        where, how = job.where, job.how
        project = (where.project_directive or "-g {project}").format(project=where.project(how))
        share = self._shares(how)
        resources = where.resources_of(how)
        shaped = any(r.startswith("node=") for r in resources)  # such as node=2x3x2:torus
        mpi = [f"proc={how.ranks}"] + ([] if share else [f"max-proc-per-node={how.mpiprocs}"])
        mpi += where.mpi_options_for_pjm
        lines = [
            f"--name {_short(job.job_name)}",
            "-j",
            *([] if share or shaped else [f'-L "node={how.num_nodes}"']),
            f'--mpi "{",".join(mpi)}"',
        ]
        optional = {
            f'-L "gpu={how.gpus_per_node}"': how.gpus_per_node,
            f'-L "rscgrp={where.queue(how)}"': where.queue(how),
            project: where.project(how),
            f'-L "elapse={how.walltime}"': how.walltime,
            f"-x PJM_LLIO_GFSCACHE={where.gfscache}": where.gfscache,
            where.qpu_directive.format(qpu=where.qpu): where.qpu,
            f"--mail-list {how.mail_to}": how.mail_to,
        }
        lines += [line for line, wanted in optional.items() if wanted]
        lines += [f"-m {_MAIL[event]}" for event in how.mail_on if event in _MAIL]
        lines += [f'-x "{variable}"' for variable in where.export]
        return lines + [f'-L "{resource}"' for resource in resources] + where.extra_directives

    def _shares(self, how: ExecutionProfile) -> bool:
        """Whether the job asks for a share of a node, and not for nodes."""
        return bool(how.gpus_per_node) or any(
            r.startswith(_SHARES) for r in self.where.resources_of(how)
        )

    def unsayable(self, how: ExecutionProfile) -> dict[str, str]:
        found: dict[str, str] = {}
        if "fail" in how.mail_on:
            found["mail_on"] = "PJM writes of every end, and of failures no other way; give end"
        words = [word for word in self.where.export if word in ("NONE", "ALL", "NIL")]
        if words:
            found["export"] = f"{words[0]} is a word of Slurm's; name the variables"
        found |= no_arrays(self.where, self.commands)
        return found | (self._beside_shares(how) if self._shares(how) else {})

    def _beside_shares(self, how: ExecutionProfile) -> dict[str, str]:
        why = "gpu= and vnode-core= ask PJM for a share of one node, in the place of node=; "
        found: dict[str, str] = {}
        if how.num_nodes > 1:
            found["num_nodes"] = f"{why}leave them out: whole nodes have their GPUs"
        if how.exclusive:
            found["exclusive"] = f"{why}leave it out, or ask for whole nodes"
        return found

    @cached_property
    def commands(self) -> CommandSet:
        """How this site is asked."""
        return command_set(self.where)

    @property
    def ids_a_question(self) -> int:
        return self.commands.ids_a_question

    @property
    def plain(self) -> PJM | None:
        dialect = self.commands.plain
        return PJM(self.where.model_copy(update={"dialect": dialect})) if dialect else None

    def submit(self, script: str) -> Argv:
        # at the end it writes what the script has not: a login that failed, its own messages
        return ["pjsub", "-o", SCHEDULER_LOG, script]

    def submitted(self, answer: Answer) -> str:
        found = _ID.search(answer.out)
        if answer.code == 0 and found is not None:
            return found[1]
        raise refusal(self.name, answer)

    def submit_array(self, script: str, size: int) -> Argv:
        # pjsub(1), "-o": %b is the sub job's number
        bulk = ["--bulk", "--sparam", f"0-{size - 1}"]
        return ["pjsub", *bulk, "-o", "%b.log", script]

    def element(self, array_id: str, number: int) -> str:
        return f"{array_id}[{number}]"

    def array_of(self, job_id: str) -> str:
        array_id, _, number = job_id.partition("[")
        return array_id if number else ""

    def cancel_all(self, job_ids: Sequence[str]) -> Argv:
        words = [job_id for job_id in job_ids if not self.array_of(job_id)]
        numbers: dict[str, list[int]] = {}
        for job_id in job_ids:
            if array_id := self.array_of(job_id):
                number = job_id.partition("[")[2].rstrip("]")
                numbers.setdefault(array_id, []).append(int(number))
        for array_id, some in numbers.items():
            words += [f"{array_id}[{run}]" for run in runs_of(some)]
        return ["pjdel", *words]

    def status(self, ids: Sequence[str]) -> Argv:
        return self._about(self.commands.status, ids)

    def statuses(self, answer: Answer) -> dict[str, Status]:
        return read_each(((row["JOB_ID"], row) for row in self._rows(answer)), _status)

    def history(self, ids: Sequence[str]) -> Argv | None:
        return self._about(self.commands.history, ids)

    def again(self, job_id: str) -> list[Argv]:
        return [self._about(question, [job_id]) for question in self.commands.again]

    def _about(self, question: Sequence[str], ids: Sequence[str]) -> Argv:
        """For elements it is asked about their arrays, of which the answer has a line for each."""
        whole = list(dict.fromkeys(self.array_of(job_id) or job_id for job_id in ids))
        return self.commands.about(question, whole, elements=self.where.array)

    def find(self, job_name: str) -> list[Argv]:
        return [[*question] for question in self.commands.find]

    def found(self, answer: Answer, job_name: str) -> list[str]:
        whole, ids = _short(job_name), list[str]()
        for row in self._rows(answer):
            shown = row["JOB_NAME"]
            if len(shown) >= NAME_SHOWN and whole.startswith(shown):
                ids.append(row["JOB_ID"])
        return sorted(ids, key=int)

    def _rows(self, answer: Answer) -> Iterator[dict[str, str]]:
        """The table's lines, in PJM's own words."""
        for row in _table(answer, self.commands):
            if (state := row.get("ST")) is not None:
                row["ST"] = self.commands.states.get(state, state)
            yield row

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
    if state is JobState.COMPLETED and "PC" not in row:
        reason = "that it is over, and not how"
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


def _table(answer: Answer, commands: CommandSet) -> Iterator[dict[str, str]]:
    """Its lines, cut where the header's words begin: a date holds a blank."""
    header: list[tuple[str, int, int]] = []
    for line in answer.lines:
        if line.lstrip().startswith("JOB_ID"):
            header = [(m[0].strip(), m.start(), m.end()) for m in _HEADER.finditer(line)]
            header = [(commands.columns.get(name, name), a, b) for name, a, b in header]
            if missing := set(commands.needed) - {name for name, _, _ in header}:
                raise NotUnderstood(f"its table has no column {min(missing)}", question=True)
            header[-1] = (*header[-1][:2], 10_000)
        elif header and line[:1].isdecimal():
            if len(line) <= header[-2][1]:  # all but the last column always hold something
                raise NotUnderstood(f"a line of it is cut off: {line!r}")
            yield {name: line[start:end].strip() for name, start, end in header}
    said = (answer.err + answer.out).lower()
    none = _unknown(answer) or (bool(commands.nothing) and commands.nothing in said)
    if not header and not none:
        raise NotUnderstood(answer.words, question=any(word in said for word in _NO_QUESTION))


def _unknown(answer: Answer) -> bool:
    """Whether it says that there is no such job."""
    said = (answer.err + answer.out).lower()
    return "does not exist" in said or "no such job" in said


def _short(job_name: str) -> str:
    """The name's hash: pjstat shows ten characters, and by them a job has to be found."""
    return "q" + job_name.rpartition("-")[2]


def _time(text: str) -> datetime | None:
    """Local times without a year, "11/20 18:27:03"; a forecast is in brackets."""
    told, now = text.strip("()<> "), datetime.now()
    for given in (told, f"{now.year}/{told}", f"{now.year - 1}/{told}"):
        try:
            found = datetime.strptime(given, "%Y/%m/%d %H:%M:%S")
        except ValueError:
            continue
        if given == told or found < now + timedelta(days=180):
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
