"""`qcsc-loop server`: one command for a server that outlives runs, and lets nobody else in."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil
import pytest

from qcsc_loop.concurrency.process_life import start_ticks
from qcsc_loop.prefect.keep_server import ANSWER_SECONDS
from qcsc_loop.prefect.own_server import Record, State, look, make_folder, port_for
from small_disk import small_disk
from system.command_line import WANDER, CommandLine, command_line
from waiting import alive, until

pytestmark = pytest.mark.server

LISTENERS = 110  # Prefect counts them among the requests of which it handles 100 at a time


class Own:
    """A command line with a server of its own; whatever it starts ends with the test."""

    def __init__(self, line: CommandLine) -> None:
        self.line, self.folder = line, line.folder / "server"
        line.environment["QCSC_LOOP_SERVER"] = str(self.folder)

    def __call__(self, word: str, *more: str) -> dict[str, object]:
        """What a command of `server` says to programs."""
        answer: dict[str, object] = self.line("server", word, *more, "--json").well().answer
        return answer

    @property
    def record(self) -> Record:
        return Record.model_validate_json((self.folder / "server.json").read_bytes())

    @property
    def keeper(self) -> psutil.Process:
        return psutil.Process(self.record.pid)

    @property
    def login(self) -> tuple[str, str]:
        user, _, password = (self.folder / "auth").read_text().strip().partition(":")
        return user, password

    @property
    def answers(self) -> bool:
        return look(self.folder).state is State.RUNNING

    def flow_runs(self) -> list[dict[str, object]]:
        url = f"http://127.0.0.1:{self.record.port}/api/flow_runs/filter"
        rows: list[dict[str, object]] = httpx.post(url, json={}, auth=self.login).json()
        return rows

    def end(self) -> None:
        if (self.folder / "server.json").exists():
            self.line("server", "stop").well()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, prefect_home: Path) -> Iterator[Own]:
    """One that runs."""
    with command_line(tmp_path_factory.mktemp("own"), prefect_home) as line:
        own = Own(line)
        try:
            own("start")
            yield own
        finally:
            own.end()


@pytest.fixture
def idle(tmp_path: Path, prefect_home: Path) -> Iterator[Own]:
    """One that was never started."""
    with command_line(tmp_path / "own", prefect_home) as line:
        own = Own(line)
        yield own
        own.end()


def gone(own: Own, port: int = 1) -> None:
    """Leaves the record of a keeper that is dead, on this machine."""
    own.folder.mkdir(parents=True, mode=0o700)
    (own.folder / "auth").write_text("qcsc-loop:x")
    (own.folder / "auth").chmod(0o600)
    place = look_here()
    record = Record.model_validate({"port": port, "pid": 2**22 - 1, "start_ticks": 1, **place})
    (own.folder / "server.json").write_text(record.model_dump_json())


def look_here() -> dict[str, object]:
    from dataclasses import asdict

    from qcsc_loop.concurrency.process_life import here

    return {"place": asdict(here())}


def listener(port: int) -> socket.socket:
    """A websocket that is open."""
    found = socket.create_connection(("127.0.0.1", port), ANSWER_SECONDS)
    words = [
        "GET /api/events/in HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Protocol: prefect",
    ]
    found.sendall("".join(f"{word}\r\n" for word in [*words, ""]).encode())
    assert b" 101 " in found.recv(4096)
    return found


class TestOneThatRuns:
    def test_a_run_uses_it_and_says_where_its_flow_run_is_shown(self, shared: Own) -> None:
        words = ("--run-id", "on-own", "--max-iterations", "1")
        said = shared.line("run", WANDER, *words).well()
        (flow_run,) = [row for row in shared.flow_runs() if row["name"] == "on-own"]
        pages = f"http://127.0.0.1:{shared.record.port}"
        where = f"on your own Prefect server: {pages}/v2/runs/flow-run/{flow_run['id']}"
        assert where in said.out.splitlines()
        assert (flow_run["state_type"], said.err) == ("COMPLETED", "")

    def test_another_store_and_a_second_start_find_the_same_one(self, shared: Own) -> None:
        assert shared("start")["pid"] == shared.record.pid
        status = shared.line("server", "status", "--json", env={"QCSC_LOOP_STORE": "/nowhere"})
        assert status.well().answer["pid"] == shared.record.pid

    def test_it_has_a_session_of_its_own_so_that_no_terminal_ends_it(self, shared: Own) -> None:
        pid = shared.record.pid
        assert os.getsid(pid) == pid
        shared.keeper.send_signal(signal.SIGHUP)
        assert shared("status")["pid"] == pid

    @pytest.mark.guarantee("S5")
    def test_nobody_else_is_let_in(self, shared: Own) -> None:
        url = f"http://127.0.0.1:{shared.record.port}/api"
        assert httpx.post(f"{url}/block_documents/filter", json={}).status_code == 401
        for name in ("auth", "server.json", "server.log", "prefect/prefect.db"):
            assert not (shared.folder / name).stat().st_mode & 0o077, name
        assert stat.S_IMODE(shared.folder.stat().st_mode) == 0o700
        _, password = shared.login
        processes = [shared.keeper, *shared.keeper.children(recursive=True)]
        assert not any(password in word for process in processes for word in process.cmdline())

    def test_it_answers_however_many_listen(self, shared: Own) -> None:
        """Each flow run of a worker keeps two connections open, and so may whoever knows the port."""
        with ExitStack() as listening:
            for _ in range(LISTENERS):
                listening.enter_context(listener(shared.record.port))
            assert shared.answers
            assert shared.flow_runs() is not None

    def test_its_pages_ask_where_they_come_from(self, shared: Own) -> None:
        answer = httpx.get(f"http://127.0.0.1:{shared.record.port}/ui-settings").json()
        assert answer["api_url"] == "/api"
        assert set(answer["available_uis"]) == {"v1", "v2"}

    def test_another_port_is_refused_while_it_runs(self, shared: Own) -> None:
        said = shared.line("server", "start", "--port", "29999").refusal
        assert f"it runs on port {shared.record.port}" in said

    def test_doctor_says_that_it_answers_and_that_its_pages_work(self, shared: Own) -> None:
        found = shared.line("doctor", "--json").answer["findings"]
        facts = {finding["what"]: finding for finding in found}
        assert "your own server" in facts["Prefect API"]["fact"]
        assert facts["Prefect pages"]["well"]

    @pytest.mark.thorough
    def test_one_that_is_killed_is_started_again_by_its_keeper_on_its_port(
        self, shared: Own
    ) -> None:
        before = shared.record
        for child in shared.keeper.children(recursive=True):
            child.kill()
        until(lambda: shared.record.restarts > before.restarts and shared.answers, "it is back")
        assert (shared.record.pid, shared.record.port) == (before.pid, before.port)

    @pytest.mark.thorough
    def test_killed_with_its_keeper_it_is_brought_back_by_the_next_command(
        self, shared: Own
    ) -> None:
        before, keeper = shared.record, shared.keeper
        children = keeper.children(recursive=True)
        keeper.kill()
        until(lambda: not any(child.is_running() for child in children), "the server has ended")
        after = shared("status")
        assert after["state"] == "running"
        assert after["port"] == before.port
        assert after["pid"] != before.pid


def test_one_that_is_stopped_is_gone_and_so_is_its_port(idle: Own) -> None:
    port = idle("start")["port"]
    keeper = idle.keeper
    assert idle("stop")["ran"] is True
    assert not alive(keeper.pid)
    with socket.create_server(("127.0.0.1", int(str(port)))):
        pass
    assert idle.line("server", "status", "--json").answer["state"] == "none"
    assert idle("stop")["ran"] is False
    assert port_for(look(idle.folder)) == port
    with socket.create_server(("127.0.0.1", int(str(port)))):
        assert port_for(look(idle.folder)) != port
    assert idle("start")["port"] == port


IMPATIENT = """
import sys
from qcsc_loop.prefect import keep_server
keep_server.LOOK_SECONDS, keep_server.ANSWER_SECONDS = 0.2, 8.0
sys.exit(keep_server.main())
"""


@pytest.mark.thorough
def test_one_that_answers_nobody_is_started_again(idle: Own) -> None:
    make_folder(idle.folder)
    words = [sys.executable, "-c", IMPATIENT, str(idle.folder), "0"]
    with subprocess.Popen(words, env=idle.line.environment, start_new_session=True) as keeper:
        until(lambda: (idle.folder / "server.json").exists() and idle.answers, "it answers")
        (stuck,) = [c for c in idle.keeper.children(recursive=True) if not c.children()]
        stuck.suspend()
        until(lambda: idle.record.restarts and idle.answers, "another one answers")
        assert "gave no answer 3 times" in idle.record.why
        assert not alive(stuck.pid)
        keeper.terminate()


def test_a_port_that_is_taken_is_said(idle: Own) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = idle.line("server", "start", "--port", str(taken.getsockname()[1])).refusal
    assert "its port is taken by another process" in said
    assert "--port" in said
    assert not (idle.folder / "server.json").exists()


def test_a_run_does_without_one_that_cannot_be_started_again(idle: Own, run_id: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        gone(idle, taken.getsockname()[1])
        words = ("--run-id", run_id, "--max-iterations", "1")
        said = idle.line("run", WANDER, *words).well()
    assert "your own Prefect server is not used" in said.out
    assert "starting a temporary Prefect server" in said.out
    (idle.folder / "server.json").unlink()


def test_a_record_of_a_process_that_has_another_number_now_is_stale(idle: Own) -> None:
    gone(idle)
    record = idle.record.model_copy(update={"pid": os.getpid(), "start_ticks": 1})
    assert record.start_ticks != start_ticks(os.getpid())
    (idle.folder / "server.json").write_text(record.model_dump_json())
    assert look(idle.folder).state is State.GONE
    (idle.folder / "server.json").unlink()


def test_one_of_another_machine_is_neither_used_nor_started_twice(idle: Own) -> None:
    gone(idle)
    place = idle.record.place.model_copy(update={"host": "login9", "boot": "other"})
    record = idle.record.model_copy(update={"place": place})
    (idle.folder / "server.json").write_text(record.model_dump_json())
    (idle.folder / "alive").touch()
    assert "it runs on login9" in idle.line("server", "start").refusal
    assert "runs on login9" in idle.line("server", "status").out
    (idle.folder / "server.json").unlink()


def test_a_password_that_others_can_read_is_refused(idle: Own) -> None:
    gone(idle)
    (idle.folder / "auth").chmod(0o644)
    record = idle.record.model_copy(
        update={"pid": os.getpid(), "start_ticks": start_ticks(os.getpid())}
    )
    (idle.folder / "server.json").write_text(record.model_dump_json())
    assert "is not yours alone" in idle.line("server", "status").refusal
    (idle.folder / "server.json").unlink()


def test_a_full_disk_is_said(idle: Own, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "1m") as disk:
        idle.line.environment["QCSC_LOOP_SERVER"] = str(disk.folder / "server")
        said = idle.line("server", "start").refusal
    assert "make room" in said


def test_without_one_it_says_how_to_have_one(idle: Own) -> None:
    result = idle.line("server", "status")
    assert result.code == 1
    assert "qcsc-loop server start" in result.out
