"""qsub(1B)."""

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
from qcsc_hpc.testing.executables.pbs.history import active
from qcsc_hpc.testing.executables.pbs.system import SERVER, is_miyabi, server
from qcsc_hpc.testing.executables.state import State

GRAMMAR = Grammar(valued="aAceCjJklmMNopPqrRSuvW", flags="fhIVXz")
USAGE = """usage: qsub [-a date_time] [-A account_string] [-c interval]
\t[-C directive_prefix] [-e path] [-f ] [-h ] [-I [-X]] [-j oe|eo] [-J X-Y[:Z]]
\t[-k keep] [-l resource_list] [-m mail_options] [-M user_list]
\t[-N jobname] [-o path] [-p priority] [-P project] [-q queue] [-r y|n]
\t[-R o|e|oe] [-S path] [-u user_list] [-W otherattributes=value...]
\t[-v variable_list] [-V ] [-z] [script | -- command [arg1 ...]]
       qsub --version
"""
RESOURCES = (
    *("ncpus", "mem", "mpiprocs", "ompthreads", "walltime", "cput", "vmem", "pmem", "pvmem"),
    *("ngpus", "qpu", "host", "vnode", "nodect", "nodes", "select", "place", "naccelerators"),
)
DISABLED = "stopped"
NAME = re.compile(r"[\w.+-][\w.+-]{0,235}")
# both are one process's share of a chunk, so they are no sum over the job
PER_CHUNK = ("ompthreads",)


def read(state: State, arguments: list[str]) -> Job:
    """The job that the script and the command line ask for.

    Raises:
        Refused: there can be no such job.
    """
    script, options, resources = _parsed(arguments)
    queue = options.get("q", next(iter(state.limits("queues"))))
    walltime = _walltime(resources)
    _check(state, queue, resources, walltime)
    if is_miyabi(state):
        from qcsc_hpc.testing.executables.pbs import miyabi

        miyabi.check(resources, options)
    chunks, per_chunk, wanted = _selection(resources)
    number, size = state.next_number(), _array_size(state, options)
    variables = _variables(options)
    job = Job(
        {
            "number": number,
            "id": f"{number}{'[]' if size else ''}.{server(state)}",
            "size": size,
            "name": options["N"],
            "key": variables.get(KEY) or key_in(script),
            "submitted": state.now,
            "queue": queue,
            "account": options.get("A", ""),
            "nodes": chunks,
            "cpus": per_chunk.get("ncpus", 1),
            "tasks": chunks * per_chunk.get("mpiprocs", 1),
            "walltime": walltime,
            "requeueable": int(options.get("r", "y") == "y"),
            "directory": os.getcwd(),
            "dependency": _dependency(state, options),
            "licenses": "qpu" if "qpu" in resources else "",
            "spooled": int("d" not in options.get("k", "")),
            "variables": json.dumps(_passed_on(queue, variables)),
            "options": json.dumps({**options, "resources": json.dumps(wanted)}),
        }
    )
    _set_files(job, options)
    _hold_if_needed(state, job, options)
    job.script = keep_script(state, number, script)
    return job


def acceptance(job: Job, arguments: list[str]) -> str:
    """What qsub prints."""
    return "" if "-z" in arguments else f"{job.id}\n"


def _parsed(arguments: list[str]) -> tuple[str, dict[str, str], dict[str, str]]:
    try:
        given, rest = GRAMMAR.parse(arguments)
        script = _script(rest)
        prefix = dict(given).get("C", "#PBS")
        in_script, _ = GRAMMAR.parse(directives(script, prefix))
    except BadOption as bad:
        letter = bad.option[1]
        error = f"/opt/pbs: invalid option -- '{letter}'\n{USAGE}"
        raise Refused(error, 2) from bad
    name = re.sub(r"^\d", r"J\g<0>", os.path.basename(rest[0])) if rest else "STDIN"
    # what stands in the command line is not to be overruled by the script
    options_in_order = [*in_script, *given]
    options = {"N": name, "submit_arguments": " ".join(arguments), **dict(options_in_order)}
    if not NAME.fullmatch(options["N"]):
        raise Refused(f"qsub: illegal -N value\n{USAGE}", 2)
    return (
        script,
        options,
        _resources([value for option, value in options_in_order if option == "l"]),
    )


