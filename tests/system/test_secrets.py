"""The key of an account at IBM Quantum is nowhere but where it was put, whatever goes wrong."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import qiskit_aer  # noqa: F401  # here: in a job's short-lived thread its first import crashes

from qcsc_loop.testing import FakeIBMQuantum, IBMFault, RequestKind
from system.command_line import Background, CommandLine, Result, command_line, setting
from system.server import PrefectServer
from thorough import first_rows

pytestmark = pytest.mark.server

CREDENTIALS = "ibm-credentials/mine"
ALWAYS = 1000
LOOK_SECONDS = 0.02  # between two looks at the command lines

SURVIVED: list[tuple[IBMFault, RequestKind]] = [
    (IBMFault.HTML_PAGE, "submit"),
    (IBMFault.FORBIDDEN, "list"),
    (IBMFault.HTML_PAGE, "poll"),
    (IBMFault.SERVER_ERROR, "poll"),
    (IBMFault.TRUNCATED, "results"),
]
FATAL: list[tuple[IBMFault, RequestKind]] = [
    (IBMFault.UNAUTHORIZED, "token"),
    (IBMFault.UNAUTHORIZED, "submit"),
    (IBMFault.FORBIDDEN, "submit"),
    (IBMFault.UNAUTHORIZED, "poll"),
]


def traces(secret: str) -> list[bytes]:
    """What a secret looks like: itself, and in base64, whatever stands before it."""
    encoded = []
    for before in range(3):
        text = base64.b64encode(b"\0" * before + secret.encode())
        # the first and the last characters are also of the neighbours
        encoded.append(text[4 if before else 0 : -4])
    return [secret.encode(), secret.encode().hex().encode(), *encoded]


TRACES = traces(FakeIBMQuantum.secret)


def holds_secret(content: bytes) -> bool:
    return any(trace in content for trace in TRACES)


def leaks(folder: Path) -> list[str]:
    """Files below a folder that hold the secret, in their names, too."""
    found = []
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # a database's journal
            content = path.read_bytes() if path.is_file() else b""
            if holds_secret(str(path).encode() + b"\n" + content):
                found.append(str(path.relative_to(folder)))
    return found


@pytest.fixture(scope="module")
def server_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a server has its database."""
    return tmp_path_factory.mktemp("secret-server")


@pytest.fixture(scope="module")
def own_server(server_home: Path) -> Iterator[PrefectServer]:
    own = PrefectServer(server_home)
    try:
        own.start()
        yield own
    finally:
        own.stop()


@pytest.fixture(scope="module")
def ibm() -> Iterator[FakeIBMQuantum]:
    with FakeIBMQuantum(backends=["fake_manila"]) as ibm:
        yield ibm


@pytest.fixture(autouse=True)
def _healed(ibm: FakeIBMQuantum) -> Iterator[None]:
    yield
    ibm.heal()


@pytest.fixture
def line(tmp_path: Path, ibm: FakeIBMQuantum, own_server: PrefectServer) -> Iterator[CommandLine]:
    """The console script with the server, and the way to the service, but without the key."""
    way = {name: value for name, value in ibm.environment.items() if name != "QISKIT_IBM_TOKEN"}
    more = {**own_server.settings, **way, "PREFECT_LOGGING_LEVEL": "DEBUG"}
    with command_line(tmp_path / "line", tmp_path / "prefect", **more) as line:
        yield line


@pytest.fixture(params=["environment", "block"])
def key(
    request: pytest.FixtureRequest, line: CommandLine, ibm: FakeIBMQuantum, tmp_path: Path
) -> dict[str, Any]:
    """The sampler's setting that leads to the key."""
    if request.param == "environment":
        line.environment["QISKIT_IBM_TOKEN"] = ibm.token
        return {}
    file = tmp_path / "keys.toml"
    file.write_text(f'[ibm-credentials.mine]\napi_key = "{ibm.token}"\n')
    line("blocks", "apply", file).well()
    return {"sampler.credentials": CREDENTIALS}


