"""A person's own Prefect server, which outlives runs: started, found, started again, ended.

All of it is in one folder that is this person's alone (QCSC_LOOP_SERVER): its password, its record,
its log, its database. `keep_server` keeps it; here is what commands do about it.
"""

from __future__ import annotations

import os
import random
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from qcsc_loop.concurrency.process_life import Life, Place, here, life_of
from qcsc_loop.concurrency.whole_file import NameTaken, write_whole
from qcsc_loop.errors import ServerNotOurs, ServerNotStarted
from qcsc_loop.parameters.environment import environment
from qcsc_loop.prefect import keep_server
from qcsc_loop.prefect.temporary_server import Door

START_SECONDS = 300.0
STOP_SECONDS = 25.0
ANSWER_SECONDS = 10.0
SILENT_SECONDS = 90.0  # without a sign of life: on another machine it is taken to be dead
PORTS = range(20_000, 30_000)  # below those that a kernel gives to clients
PORT = "port"  # of the server that was stopped last
_TRIES = 20

Tell = Callable[[str], None]


class State(StrEnum):
    """How the server is."""

    NONE = "none"
    RUNNING = "running"
    SILENT = "silent"  # its keeper lives, and starts it or will start it again
    GONE = "gone"  # killed, or its machine was
    ELSEWHERE = "elsewhere"  # on another machine


