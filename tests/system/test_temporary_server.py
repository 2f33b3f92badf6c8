"""The temporary server is this run's alone: another user of the machine gets nothing from it."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import psutil
import pytest

from other_user import printed_by_nobody
from qcsc_loop.prefect.server import prefect_api
from qcsc_loop.prefect.temporary_server import Door
from system.command_line import WANDER, Background, CommandLine, setting

pytestmark = pytest.mark.server

RUN = "watched"

ATTACK = """
url, key = sys.argv[1:]
forged = {"key": key, "type": "qcsc-loop-run", "data": "{}"}
requests = [
    ("GET", "/health", None),
    ("GET", "/admin/version", None),
    ("POST", "/block_documents/filter", {"include_secrets": True}),
    ("POST", "/artifacts/filter", {}),
    ("POST", "/artifacts/", forged),
    ("POST", "/flow_runs/filter", {}),
]
for credentials in (None, "Basic OjE=", "Bearer x"):
    codes = []
    for method, path, body in requests:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        if credentials:
            headers["Authorization"] = credentials
        request = urllib.request.Request(url + path, data, headers, method=method)
        try:
            codes.append(urllib.request.urlopen(request, timeout=30).status)
        except urllib.error.HTTPError as error:
            codes.append(error.code)
    print(json.dumps(codes))
"""

LOOK = """
seen = []
for pid in sys.argv[1:]:
    try:
        seen.append(pathlib.Path(f"/proc/{pid}/environ").read_text())
    except PermissionError:
        seen.append("refused")
print(json.dumps(seen))
"""


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    folder = tmp_path / "gate"
    folder.mkdir()
    return folder


@pytest.fixture
def driver(qcsc_loop: CommandLine, gate: Path) -> Background:
    """A run that stands in the middle of its first iteration."""
    words = ("--run-id", RUN, "--max-iterations", "1", *setting(gate=str(gate), gates=[1]))
    driver = qcsc_loop.start("run", WANDER, *words)
    driver.until_there_is(gate / "1.reached")
    return driver


@pytest.mark.guarantee("S5")
def test_another_user_is_let_in_nowhere_and_the_run_is_not_disturbed(
    driver: Background, gate: Path, prefect_home: Path
) -> None:
    (server,) = [child for child in driver.child("serve_api") if not child.children()]
    (port,) = {
        found.laddr.port
        for found in server.net_connections("inet")
        if found.status == psutil.CONN_LISTEN
    }
    answers = printed_by_nobody(ATTACK, f"http://127.0.0.1:{port}/api", f"{RUN}-run").splitlines()
    assert [json.loads(codes) for codes in answers] == [[200, 401, 401, 401, 401, 401]] * 3

    processes = [psutil.Process(driver.pid), *driver.children()]
    assert set(json.loads(printed_by_nobody(LOOK, *(str(p.pid) for p in processes)))) == {"refused"}
    password = server.environ()["PREFECT_SERVER_API_AUTH_STRING"].partition(":")[2]
    assert len(password) >= 40
    assert not any(password in word for process in processes for word in process.cmdline())
    # what jobs and ranks inherit
    assert password not in str(psutil.Process(driver.pid).environ())

    (gate / "1.open").touch()
    said = driver.result().well()
    assert "1 iteration" in said.out
    assert said.err == ""  # no event, log line or artifact was refused either
    (database,) = prefect_home.glob("prefect.db")
    assert stat.S_IMODE(database.stat().st_mode) == 0o600


def test_each_server_has_a_password_of_its_own_which_no_message_shows() -> None:
    one, two = Door("http://127.0.0.1:1/api"), Door("http://127.0.0.1:1/api")
    assert one.auth != two.auth
    assert one.auth not in f"{one} {one!r}"


def test_what_asks_for_an_api_inside_is_let_in(
    monkeypatch: pytest.MonkeyPatch, prefect_home: Path
) -> None:
    """A saved block that is loaded in a run asks again, and gets the same server."""
    monkeypatch.setenv("PREFECT_HOME", str(prefect_home))
    with prefect_api() as outer, prefect_api() as inner:
        assert inner == outer
