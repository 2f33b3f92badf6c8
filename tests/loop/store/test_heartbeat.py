"""Signs of life: nothing that holds up a driver holds them up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest

from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.heartbeat import Heartbeat, Request
from qcsc_loop.store.memory import MemoryStore
from waiting import until

EVERY = 0.02

DRIVER = """
import ctypes, signal, sys
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.heartbeat import Heartbeat, Request
store, url = sys.argv[1:]
beat = Heartbeat(DirectoryStore(store), "run-1/beat", 0.02)
beat.start()
if url:
    beat.repeat(Request("PATCH", url, {"Authorization": "Basic secret"}, "{}", 0.02))
print("ready", flush=True)
ctypes.PyDLL(None).pause()  # keeps the interpreter's lock, as a long call in C does
"""


@contextmanager
def stuck_driver(store: Path, url: str = "") -> Iterator[subprocess.Popen[bytes]]:
    """A driver in a call that no thread of it comes past."""
    with subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(store), url], stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield process
        finally:
            process.kill()


class Api(ThreadingHTTPServer):
    """Counts what it is sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.requests: list[tuple[str, str, str, bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/artifacts/1"


class Answer(BaseHTTPRequestHandler):
    def do_PATCH(self) -> None:
        assert isinstance(self.server, Api)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        secret = self.headers["Authorization"]
        self.server.requests.append((self.command, self.path, secret, body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture
def api() -> Iterator[Api]:
    with Api() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def beats(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


def until_it_beats(path: Path) -> None:
    last = beats(path)
    until(lambda: beats(path) > last, "there is another sign of life")


def beating() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "qcsc-loop-lease"]


def pulses(pid: int) -> list[psutil.Process]:
    """The processes that beat for a driver."""
    found = []
    for child in psutil.Process(pid).children():
        with suppress(psutil.Error):
            if any(word.endswith("pulse.py") for word in child.cmdline()):
                found.append(child)
    return found


@contextmanager
def started(store: DirectoryStore | MemoryStore) -> Iterator[Heartbeat]:
    beat = Heartbeat(store, "run-1/beat", EVERY)
    beat.start()
    try:
        yield beat
    finally:
        beat.stop()


def test_a_driver_gives_signs_of_life_until_it_is_stopped(tmp_path: Path) -> None:
    others, before = beating(), pulses(os.getpid())
    with started(DirectoryStore(tmp_path)):
        for _ in range(3):
            until_it_beats(tmp_path / "run-1/beat")
    assert beating() == others
    assert pulses(os.getpid()) == before


@pytest.mark.guarantee("G21")
def test_a_call_that_keeps_the_interpreters_lock_does_not_stop_them(
    tmp_path: Path, api: Api
) -> None:
    with stuck_driver(tmp_path, api.url) as driver:
        heard = len(api.requests)
        for _ in range(3):
            until_it_beats(tmp_path / "run-1/beat")
        until(lambda: len(api.requests) > heard + 2, "the API has heard of it again")
        assert driver.poll() is None
    assert set(api.requests) == {("PATCH", "/artifacts/1", "Basic secret", b"{}")}


def test_a_request_is_not_repeated_while_the_driver_makes_it_itself(
    tmp_path: Path, api: Api
) -> None:
    with started(DirectoryStore(tmp_path)) as beat:
        beat.repeat(Request("PATCH", api.url, {"Authorization": "first"}, "{}", 600.0))
        beat.repeat(Request("PATCH", api.url, {"Authorization": "second"}, "{}", EVERY))
        until(lambda: api.requests, "it is made again")
    assert {secret for _, _, secret, _ in api.requests} == {"second"}


def test_they_end_with_their_driver(tmp_path: Path) -> None:
    with stuck_driver(tmp_path) as driver:
        until(lambda: pulses(driver.pid), "one beats")
        (pulse,) = pulses(driver.pid)
        driver.kill()
        driver.wait()
        until(lambda: not pulse.is_running(), "nothing beats for a dead driver")


def test_a_driver_that_stands_still_gives_none(tmp_path: Path) -> None:
    with stuck_driver(tmp_path) as driver:
        driver.send_signal(signal.SIGSTOP)
        process = psutil.Process(driver.pid)
        until(lambda: process.status() == psutil.STATUS_STOPPED, "it stands still")
        # beats that were under way may still arrive; then the file's age grows for good
        store = DirectoryStore(tmp_path)
        until(lambda: (store.age("run-1/beat") or 0) > 25 * EVERY, "there is no sign of life")
        driver.send_signal(signal.SIGCONT)
        until_it_beats(tmp_path / "run-1/beat")


def test_a_process_that_beats_and_dies_is_replaced(tmp_path: Path, api: Api) -> None:
    with started(DirectoryStore(tmp_path)) as beat:
        beat.repeat(Request("PATCH", api.url, {"Authorization": "again"}, "{}", EVERY))
        until(lambda: pulses(os.getpid()), "one beats")
        (first,) = pulses(os.getpid())
        first.kill()
        until(lambda: [p for p in pulses(os.getpid()) if p.pid != first.pid], "there is another")
        until_it_beats(tmp_path / "run-1/beat")
        heard = len(api.requests)
        until(lambda: len(api.requests) > heard, "the API has heard of it again")


def test_where_no_process_can_be_started_a_thread_beats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with started(DirectoryStore(tmp_path)):
        for _ in range(3):
            until_it_beats(tmp_path / "run-1/beat")


def test_a_store_in_memory_needs_no_process() -> None:
    class Counted(MemoryStore):
        beats = 0

        def touch(self, name: str) -> None:
            self.beats += 1

    store, before = Counted(), pulses(os.getpid())
    with started(store):
        until(lambda: store.beats >= 3, "a thread beats")
        assert pulses(os.getpid()) == before


@pytest.mark.parametrize("in_the_way", ["store", "store/run-1"])
def test_they_go_on_after_the_disk_was_away(tmp_path: Path, in_the_way: str) -> None:
    beat = tmp_path / "store/run-1/beat"
    with started(DirectoryStore(tmp_path / "store")):
        (tmp_path / in_the_way).rename(tmp_path / "away")
        (tmp_path / in_the_way).write_text("no folder")
        until(lambda: not beat.exists(), "the disk is away")
        (tmp_path / in_the_way).unlink()
        (tmp_path / "away").rename(tmp_path / in_the_way)
        for _ in range(2):
            until_it_beats(beat)


def test_they_make_no_folder_of_a_run_that_was_removed(tmp_path: Path) -> None:
    with started(DirectoryStore(tmp_path)), started(DirectoryStore(tmp_path / "other")):
        (tmp_path / "run-1/beat").unlink()
        until(lambda: (tmp_path / "run-1/beat").exists(), "it beats")
        (tmp_path / "run-1/beat").rename(tmp_path / "old")
        (tmp_path / "run-1").rename(tmp_path / "run-2")
        for _ in range(3):
            until_it_beats(tmp_path / "other/run-1/beat")
        assert not (tmp_path / "run-1").exists()
