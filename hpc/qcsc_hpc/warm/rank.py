"""One rank of a warm job: started once, it runs modules as `python -m` would. Run as

    LAUNCHER python -P -m qcsc_hpc.warm.rank POOL.json

It waits at a socket, where it costs nothing; a rank that waits in MPI spins. It ends when the
socket does, whatever it is doing. Messages are lines of JSON.
"""

from __future__ import annotations

import json
import os
import queue
import runpy
import socket
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from qcsc_hpc.mpi.world import RANKS, lent
from qcsc_hpc.warm import small_records as records
from qcsc_loop.plain import Json

if TYPE_CHECKING:
    from mpi4py import MPI

CONNECT_SECONDS = 10.0
LOG = "output.log"


class Communicators:
    """Those of the parts of COMM_WORLD that have worked, kept for the next time."""

    def __init__(self, world: MPI.Intracomm) -> None:
        self._world = world
        self._known: dict[tuple[int, ...], MPI.Intracomm] = {}

    def of(self, ranks: tuple[int, ...], *, fresh: bool) -> MPI.Intracomm:
        """One for these ranks, made by them alone.

        Args:
            fresh: a failed program may have left messages in the old one. That one is not freed: its
                context would be used again, and the messages would be read.
        """
        if fresh or ranks not in self._known:
            group = self._world.Get_group().Incl(ranks)
            self._known[ranks] = self._world.Create_group(group)
            _forget_segments(self._known[ranks])
        return self._known[ranks]


def main(pool: str) -> None:
    """Serves until the supervisor goes."""
    facts = records.read(Path(pool))
    connection = _connect(facts["hosts"], facts["port"])
    # before MPI starts: a rank that dies of that is known to have been there
    who = {"token": facts["token"], "pid": os.getpid(), "host": socket.gethostname()}
    _send(connection, who)
    inbox: queue.SimpleQueue[Json] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(connection, inbox), daemon=True).start()
    from mpi4py import MPI

    world = MPI.COMM_WORLD
    _forget_segments(world)
    _send(connection, {"rank": world.rank, "size": world.size})
    communicators = Communicators(world)
    while work := inbox.get():  # an empty one is the last
        _send(connection, {"id": work["id"], **_answer(work, communicators)})


def _connect(hosts: list[str], port: int) -> socket.socket:
    """The supervisor, under the first of its names that works from here."""
    for host in hosts:
        with suppress(OSError):
            connection = socket.create_connection((host, port), CONNECT_SECONDS)
            connection.settimeout(None)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connection
    sys.exit(f"{socket.gethostname()} reaches the warm job's first node under none of {hosts}")


def _forget_segments(comm: MPI.Intracomm) -> None:
    """Removes the names of the memory that MPICH's ranks share; they have it, and keep it.

    Ranks that are killed would leave it to the node. Worse, it is named after the job and the step:
    those of a requeued job would take what they find for their own, and fail.
    """
    comm.Barrier()  # each has opened it
    with suppress(OSError), open("/proc/self/maps") as maps:
        for path in {line.split()[-1] for line in maps if "/dev/shm/mpich_shm_" in line}:
            with suppress(OSError):  # another rank was quicker
                os.unlink(path)


def _send(connection: socket.socket, message: Json) -> None:
    connection.sendall(json.dumps(message).encode() + b"\n")


def _receive(connection: socket.socket, inbox: queue.SimpleQueue[Json]) -> None:
    with suppress(OSError), connection.makefile("rb") as lines:
        for line in lines:
            inbox.put(json.loads(line))
    os._exit(0)  # not sys.exit: the main thread may be anywhere


def _answer(work: Json, communicators: Communicators) -> Json:
    """How the program ended on this rank."""
    try:
        comm = communicators.of(tuple(work["ranks"]), fresh=work["fresh"])
        with _placed(work), lent(comm):
            return _run(work["module"], work["arguments"])
    except Exception as error:  # the folder, the disk; the rank itself is well
        return {"exit_code": 1, "error": f"{type(error).__name__}: {error}"}


def _run(module: str, arguments: list[str]) -> Json:
    sys.argv = [module, *arguments]
    try:
        with warnings.catch_warnings():
            # it may have been imported by the one before it
            warnings.filterwarnings("ignore", ".*found in sys.modules", RuntimeWarning)
            runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as error:
        if error.code is None or isinstance(error.code, int):
            return {"exit_code": error.code or 0, "error": ""}
        _say(str(error.code))
        return {"exit_code": 1, "error": str(error.code)}
    except BaseException as error:
        _say(traceback.format_exc())
        return {"exit_code": 1, "error": f"{type(error).__name__}: {error}"}
    return {"exit_code": 0, "error": ""}


def _say(text: str) -> None:
    with suppress(OSError):  # a full disk
        print(text, file=sys.stderr, flush=True)


@contextmanager
def _placed(work: Json) -> Iterator[None]:
    """Folder, environment and output of the program; afterwards those of the pool again."""
    environment, arguments = dict(os.environ), sys.argv
    os.chdir(work["folder"])
    os.environ.update({**work["environment"], RANKS: str(len(work["ranks"]))})
    try:
        with _written_to(Path(work["folder"], LOG)):
            yield
    finally:
        os.chdir("/")
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = arguments


@contextmanager
def _written_to(path: Path) -> Iterator[None]:
    """Sends what is written to stdout and stderr, in any language, to a file."""
    kept = os.dup(1), os.dup(2)
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        for number, descriptor in enumerate(kept, start=1):
            os.dup2(descriptor, number)
            os.close(descriptor)


if __name__ == "__main__":
    main(sys.argv[1])
