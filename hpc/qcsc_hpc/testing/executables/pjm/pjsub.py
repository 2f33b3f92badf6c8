"""pjsub(1)."""

from __future__ import annotations

import json
import os
import re
import sys

from qcsc_hpc.testing.executables.answer import Refused
from qcsc_hpc.testing.executables.arrays import ELEMENT, size_of
from qcsc_hpc.testing.executables.call import keep_script
from qcsc_hpc.testing.executables.job import Job
from qcsc_hpc.testing.executables.key import NAME as KEY
from qcsc_hpc.testing.executables.key import key_in
from qcsc_hpc.testing.executables.options import BadOption, Grammar, directives, pairs
from qcsc_hpc.testing.executables.state import State

GRAMMAR = Grammar(
    valued=(
        *("name", "L", "mpi", "g", "x", "out", "err", "spath", "llio", "m", "mail-list", "p"),
        *("appname", "comment", "at", "sparam"),
    ),
    flags=(
        "bulk",
        "j",
        "s",
        "S",
        "X",
        "w",
        "z",
        "no-check-directory",
        "restart",
        "norestart",
        "no-stging",
    ),
    short={"N": "name", "o": "out", "e": "err"},
)
REPEATED = ("L", "x", "mpi")


def read(state: State, arguments: list[str]) -> Job:
    """The job that the script and the command line ask for.

    Raises:
        Refused: there can be no such job.
    """
    script, options, repeated = _parsed(arguments)
    resources = _pairs(repeated["L"])
    mpi = _pairs(repeated["mpi"])
    group = resources.get("rscgrp", next(iter(state.limits("queues"))))
    elapse = _seconds(resources["elapse"]) if "elapse" in resources else None
    nodes = _node_count(resources.get("node", "1"))
    _check(state, group, nodes, elapse)
    _check_shares(resources)
    variables = _pairs(repeated["x"])
    number = state.next_number()
    job = Job(
        {
            "number": number,
            "id": str(number),
            "name": options["name"],
            "key": variables.get(KEY) or key_in(script),
            "submitted": state.now,
            "queue": group,
            "account": options.get("g", "root"),
            "nodes": nodes,
            # a node belongs to one job, whatever the job does on it
            "cpus": int(state.number_setting("cpus_per_node")),
            "tasks": _node_count(mpi.get("proc", "1")),
            "walltime": elapse if elapse is not None else state.limits("queues")[group],
            "requeueable": int("restart" in options),
            "size": _bulk_size(state, options),
            "directory": os.getcwd(),
            "variables": json.dumps(variables),
        }
    )
    _set_files(job, options)
    job.script = keep_script(state, number, script)
    return job


def acceptance(job: Job, arguments: list[str]) -> str:
    """What pjsub prints."""
    return (
        f"{job.id}\n" if "-z" in arguments else f"[INFO] PJM 0000 pjsub Job {job.id} submitted.\n"
    )


def _parsed(arguments: list[str]) -> tuple[str, dict[str, str], dict[str, list[str]]]:
    try:
        given, rest = GRAMMAR.parse(arguments)
        script = _script(rest)
        in_script, _ = GRAMMAR.parse(directives(script, "#PJM"))
    except BadOption as bad:
        raise Refused(f"[ERR.] PJM 0001 pjsub Invalid option: {bad.option}.\n", 1) from bad
    options = [*in_script, *given]
    name = os.path.basename(rest[0]) if rest else "STDIN"
    repeated = {what: [value for key, value in options if key == what] for what in REPEATED}
    return script, {"name": name, **dict(options)}, repeated


def _script(rest: list[str]) -> str:
    if not rest:
        return sys.stdin.read()
    try:
        with open(rest[0], encoding="utf-8", errors="surrogateescape") as file:
            text = file.read()
    except OSError as error:
        cannot = f"[ERR.] PJM 0020 pjsub Cannot open the file ({rest[0]}) : {error.errno}.\n"
        raise Refused(cannot, 1) from error
    return text if text.startswith("#!") else f"#!/bin/sh\n{text}"


def _split(text: str) -> list[str]:
    """At commas before the next NAME=."""
    return re.split(r",(?=[\w-]+=)", text)


def _pairs(texts: list[str]) -> dict[str, str]:
    return pairs(item.strip() for text in texts for item in _split(text))


def _node_count(text: str) -> int:
    """`12`, `2x3x2` or `2x3x2:torus`."""
    product = 1
    for part in text.partition(":")[0].split("x"):
        if not part.isdigit() or not int(part):
            raise Refused(f"[ERR.] PJM 0050 pjsub Invalid value: node={text}.\n", 1)
        product *= int(part)
    return product


def _seconds(text: str) -> float:
    """`HH:MM:SS`, or seconds; of a range the upper end."""
    parts = text.rpartition("-")[2].split(":")
    if not all(part.isdigit() for part in parts):
        raise Refused(f"[ERR.] PJM 0050 pjsub Invalid value: elapse={text}.\n", 1)
    seconds = 0
    for part in parts:
        seconds = 60 * seconds + int(part)
    return float(seconds)


def _check(state: State, group: str, nodes: int, elapse: float | None) -> None:
    limits = state.limits("queues")
    if group not in limits:
        raise Refused(f"[ERR.] PJM 0051 pjsub Resource group does not exist: rscgrp={group}.\n", 1)
    most = int(state.number_setting("nodes"))
    if nodes > most:
        raise Refused(f"[ERR.] PJM 0057 pjsub {_over(f'node={nodes}', most)}\n", 1)
    longest = limits[group]
    if elapse is not None and longest is not None and elapse > longest:
        over = _over(f"elapse={elapse:.0f}", int(longest))
        raise Refused(f"[ERR.] PJM 0057 pjsub {over}\n", 1)


def _bulk_size(state: State, options: dict[str, str]) -> int:
    """Of a bulk job; 0 for one that is none."""
    if "bulk" not in options:
        return 0
    size = size_of(options.get("sparam", ""))
    if size is None:
        raise Refused("[ERR.] PJM 0050 pjsub Invalid value: sparam.\n", 1)
    most = int(state.number_setting("max_array_size"))
    if size > most:
        raise Refused(f"[ERR.] PJM 0057 pjsub {_over(f'bulk sub jobs={size}', most)}\n", 1)
    return size


def _check_shares(resources: dict[str, str]) -> None:
    """A share of a node is asked for in the place of nodes."""
    shares = [name for name in ("gpu", "vnode-core") if name in resources]
    if shares and "node" in resources:
        both = f"{shares[0]} and node cannot be specified at the same time."
        raise Refused(f"[ERR.] PJM 0052 pjsub {both}\n", 1)


def _over(what: str, limit: int) -> str:
    return f"{what} is greater than the upper limit ({limit})."


def _set_files(job: Job, options: dict[str, str]) -> None:
    job.output = _file(job, options.get("out", "%n.%j.out"))
    job.error = job.output if "j" in options else _file(job, options.get("err", "%n.%j.err"))
    if {"s", "S", "spath"} & options.keys():
        statistics = _file(job, options.get("spath", "%n.%j.stats"))
        job.options = json.dumps({"statistics": statistics})


def _file(job: Job, pattern: str) -> str:
    pattern = pattern.replace("%b", ELEMENT) if job.size else pattern
    path = pattern.replace("%j", job.id).replace("%J", job.id).replace("%n", job.name)
    return os.path.join(job.directory, path)
