"""A Prefect server on 127.0.0.1 for this process alone, and for as long as it lives."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx

from qcsc_loop.concurrency.child import tie_to_this_process
from qcsc_loop.errors import PrefectUnreachable
from qcsc_loop.prefect import serve_api

START_SECONDS = 180  # the first start on a slow disk migrates the database

QUIET = {
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_ENABLED": "false",
    "DO_NOT_TRACK": "1",
}


@dataclass(frozen=True)
class Door:
    """Where the server is, and what it asks of whoever comes.

    Attributes:
        auth: "user:password"; random, so that nobody else on this machine knows it.
    """

    url: str
    auth: str = field(default_factory=lambda: f"qcsc-loop:{secrets.token_urlsafe(32)}", repr=False)


@contextmanager
def temporary_server() -> Iterator[Door]:
    """A server that answers, with the user's own database; it cannot outlive this process.

    Raises:
        PrefectUnreachable: it does not start.
    """
    with starting_server() as (door, wait):
        wait()
        yield door


@contextmanager
def starting_server() -> Iterator[tuple[Door, Callable[[], None]]]:
    """The same while it starts, and what waits until it answers, in any thread.

    Whoever comes before it answers waits: the port is open from the first.

    Everybody with an account on this machine reaches 127.0.0.1, and whoever is let in reads every
    saved block's secrets and says what a run goes on from.

    """
    # this process holds the port to the end: nobody else answers there, whatever dies
    with socket.create_server(("127.0.0.1", 0)) as port, tempfile.TemporaryFile() as log:
        door = Door(f"http://127.0.0.1:{port.getsockname()[1]}/api")
        command = [sys.executable, "-P", serve_api.__file__, str(port.fileno())]
        server = subprocess.Popen(
            tie_to_this_process(command),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # others cannot read a process's environment, but its arguments
            env={**os.environ, **QUIET, "PREFECT_SERVER_API_AUTH_STRING": door.auth},
            pass_fds=[port.fileno()],
            umask=0o077,  # its database has the blocks' secrets, and the key to them
            start_new_session=True,  # a Ctrl-C is for the driver, which needs the API to say so
        )
        try:
            yield door, partial(_wait_for, server, door.url, log.fileno())
        finally:
            server.terminate()
            try:
                server.wait(timeout=3)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _wait_for(server: subprocess.Popen[bytes], url: str, log: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            said = Path(f"/proc/self/fd/{log}").read_text(errors="replace").strip().splitlines()
            why = said[-1] if said else f"exit code {server.returncode}"
            raise PrefectUnreachable(url, f"the temporary server did not start: {why}")
        try:
            if httpx.get(f"{url}/health", timeout=2).is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.05)
    raise PrefectUnreachable(url, f"the temporary server did not start within {START_SECONDS} s")
