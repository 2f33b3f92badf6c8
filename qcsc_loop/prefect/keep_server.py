"""The program that keeps a person's own Prefect server: it starts it, and starts it again.

Run as `python -P keep_server.py FOLDER PORT`. It imports little: it is there for weeks. It holds the
port itself, whatever becomes of the server, so that nobody else ever answers there and is sent the
password; and it holds the folder, so that one database has one server. Its record stays when it
ends, as with its machine: only `server stop` takes that away; until then the next command starts it.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from base64 import b64encode
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import FrameType

from qcsc_loop.concurrency.child import tie_to_this_process
from qcsc_loop.concurrency.process_life import here, start_ticks
from qcsc_loop.concurrency.whole_file import write_whole

AUTH, RECORD, ALIVE, LOG, OLDER_LOG, LOCK = (
    "auth",
    "server.json",
    "alive",
    "server.log",
    "server.1.log",
    "lock",
)
HELD, PORT_TAKEN, NO_DISK = 75, 76, 77  # exit codes

LOOK_SECONDS = 10.0
ANSWER_SECONDS = 20.0  # a machine may be busy
START_SECONDS = 300.0  # the first start on a slow disk migrates the database
SILENCES = 3  # looks without an answer: then it is started again
END_SECONDS = 10.0
LONGEST_PAUSE = 60.0
LOG_BYTES = 5_000_000

_NOT_FOR_IT = ("PREFECT_API_URL", "PREFECT_API_AUTH_STRING", "PREFECT_API_KEY", "PREFECT_PROFILE")


class Ended(Exception):
    """It was asked to end."""


class Keeper:
    """Of one server, in one folder."""

    def __init__(self, folder: Path, door: socket.socket) -> None:
        self._folder, self._door = folder, door
        self._auth = (folder / AUTH).read_text().strip()
        self._port = door.getsockname()[1]
        self._since = time.time()
        self._restarts, self._why = 0, ""
        self._server: subprocess.Popen[bytes] | None = None

    def keep(self) -> None:
        """Until it is asked to end."""
        pause = 1.0
        try:
            while True:
                began = time.monotonic()
                self._start()
                self._why = self._watch()
                self._end_server()
                self._restarts += 1
                self._say(f"the server {self._why}; it is started again")
                pause = 1.0 if time.monotonic() - began > LONGEST_PAUSE else 2 * pause
                self._write_record()
                time.sleep(min(pause, LONGEST_PAUSE))
        except Ended:
            pass
        finally:
            self._end_server()

    def _start(self) -> None:
        program = Path(__file__).with_name("serve_api.py")
        command = [sys.executable, "-P", str(program), str(self._door.fileno())]
        with (self._folder / LOG).open("ab") as log:
            self._server = subprocess.Popen(
                tie_to_this_process(command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment(),
                pass_fds=[self._door.fileno()],
                start_new_session=True,
            )
        self._write_record()

    def _environment(self) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if name not in _NOT_FOR_IT}
        return own | {
            "PREFECT_HOME": str(self._folder / "prefect"),
            # others cannot read a process's environment
            "PREFECT_SERVER_API_AUTH_STRING": self._auth,
            # the UI asks where it comes from, whatever the port, or a tunnel's
            "PREFECT_UI_API_URL": "/api",
            "PREFECT_UI_ENABLED": "true",
            "PREFECT_SERVER_UI_ENABLED": "true",
            "PREFECT_UI_STATIC_DIRECTORY": str(self._folder / "ui"),
            "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
        }

    def _watch(self) -> str:
        """Returns once the server is no good any more, with why."""
        assert self._server is not None
        answered, silences, began = False, 0, time.monotonic()
        while True:
            self._sign_of_life()
            self._turn_log()
            if (code := self._server.poll()) is not None:
                return f"ended with exit code {code}"
            if self._answers():
                answered, silences = True, 0
            elif answered:
                silences += 1
            elif time.monotonic() - began > START_SECONDS:
                return f"did not start within {START_SECONDS:.0f} s"
            if silences >= SILENCES:
                return f"gave no answer {silences} times"
            self._wait(LOOK_SECONDS if answered else 1.0)

    def _wait(self, seconds: float) -> None:
        """As long as the server lives."""
        assert self._server is not None
        with suppress(subprocess.TimeoutExpired):
            self._server.wait(seconds)

    def _answers(self) -> bool:
        """Whether it reads its database for whoever has the password."""
        login = b64encode(self._auth.encode()).decode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._port}/api/flows/count",
            b"{}",
            {"Authorization": f"Basic {login}", "Content-Type": "application/json"},
        )
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with direct.open(request, timeout=ANSWER_SECONDS) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _end_server(self) -> None:
        server, self._server = self._server, None
        if server is None or server.poll() is not None:
            return
        server.terminate()
        try:
            server.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()

    def _write_record(self) -> None:
        pid = os.getpid()
        record = {
            "port": self._port,
            "pid": pid,
            "start_ticks": start_ticks(pid),
            "place": asdict(here()),
            "since": self._since,
            "restarts": self._restarts,
            "why": self._why,
        }
        # a disk that is full now keeps no server that runs
        with suppress(OSError), write_whole(self._folder / RECORD, mode=0o600) as file:
            file.write(json.dumps(record).encode())

    def _sign_of_life(self) -> None:
        with suppress(OSError):
            (self._folder / ALIVE).touch(0o600)

    def _say(self, text: str) -> None:
        with suppress(OSError), (self._folder / LOG).open("a") as log:
            log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S %z')} qcsc-loop: {text}\n")

    def _turn_log(self) -> None:
        """The server has its log open: what is old is copied, and cut off."""
        log = self._folder / LOG
        with suppress(OSError):
            if log.stat().st_size > LOG_BYTES:
                (self._folder / OLDER_LOG).write_bytes(log.read_bytes()[-LOG_BYTES:])
                os.truncate(log, 0)


def _end(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise Ended


def main() -> int:
    """Keeps the server; the exit code says why it could not."""
    folder, port = Path(sys.argv[1]), int(sys.argv[2])
    os.umask(0o077)  # its database has the blocks' secrets, and the key to them
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # it outlives its terminal
    try:
        lock = (folder / LOCK).open("ab")
        with suppress(OSError):  # a disk without locks: the record has to do
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return HELD
        try:
            door = socket.create_server(("127.0.0.1", port))
        except OSError:
            return PORT_TAKEN
        keeper = Keeper(folder, door)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _end)
        with lock, door:
            keeper.keep()
    except Ended:
        return 0
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        return NO_DISK
    return 0


if __name__ == "__main__":
    sys.exit(main())