class _Place(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    host: str = "?"
    boot: str = ""
    machine: str = ""
    pid_namespace: str = ""


class Record(BaseModel):
    """What its keeper wrote down of itself.

    Attributes:
        since: seconds since 1970.
        restarts: how often it had to start the server again, the last time for `why`.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    port: int
    pid: int
    start_ticks: int = 0
    place: _Place = _Place()
    since: float = 0.0
    restarts: int = 0
    why: str = ""


@dataclass(frozen=True)
class ServerFacts:
    """A server for programs: how it is, and how to get in."""

    state: State
    folder: str
    url: str | None
    ui: str | None
    password_file: str
    host: str | None
    pid: int | None
    port: int | None
    restarts: int
    log: str


@dataclass(frozen=True)
class OwnServer:
    """The server of one folder, as it was when it was looked at."""

    folder: Path
    state: State
    record: Record | None = None
    silent_for: float = 0.0

    @property
    def ui(self) -> str:
        """Where its pages are; empty where there is none."""
        return f"http://127.0.0.1:{self.record.port}" if self.record else ""

    @property
    def log(self) -> Path:
        return self.folder / keep_server.LOG

    @property
    def password_file(self) -> Path:
        return self.folder / keep_server.AUTH

    @property
    def host(self) -> str:
        return self.record.place.host if self.record else ""

    def is_kept_by(self, pid: int) -> bool:
        """Whether that process keeps it."""
        return self.record is not None and self.record.pid == pid

    def facts(self) -> ServerFacts:
        """For programs."""
        record = self.record
        return ServerFacts(
            state=self.state,
            folder=str(self.folder),
            url=f"{self.ui}/api" if record else None,
            ui=self.ui or None,
            password_file=str(self.password_file),
            host=self.host or None,
            pid=record.pid if record else None,
            port=record.port if record else None,
            restarts=record.restarts if record else 0,
            log=str(self.log),
        )

    def door(self) -> Door:
        """How to get in.

        Raises:
            ServerNotOurs: the password is not this person's alone.
        """
        return Door(f"{self.ui}/api", _password(self.folder))


def server_folder() -> Path:
    """Where this person's server is kept."""
    return environment().server.expanduser()


def look(folder: Path) -> OwnServer:
    """How the server of a folder is."""
    record = _read(folder)
    if record is None:
        return OwnServer(folder, State.NONE)
    silent_for = _silent_for(folder)
    life = _life(record)
    if life is Life.UNKNOWN and record.place.host != here().host:
        return OwnServer(folder, State.ELSEWHERE, record, silent_for)
    if life is Life.DEAD or (life is Life.UNKNOWN and silent_for > SILENT_SECONDS):
        return OwnServer(folder, State.GONE, record, silent_for)
    found = OwnServer(folder, State.RUNNING, record, silent_for)
    return found if _answers(found) else OwnServer(folder, State.SILENT, record, silent_for)


def start(
    folder: Path,
    port: int | None = None,
    tell: Tell = lambda _: None,
    *,
    seconds: float = START_SECONDS,
) -> OwnServer:
    """The server, running: as it is, or started.

    Args:
        port: None: the one that it had, or a free one.
        seconds: how long it may take to answer.

    Raises:
        ServerNotStarted: it cannot be; says why, and what to do.
        ServerNotOurs: others can read or write its folder.
    """
    make_folder(folder)
    keeper, deadline, waits = None, time.monotonic() + seconds, False
    while time.monotonic() < deadline:
        if keeper is not None and (code := keeper.poll()) is not None:
            raise _not_started(folder, code)
        found = look(folder)
        if found.state is State.RUNNING and (keeper is None or found.is_kept_by(keeper.pid)):
            _refuse_other_port(found, port)
            return found
        if found.state is State.ELSEWHERE and found.silent_for < SILENT_SECONDS:
            cure = f"use it there, or end it there (qcsc-loop server stop); or {_OTHER}"
            why = f"it runs on {found.host}, and one database has one server"
            raise ServerNotStarted(str(folder), why, cure)
        if keeper is None and found.state is not State.SILENT:
            tell("starting your Prefect server")
            keeper = _start_keeper(folder, port or port_for(found))
        elif keeper is None and not waits:
            tell("your Prefect server does not answer, and is being started again")
            waits = True
        time.sleep(0.1)
    why = f"it gave no answer within {seconds:.0f} s"
    raise ServerNotStarted(str(folder), why, f"its log says more: {folder / keep_server.LOG}")


_OTHER = "take another folder, QCSC_LOOP_SERVER=DIR"


def _refuse_other_port(found: OwnServer, port: int | None) -> None:
    if port is not None and found.record is not None and port != found.record.port:
        why = f"it runs on port {found.record.port}"
        raise ServerNotStarted(str(found.folder), why, "end it first: qcsc-loop server stop")


def _start_keeper(folder: Path, port: int) -> subprocess.Popen[bytes]:
    program = [sys.executable, "-P", keep_server.__file__, str(folder), str(port)]
    try:
        with open(folder / keep_server.LOG, "ab", opener=partial(os.open, mode=0o600)) as log:
            return subprocess.Popen(
                program,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                umask=0o077,
                start_new_session=True,  # no terminal that closes ends it
            )
    except OSError as error:
        raise _no_disk(folder, error) from error


def _not_started(folder: Path, code: int) -> ServerNotStarted:
    if code == keep_server.PORT_TAKEN:
        cure = "end what has it, or take another one: qcsc-loop server start --port N"
        return ServerNotStarted(str(folder), "its port is taken by another process", cure)
    if code == keep_server.HELD:
        cure = "qcsc-loop server status says how it is"
        return ServerNotStarted(str(folder), "another process is starting or keeping it", cure)
    said = _last_line(folder / keep_server.LOG) or f"exit code {code}"
    return ServerNotStarted(str(folder), said, f"its log says more: {folder / keep_server.LOG}")


def stop(folder: Path) -> bool:
    """Ends the server for good; False if none ran.

    Raises:
        ServerNotStarted: it runs on another machine, or cannot be ended.
    """
    found = look(folder)
    if found.state is State.ELSEWHERE and found.silent_for < SILENT_SECONDS:
        raise ServerNotStarted(str(folder), f"it runs on {found.host}", "end it there")
    record = found.record
    ran = found.state in (State.RUNNING, State.SILENT)
    if ran and record is not None:
        if _life(record) is Life.UNKNOWN:  # its number may be another process's here
            why = f"process {record.pid}, which keeps it, is not to be seen from here"
            raise ServerNotStarted(str(folder), why, "end it where it was started")
        _end(record)
    with suppress(OSError):
        if record is not None:
            with write_whole(folder / PORT, mode=0o600) as file:
                file.write(str(record.port).encode())
        (folder / keep_server.RECORD).unlink(missing_ok=True)
    return ran


def _end(record: Record) -> None:
    def lives() -> bool:
        return _life(record) is not Life.DEAD

    for number, seconds in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, 5.0)):
        with suppress(ProcessLookupError):
            os.kill(record.pid, number)
        deadline = time.monotonic() + seconds
        while lives() and time.monotonic() < deadline:
            time.sleep(0.05)
        if not lives():
            return


