"""sbatch(1)."""

from __future__ import annotations

import json
import os
import sys

from qcsc_hpc.testing.executables.answer import Refused
from qcsc_hpc.testing.executables.arrays import ELEMENT, size_of
from qcsc_hpc.testing.executables.call import keep_script
from qcsc_hpc.testing.executables.job import Job
from qcsc_hpc.testing.executables.key import key_in
from qcsc_hpc.testing.executables.login import login_environment
from qcsc_hpc.testing.executables.options import BadOption, Grammar, directives
from qcsc_hpc.testing.executables.slurm.durations import seconds_of
from qcsc_hpc.testing.executables.slurm.system import SUBMIT
from qcsc_hpc.testing.executables.state import State

GRAMMAR = Grammar(
    valued=(
        *("job-name", "comment", "output", "error", "open-mode", "chdir", "time", "nodes"),
        *("ntasks", "ntasks-per-node", "cpus-per-task", "mem", "mem-per-cpu", "partition"),
        *("account", "qos", "export", "reservation", "constraint", "gres", "gpus", "input"),
        *("gpus-per-node", "gpus-per-task", "licenses", "qpu", "kill-on-invalid-dep"),
        *("dependency", "signal", "wrap", "mail-type", "mail-user", "begin", "nodelist"),
        *("exclude", "time-min", "wckey", "hint", "tmp", "distribution", "mem-bind", "array"),
    ),
    flags=("requeue", "no-requeue", "parsable", "hold", "quiet", "verbose", "overcommit"),
    either=("exclusive", "get-user-env", "nice"),
    short={
        **{"J": "job-name", "o": "output", "e": "error", "D": "chdir", "t": "time", "N": "nodes"},
        **{"n": "ntasks", "c": "cpus-per-task", "p": "partition", "A": "account", "q": "qos"},
        **{"L": "licenses", "C": "constraint", "d": "dependency", "w": "nodelist", "H": "hold"},
        **{"x": "exclude", "Q": "quiet", "v": "verbose", "i": "input", "G": "gpus"},
    },
)
DRAINED = "drained"
ACCOUNTS = ("qcsc",)


def read(state: State, arguments: list[str]) -> Job:
    """The job that the script and the command line ask for.

    Raises:
        Refused: there can be no such job.
    """
    script, options = _parsed(arguments)
    partition = options.get("partition", "normal")
    _check_names(state, partition, options)
    size = _array_size(state, options)
    _check_limit(state, size or 1)
    nodes, tasks, cpus = _size(state, options)
    number = state.next_number()
    job = Job(
        {
            "number": number,
            "id": str(number),
            "name": options["job-name"],
            "key": options.get("comment") or key_in(script),
            "submitted": state.now,
            "queue": partition,
            "account": options.get("account", ACCOUNTS[0]),
            "nodes": nodes,
            "tasks": tasks,
            "cpus": cpus,
            "licenses": options.get("licenses", "").partition(":")[0],
            "dependency": options.get("dependency", ""),
            "requeueable": int("no-requeue" not in options),
            "append": int(options.get("open-mode") == "append"),
            "directory": os.path.join(os.getcwd(), options.get("chdir", "")).rstrip("/") or "/",
            "options": json.dumps({**options, "submit_directory": os.getcwd()}),
            "size": size,
            "variables": json.dumps(_variables(state, options)),
        }
    )
    _set_files(job, options)
    _set_limit(state, job, options)
    if "hold" in options:
        job.held, job.reason = 1, "JobHeldUser"
    job.script = keep_script(state, number, script)
    return job


def acceptance(job: Job, arguments: list[str]) -> str:
    """What sbatch prints."""
    parsable = "parsable" in job.option
    return f"{job.id}\n" if parsable else f"Submitted batch job {job.id}\n"


def _parsed(arguments: list[str]) -> tuple[str, dict[str, str]]:
    try:
        given, rest = GRAMMAR.parse(arguments)
        options = dict(given)
        script = _script(options, rest)
        in_script, _ = GRAMMAR.parse(directives(script, "#SBATCH"))
    except BadOption as bad:
        help = 'Try "sbatch --help" for more information'
        raise Refused(f"sbatch: unrecognized option '{bad.option}'\n{help}\n", 255) from bad
    name = "wrap" if "wrap" in options else os.path.basename(rest[0]) if rest else "sbatch"
    return script, {"job-name": name, **dict(in_script), **options}


def _script(options: dict[str, str], rest: list[str]) -> str:
    if "wrap" in options:
        return f"#!/bin/sh\n# This script was created by sbatch --wrap.\n\n{options['wrap']}\n"
    if not rest:
        script = sys.stdin.read()
    else:
        try:
            with open(rest[0], encoding="utf-8", errors="surrogateescape") as file:
                script = file.read()
        except OSError as error:
            raise Refused(f"sbatch: error: Unable to open file {rest[0]}\n", 1) from error
    if not script.startswith("#!"):
        raise Refused(
            "sbatch: error: This does not look like a batch script.  The first\n"
            "sbatch: error: line must start with #! followed by the path to an interpreter.\n"
            "sbatch: error: For instance: #!/bin/sh\n",
            1,
        )
    return script


