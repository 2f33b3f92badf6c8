"""Real processes and real servers, each ended by the test or the session that started it."""

from __future__ import annotations

import gc
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

from chromium import Chromium, find_chromium
from qcsc_loop.prefect.server import flush
from system.command_line import Background, CommandLine, command_line, files_below
from system.deployments import Site
from system.server import PrefectServer, running, take_empty_database


@pytest.fixture(scope="session")
def prefect_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prefect's folder for all temporary servers: its database is made once."""
    home = tmp_path_factory.mktemp("prefect-home")
    take_empty_database(home)
    return home


@pytest.fixture
def qcsc_loop(tmp_path: Path, prefect_home: Path) -> Iterator[CommandLine]:
    """The console script, with a store of its own and no Prefect server configured."""
    with command_line(tmp_path / "line", prefect_home) as line:
        yield line


@pytest.fixture
def run_id() -> str:
    """A run id of its own: temporary servers share a database."""
    return f"run-{secrets.token_hex(4)}"


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """A browser for all tests of a session; skipped, and said so, where there is none."""
    program = find_chromium()
    if program is None:
        pytest.skip("there is no browser here: apt-get install chromium")
    browser = Chromium(program, tmp_path_factory.mktemp("chromium"))
    try:
        yield browser
    finally:
        browser.stop()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """One Prefect server for all tests that only talk to it."""
    with running(PrefectServer(tmp_path_factory.mktemp("prefect-server"))) as shared:
        yield shared


@pytest.fixture
def with_server(tmp_path: Path, prefect_home: Path, server: PrefectServer) -> Iterator[CommandLine]:
    """The console script, with that server configured."""
    with command_line(tmp_path / "with-server", prefect_home, **server.settings) as line:
        yield line


@pytest.fixture
def in_process_of(tmp_path: Path) -> Callable[[PrefectServer], Any]:
    """Prefect's settings for a server in this process, for as long as a block lasts."""

    @contextmanager
    def settings(server: PrefectServer) -> Iterator[None]:
        home = tmp_path / "prefect"
        with temporary_settings({PREFECT_API_URL: server.url, PREFECT_HOME: home}):
            yield
            flush()  # or Prefect would send its last lines when the server is gone, for a minute
            gc.collect()  # what Prefect left open is this test's, not a later one's

    return settings


@pytest.fixture
def in_process(
    server: PrefectServer, in_process_of: Callable[[PrefectServer], Any]
) -> Callable[[], Any]:
    """The same for the one server."""
    return lambda: in_process_of(server)


@pytest.fixture(scope="module")
def fragile_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """A server to be killed and started again."""
    fragile = PrefectServer(tmp_path_factory.mktemp("fragile-server"))
    try:
        yield fragile
    finally:
        fragile.stop()


@pytest.fixture
def nothing_left(qcsc_loop: CommandLine) -> Iterator[None]:
    """Whatever the test does leaves no file in the store."""
    yield
    assert files_below(qcsc_loop.store) == []


@pytest.fixture(scope="module")
def worker(site: Site) -> Background:
    """A worker of the pool of the module's site."""
    return site.worker()


@pytest.fixture(scope="module")
def supervisor(site: Site) -> Background:
    """A supervisor of the runs of the module's site."""
    return site.supervisor()
