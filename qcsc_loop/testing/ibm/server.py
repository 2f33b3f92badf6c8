"""HTTP: requests off the wire, answers onto it."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from urllib.parse import parse_qs, urlsplit, urlunsplit

from qcsc_loop.testing.ibm.door import Door
from qcsc_loop.testing.ibm.journal import Journal
from qcsc_loop.testing.ibm.messages import Answer, Request

LOOPBACK = "127.0.0.1"
POLL_SECONDS = 0.02
RESET = struct.pack("ii", 1, 0)  # SO_LINGER of 0 s: closing sends RST


class Server(ThreadingHTTPServer):
    """Serves on a free port of loopback, each connection in a thread of its own."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, door: Door, journal: Journal) -> None:
        super().__init__((LOOPBACK, 0), _Connection)
        self.door = door
        self.journal = journal
        self.stopped = Event()
        self._lock = Lock()
        self._open: set[socket.socket] = set()
        self._thread = Thread(target=self.serve_forever, args=(POLL_SECONDS,), daemon=True)

    def start(self) -> None:
        """Serves until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """Ends all connections; whoever connects now finds nobody."""
        self.stopped.set()
        self.shutdown()
        self._thread.join()
        self.server_close()
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        """Without a polite end before it: that would hide a reset."""
        self.close_request(request)

    def opened(self, connection: socket.socket) -> None:
        """Notes a connection, which clients keep open for long."""
        with self._lock:
            self._open.add(connection)

    def closed(self, connection: socket.socket) -> None:
        """Forgets a connection."""
        with self._lock:
            self._open.discard(connection)


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @property
    def _home(self) -> Server:
        assert isinstance(self.server, Server)
        return self.server

    def setup(self) -> None:
        super().setup()
        self._home.opened(self.connection)

    def finish(self) -> None:
        self._home.closed(self.connection)
        super().finish()

    def handle(self) -> None:
        with suppress(ConnectionError):  # the client has gone
            super().handle()

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: there is the journal."""

    def _serve(self) -> None:
        answer, number = self._home.door.answer(self._request())
        hung = bool(answer.seconds) and self._home.stopped.wait(answer.seconds)
        if hung or answer.lost:
            self._lose()
        else:
            self._home.journal.answered(number, answer.status)
            self._send(answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

    def _request(self) -> Request:
        # through a proxy, the whole URL is the target
        url = urlsplit(self.path)
        return Request(
            method=self.command,
            target=urlunsplit(("", "", url.path, url.query, "")),
            path=url.path,
            query=parse_qs(url.query),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(int(self.headers.get("Content-Length") or 0)),
        )

    def _send(self, answer: Answer) -> None:
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        # a 204 has neither
        if answer.status != 204:
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body[: answer.sent])
        self.close_connection = self.close_connection or answer.sent is not None

    def _lose(self) -> None:
        """Ends the connection, such that clients take it for the service's, not for a proxy's.

        What a proxy resets before it answers, urllib3 holds for not sent, and sends it again,
        even a POST. The real service is behind TLS, so no proxy comes between.
        """
        if self.path.startswith("/"):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        else:
            self.wfile.write(b"HTTP/1.1 ")
        self.close_connection = True
