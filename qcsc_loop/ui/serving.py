"""Serving the pages on this machine alone: on a port, or a socket that is one person's."""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import uvicorn

from qcsc_loop.errors import InputError
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.ui.app import Pages

HOST = "127.0.0.1"
FIRST_PORT = 8421  # and as many users' as there are on a login node, each his own
GRACE_SECONDS = 2


def serve(
    store: DirectoryStore,
    *,
    port: int | None,
    uds: Path | None,
    more: str,
    tell: Callable[[str, int], None],
) -> None:
    """Serves until it is ended.

    Args:
        port: None: one of this user's, or any.
        uds: a socket's file instead, which nobody else may open.
        tell: told of the path under which the pages are, and of the port.

    Raises:
        InputError: the port or the file cannot be had.
    """
    listening = _on_file(uds) if uds is not None else _on_port(port)
    token = secrets.token_urlsafe(24)
    pages = Pages(store, token, more)
    server = uvicorn.Server(
        uvicorn.Config(
            pages.app(),
            log_level="warning",
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )
    watching = threading.Thread(target=pages.watch, name="qcsc-loop-ui", daemon=True)
    watching.start()
    try:
        with listening:
            tell(f"/{token}/", 0 if uds is not None else listening.getsockname()[1])
            server.run(sockets=[listening])
    finally:
        pages.end()
        if uds is not None:
            uds.unlink(missing_ok=True)


def _on_port(port: int | None) -> socket.socket:
    why = ""
    wanted = [port] if port is not None else [FIRST_PORT + os.getuid() % 1000, 0]
    for number in wanted:
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((HOST, number))
        except OSError as error:
            listening.close()
            why = error.strerror or str(error)
            continue
        listening.listen()
        return listening
    raise InputError(f"port {port} of {HOST} cannot be had: {why}. Take another: --port N")


def _on_file(path: Path) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)  # nobody can connect in between
    try:
        listening.bind(str(path))
    except OSError as error:
        listening.close()
        why = error.strerror or str(error)
        raise InputError(
            f"{path} cannot be a socket: {why}. Take another file: --uds FILE"
        ) from error
    finally:
        os.umask(before)
    listening.listen()
    return listening