def _check_names(state: State, partition: str, options: dict[str, str]) -> None:
    if partition not in state.limits("queues"):
        raise Refused(
            f"sbatch: error: invalid partition specified: {partition}\n"
            f"{SUBMIT}Invalid partition name specified\n",
            1,
        )
    if options.get("account", ACCOUNTS[0]) not in ACCOUNTS:
        raise Refused(f"{SUBMIT}Invalid account or account/partition combination specified\n", 1)


def _array_size(state: State, options: dict[str, str]) -> int:
    """0 without one; slurm.conf(5), MaxArraySize, is more than the largest number."""
    if "array" not in options:
        return 0
    size = size_of(options["array"].partition("%")[0])
    if size is None or size > int(state.number_setting("max_array_size")):
        raise Refused(f"{SUBMIT}Invalid job array specification\n", 1)
    return size


def _check_limit(state: State, more: int) -> None:
    """Of a user's jobs, of which each element is one."""
    most = state.setting("most_submitted")
    alive = sum(not job.is_over for job in state.known_jobs())
    if isinstance(most, int) and alive + more > most:
        why = (
            "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"
        )
        raise Refused(f"sbatch: error: QOSMaxSubmitJobPerUserLimit\n{SUBMIT}{why}\n", 1)


def _size(state: State, options: dict[str, str]) -> tuple[int, int, int]:
    """Nodes, tasks, and CPUs of each node."""
    cpus_per_node = int(state.number_setting("cpus_per_node"))
    cpus_per_task = _whole(options, "cpus-per-task", 1)
    per_node = _whole(options, "ntasks-per-node", 0)
    nodes = _whole(options, "nodes", 0)
    tasks = _whole(options, "ntasks", per_node * max(nodes, 1) or max(nodes, 1))
    if not nodes:
        nodes = -(-tasks // (per_node or max(cpus_per_node // cpus_per_task, 1)))
    if not per_node:  # more nodes than were asked for, rather than more tasks than fit
        nodes = max(nodes, -(-tasks * cpus_per_task // cpus_per_node))
    cpus = (per_node or -(-tasks // nodes)) * cpus_per_task
    if cpus > cpus_per_node:
        raise Refused(f"{SUBMIT}Requested node configuration is not available\n", 1)
    return nodes, tasks, cpus_per_node if "exclusive" in options else cpus


def _whole(options: dict[str, str], name: str, otherwise: int) -> int:
    text = options.get(name)
    if text is None:
        return otherwise
    try:
        return int(text.partition("-")[0])  # --nodes=1-2
    except ValueError as error:
        says = {
            "nodes": f'"{text}" is not a valid node count',
        }.get(name, f'Invalid numeric value "{text}" for --{name}.')
        raise Refused(f"sbatch: error: {says}\n", 255) from error


def _set_limit(state: State, job: Job, options: dict[str, str]) -> None:
    """The walltime; a job that asks for too much is accepted, and waits for ever."""
    limit = state.limits("queues")[job.queue]
    job.walltime = limit
    if "time" in options:
        job.walltime = seconds_of(options["time"])
        if job.walltime is None:
            raise Refused("sbatch: error: Invalid --time specification\n", 255)
    if job.queue == DRAINED:
        job.held = 1
        job.reason = f"ReqNodeNotAvail, UnavailableNodes:c{_machine_size(state) + 1}"
    elif job.nodes > _machine_size(state):
        job.held, job.reason = 1, "PartitionConfig"
    elif limit is not None and job.walltime is not None and job.walltime > limit:
        job.held, job.reason = 1, "PartitionTimeLimit"


def _machine_size(state: State) -> int:
    return int(state.number_setting("nodes"))


def _set_files(job: Job, options: dict[str, str]) -> None:
    output = options.get("output", "slurm-%j.out")
    job.output = _file(job, output)
    job.error = _file(job, options.get("error", output))


def _file(job: Job, pattern: str) -> str:
    """With what sbatch(1), "filename pattern", puts in place."""
    if "\\" in pattern.replace("\\\\", ""):  # one backslash, and no sign means anything
        halves = pattern.split("\\\\")
        return os.path.join(job.directory, "\\".join(half.replace("\\", "") for half in halves))
    pattern = pattern.replace("%a", ELEMENT) if job.size else pattern
    for sign, text in (("%j", job.id), ("%A", job.id), ("%x", job.name), ("%u", "root")):
        pattern = pattern.replace(sign, text)
    for sign, text in (("%N", "c1"), ("%%", "%")):
        pattern = pattern.replace(sign, text)
    return os.path.join(job.directory, pattern)


def _variables(state: State, options: dict[str, str]) -> dict[str, str]:
    """What --export takes over from the submitter; sbatch's default is everything."""
    export = options.get("export", "ALL")
    if export in ("NIL", "NONE"):
        return {}
    found: dict[str, str] = {}
    for item in export.split(","):
        name, has_value, value = item.partition("=")
        if item == "ALL":
            found.update(os.environ)
        elif has_value:
            found[name] = value
        elif name in os.environ:
            found[name] = os.environ[name]
    # the fake commands are found by PATH, so what is added to it has to stay
    if "PATH" in found:
        found["PATH"] = f"{login_environment(state)['PATH'].partition(':')[0]}:{found['PATH']}"
    return found