def started(line: CommandLine, run_id: str, key: dict[str, Any]) -> Background:
    words = setting(
        num_qubits=3,
        shots=20,
        **{
            "sampler.type": "ibm-runtime",
            "sampler.poll_seconds": 0.1,
            "sampler.settle_seconds": 0.5,
            "sampler.patience_seconds": 5,
        },
        **key,
    )
    return line.start("run", "bitcount", "--run-id", run_id, "--max-iterations", "1", *words)


def watched(run: Background) -> tuple[Result, list[list[str]]]:
    """How it ended, and all command lines of its processes."""
    seen: dict[tuple[str, ...], None] = {}
    while run.process.poll() is None:
        with suppress(psutil.NoSuchProcess):
            for process in [psutil.Process(run.pid), *run.children()]:
                with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                    seen[tuple(process.cmdline())] = None
        with suppress(subprocess.TimeoutExpired):
            run.process.wait(LOOK_SECONDS)
    return run.result(), [[*words] for words in seen]


def assert_nothing_leaked(
    line: CommandLine, server: PrefectServer, home: Path, run_id: str, commands: list[list[str]]
) -> None:
    """By the streams, the store, Prefect's files and what its server tells."""
    assert leaks(line.folder) == []  # stdout and stderr of each command, and the store
    assert leaks(line.folder.parent / "prefect") == []
    assert leaks(home) == []  # the server's database: artifacts, logs, the saved block
    assert any(run_id.encode() in path.read_bytes() for path in home.glob("prefect.db*"))
    assert commands
    assert not holds_secret(json.dumps(commands).encode())
    told = {
        path: server.post(path, {"limit": 200, "sort": order})
        for path, order in (
            ("/artifacts/filter", "CREATED_DESC"),
            ("/logs/filter", "TIMESTAMP_DESC"),
        )
    }
    told["/flow_runs/filter"] = server.flow_runs(run_id)
    assert all(told.values())
    assert not holds_secret(json.dumps(told).encode())


def test_traces_find_a_secret_in_base64_wherever_it_stands() -> None:
    for before in range(7):
        text = b"x" * before + FakeIBMQuantum.token.encode()
        assert holds_secret(base64.b64encode(text))
    assert not holds_secret(base64.b64encode(b"x" * 100))


def test_a_file_with_the_secret_is_found(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "leak").write_text(f"Bearer {FakeIBMQuantum.secret}")
    assert leaks(tmp_path) == ["folder/leak"]


@pytest.mark.guarantee("S4")
def test_no_trouble_that_a_run_survives_shows_the_key(
    line: CommandLine,
    ibm: FakeIBMQuantum,
    own_server: PrefectServer,
    server_home: Path,
    run_id: str,
    key: dict[str, Any],
) -> None:
    for fault, request in SURVIVED:
        ibm.inject(fault, request=request)
    before = len(ibm.requests())

    result, commands = watched(started(line, run_id, key))

    result.well()
    struck = {(seen.fault, seen.kind) for seen in ibm.requests()[before:] if seen.fault}
    assert struck == {*SURVIVED}
    assert_nothing_leaked(line, own_server, server_home, run_id, commands)


@pytest.mark.guarantee("S4")
@pytest.mark.parametrize(("fault", "request_kind"), first_rows(2, FATAL))
def test_no_error_that_ends_a_run_shows_the_key(
    line: CommandLine,
    ibm: FakeIBMQuantum,
    own_server: PrefectServer,
    server_home: Path,
    run_id: str,
    key: dict[str, Any],
    fault: IBMFault,
    request_kind: RequestKind,
) -> None:
    ibm.inject(fault, request=request_kind, times=ALWAYS)

    result, commands = watched(started(line, run_id, key))

    assert result.code != 0
    assert "IBM Quantum" in result.err
    assert_nothing_leaked(line, own_server, server_home, run_id, commands)