def _script(rest: list[str]) -> str:
    if not rest:
        return sys.stdin.read()
    try:
        with open(rest[0], encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError as error:
        raise Refused(f"qsub: script file:: {error.strerror}\n", 1) from error


def _resources(texts: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        # a comma separates resources, but not inside of a select
        for item in re.split(r",(?=\w+=)", text):
            name, _, value = item.partition("=")
            if name not in RESOURCES:
                raise Refused(f"qsub: Unknown resource Resource_List.{name}\n", 187)
            found[name] = value
    return found


def _check(state: State, queue: str, resources: dict[str, str], walltime: float | None) -> None:
    limits = state.limits("queues")
    if queue not in limits:
        raise Refused("qsub: Unknown queue\n", 170)
    if queue == DISABLED:
        raise Refused("qsub: Queue is not enabled\n", 173)
    most = state.setting("most_queued")
    if isinstance(most, int) and len(active(state.known_jobs())) >= most:
        raise Refused(f"qsub: would exceed queue {queue}'s per-user limit\n", 38)
    limit = limits[queue]
    if limit is not None and walltime is not None and walltime > limit:
        raise Refused("qsub: Job violates queue and/or server resource limits\n", 188)
    for chunk in resources.get("select", "").split("+"):
        for part in chunk.split(":")[1:]:
            if part.partition("=")[0] not in RESOURCES:
                name = part.partition("=")[0]
                raise Refused(f"qsub: Unknown resource Resource_List.select.{name}\n", 187)


def _array_size(state: State, options: dict[str, str]) -> int:
    """0 without one; of one element there is none."""
    if "J" not in options:
        return 0
    size = size_of(options["J"])
    if size is None or size < 2:
        raise Refused(f"qsub: illegal -J value\n{USAGE}", 2)
    if size > int(state.number_setting("max_array_size")):
        raise Refused("qsub: Array job exceeds server or queue size limit\n", 3)
    return size


def _walltime(resources: dict[str, str]) -> float | None:
    if "walltime" not in resources:
        return None
    parts = resources["walltime"].split(":")
    if not all(part.isdigit() for part in parts):
        raise Refused("qsub: Illegal attribute or resource value Resource_List.walltime\n", 168)
    seconds = 0
    for part in parts:
        seconds = 60 * seconds + int(part)
    return float(seconds)


def _selection(resources: dict[str, str]) -> tuple[int, dict[str, int], dict[str, object]]:
    """Chunks, what one has, and the Resource_List of the whole job."""
    select = resources.get("select", f"1:ncpus={resources.get('ncpus', '1')}")
    total: dict[str, int] = {}
    chunks, largest = 0, {"ncpus": 1}
    for text in select.split("+"):
        count, one = _chunk(text)
        chunks += count
        for name, amount in one.items():
            largest[name] = max(largest.get(name, 0), amount)
            total[name] = total.get(name, 0) + amount * (1 if name in PER_CHUNK else count)
    listed: dict[str, object] = {**total, "nodect": chunks, "select": select}
    listed["place"] = resources.get("place", "free")
    for name, text in resources.items():
        if name not in listed:
            listed[name] = _clock(text) if name == "walltime" else text
    return chunks, largest, dict(sorted(listed.items()))


def _chunk(text: str) -> tuple[int, dict[str, int]]:
    parts = text.split(":")
    count = int(parts.pop(0)) if parts[0].isdigit() else 1
    one = {name: int(value) for name, value in pairs(parts).items() if value.isdigit()}
    return count, {"ncpus": 1, **one}


def _clock(text: str) -> str:
    seconds = 0
    for part in text.split(":"):
        seconds = 60 * seconds + int(part)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _variables(options: dict[str, str]) -> dict[str, str]:
    """What -v and -V take over; a comma can be quoted."""
    found = dict(os.environ) if "V" in options else {}
    for item in re.findall(r"""(?:[^,'"]|'[^']*'|"[^"]*")+""", options.get("v", "")):
        name, has_value, value = item.partition("=")
        found[name] = re.sub(r"['\"]", "", value) if has_value else os.environ.get(name, "")
    return found


def _passed_on(queue: str, variables: dict[str, str]) -> dict[str, str]:
    """With what qsub passes on by itself, in its order."""
    return {
        "PBS_O_HOME": os.environ.get("HOME", "/"),
        "PBS_O_LANG": os.environ.get("LANG", "C.UTF-8"),
        "PBS_O_PATH": os.environ.get("PATH", os.defpath),
        "PBS_O_SHELL": os.environ.get("SHELL", "/bin/bash"),
        "PBS_O_INTERACTIVE_AUTH_METHOD": "resvport",
        "PBS_O_INTERACTIVE_ENCRYPT_METHOD": "",
        "PBS_O_WORKDIR": os.getcwd(),
        "PBS_O_SYSTEM": "Linux",
        **variables,
        "PBS_O_QUEUE": queue,
        "PBS_O_HOST": SERVER,
    }


def _dependency(state: State, options: dict[str, str]) -> str:
    """Of -W depend=afterok:1.vm, with whole ids."""
    found = re.search(r"depend=([^,]+)", options.get("W", ""))
    if found is None:
        return ""
    kind, *ids = found[1].split(":")
    return ":".join([kind, *(id if "." in id else f"{id}.{server(state)}" for id in ids)])


def _set_files(job: Job, options: dict[str, str]) -> None:
    join = options.get("j", "n")
    job.output = _file(job, options.get("o"), "o")
    job.error = _file(job, options.get("e"), "e")
    if join == "oe":
        job.error = job.output
    elif join == "eo":
        job.output = job.error


def _file(job: Job, asked: str | None, letter: str) -> str:
    name = f"{job.name}.{letter}{job.number}"
    if not asked:
        return os.path.join(job.directory, name)
    asked = asked.replace("^array_index^", ELEMENT)
    path = asked.partition(":")[2] or asked
    path = os.path.join(job.directory, path)
    return os.path.join(path, name) if os.path.isdir(path) else path


def _hold_if_needed(state: State, job: Job, options: dict[str, str]) -> None:
    """A job that is larger than the machine is queued for ever."""
    nodes, cpus = int(state.number_setting("nodes")), int(state.number_setting("cpus_per_node"))
    wanted, there = job.nodes * job.cpus, nodes * cpus
    if "h" in options:
        job.held = 1
    elif job.nodes > nodes or job.cpus > cpus:
        job.held = 1
        lacks = f"ncpus (R: {wanted} A: {there} T: {there})"
        job.reason = f"Can Never Run: Insufficient amount of resource: {lacks}"