def make_folder(folder: Path) -> None:
    """The folder, with a password in it, this person's alone.

    Raises:
        ServerNotStarted: the disk takes neither.
        ServerNotOurs: others can read or write what is there.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _refuse_others(folder, 0o022)
        with (
            suppress(NameTaken),
            write_whole(folder / keep_server.AUTH, once=True, mode=0o600) as f,
        ):
            f.write(f"qcsc-loop:{secrets.token_urlsafe(32)}\n".encode())
        if shutil.disk_usage(folder).free < _LEAST_BYTES:
            raise OSError("the disk is full")
    except OSError as error:
        raise _no_disk(folder, error) from error


_LEAST_BYTES = 20_000_000  # the pages of its UI and an empty database


def _no_disk(folder: Path, error: OSError) -> ServerNotStarted:
    why = error.strerror or str(error)
    return ServerNotStarted(str(folder), why, f"make room, or {_OTHER}")


def _password(folder: Path) -> str:
    path = folder / keep_server.AUTH
    try:
        _refuse_others(path, 0o077)
        return path.read_text().strip()
    except OSError as error:
        raise ServerNotOurs(str(path), error.strerror or str(error)) from error


def _refuse_others(path: Path, mask: int) -> None:
    status = path.stat()
    if status.st_uid != os.geteuid():
        raise ServerNotOurs(str(path), "it belongs to somebody else")
    if stat.S_IMODE(status.st_mode) & mask:
        raise ServerNotOurs(str(path), f"others have access to it; chmod go-rwx {path}")


def port_for(found: OwnServer) -> int:
    """The one that it had: addresses that somebody has noted, and tunnels, stay good."""
    if found.record is not None:
        return found.record.port
    chance = random.Random()
    for port in (*_last_port(found.folder), *(chance.choice(PORTS) for _ in range(_TRIES))):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    return 0


def _last_port(folder: Path) -> list[int]:
    """That of the server that was stopped here; none where nothing says so."""
    try:
        port = int((folder / PORT).read_text())
    except (OSError, ValueError):
        return []
    return [port] if 0 < port < 2**16 else []


def _read(folder: Path) -> Record | None:
    try:
        return Record.model_validate_json((folder / keep_server.RECORD).read_bytes())
    except (OSError, ValidationError):  # none; or not one of ours
        return None


def _life(record: Record) -> Life:
    return life_of(record.pid, record.start_ticks, Place(**record.place.model_dump()))


def _silent_for(folder: Path) -> float:
    try:
        return max(0.0, time.time() - (folder / keep_server.ALIVE).stat().st_mtime)
    except OSError:
        return float("inf")


def _answers(found: OwnServer) -> bool:
    """Whether whoever has the password is let in."""
    user, _, password = found.door().auth.partition(":")
    try:
        with httpx.Client(trust_env=False, timeout=ANSWER_SECONDS, auth=(user, password)) as client:
            return client.post(f"{found.ui}/api/flows/count", json={}).is_success
    except httpx.HTTPError:
        return False


def _last_line(path: Path) -> str:
    try:
        lines = path.read_bytes()[-4000:].decode(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1] if lines else ""
