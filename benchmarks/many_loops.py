"""Fifty loops at once, a process each, on one Prefect server with SQLite: `qcsc-loop server start`.

Their hooks do nothing, so that nothing but the loops and the server are at work. A tenth of them does
the same before, on a server that is as new.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks import idle
from benchmarks.figures import MB, Figure, Target, at_most, show

LOOPS, SHARE, ITERATIONS = 50, 10, 40
MOST_GROWTH, MOST_MEMORY = 1.5, 200.0  # times; MB, of what a server begins with
PROGRAM = str(Path(sys.executable).with_name("qcsc-loop"))
QUIET_SECONDS, LOOK_SECONDS = 2.0, 0.1


@dataclass(frozen=True)
class Felt:
    """What a server and its loops took.

    Attributes:
        well: loops that ended well, with all of their iterations.
        wall: seconds, until the last one ended.
        server_cpu: of the server, seconds.
        server_memory: bytes that the server had grown by.
        loop_cpu: of all loops, seconds, with their starts.
    """

    well: int
    wall: float
    server_cpu: float
    server_memory: float
    loop_cpu: float


def measure(loops: int) -> Felt:
    """So many at once."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name, _server(name) as server:
        cpu, memory = _cpu(server), _memory(server)
        children, began = os.times(), time.perf_counter()
        algorithm = f"{idle.__file__}:Idle"
        limit = ["--max-iterations", str(ITERATIONS), "--json"]
        running = [
            subprocess.Popen(
                [PROGRAM, "run", algorithm, *limit],
                env=_environment(name),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            for _ in range(loops)
        ]
        well = sum(_ended_well(process) for process in running)
        wall, after = time.perf_counter() - began, os.times()
        return Felt(
            well,
            wall,
            _when_it_rests(server) - cpu,
            _memory(server) - memory,
            after.children_user
            + after.children_system
            - children.children_user
            - children.children_system,
        )


def _ended_well(process: subprocess.Popen[bytes]) -> bool:
    out, err = process.communicate()
    if process.returncode:
        print(err.decode()[-2000:], file=sys.stderr)
    return process.returncode == 0 and json.loads(out)["iteration"] == ITERATIONS


@contextmanager
def _server(home: str) -> Iterator[psutil.Process]:
    environment = _environment(home)
    command = [PROGRAM, "server", "start", "--json"]
    said = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
    try:
        yield psutil.Process(json.loads(said.stdout)["pid"])
    finally:
        subprocess.run([PROGRAM, "server", "stop", "--json"], env=environment, check=True)


def _environment(home: str) -> dict[str, str]:
    own = {"HOME": home, "PREFECT_HOME": f"{home}/prefect", "QCSC_LOOP_STORE": f"{home}/store"}
    others = {key: value for key, value in os.environ.items() if key != "PREFECT_API_URL"}
    return {**others, **own}


def _all_of(server: psutil.Process) -> list[psutil.Process]:
    return [server, *server.children(recursive=True)]


def _cpu(server: psutil.Process) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in _all_of(server))


def _memory(server: psutil.Process) -> int:
    return sum(process.memory_info().rss for process in _all_of(server))


def _when_it_rests(server: psutil.Process) -> float:
    """Its CPU time, once it has digested what it was sent."""
    used = -1.0
    while (now := _cpu(server)) - used > LOOK_SECONDS * QUIET_SECONDS:
        used = now
        time.sleep(QUIET_SECONDS)
    return now


def figures() -> list[Figure]:
    """Of many beside few."""
    few, many = measure(LOOPS // SHARE), measure(LOOPS)
    beside = f"{LOOPS // SHARE} loops"
    ms, floor = (
        1e3 * felt.server_cpu / (loops * ITERATIONS)
        for felt, loops in ((many, LOOPS), (few, LOOPS // SHARE))
    )
    memory = many.server_memory / MB
    return [
        Figure("loops that end well", many.well, "", "begun", LOOPS, _all(many.well)),
        Figure(
            "the server's processor for an iteration",
            ms,
            "ms",
            beside,
            floor,
            at_most(MOST_GROWTH, ms / floor, " times"),
        ),
        Figure(
            "the server's memory, more than at first",
            memory,
            "MB",
            beside,
            few.server_memory / MB,
            at_most(MOST_MEMORY, memory, " MB"),
        ),
        Figure(
            "processor of a loop, with its start",
            many.loop_cpu / LOOPS,
            "s",
            beside,
            few.loop_cpu / (LOOPS // SHARE),
        ),
        Figure("until the last one ends", many.wall, "s", beside, few.wall),
    ]


def _all(well: int) -> Target:
    return Target("all", well == LOOPS)


if __name__ == "__main__":
    show(f"{LOOPS} loops of {ITERATIONS} iterations on one server with SQLite", figures())
