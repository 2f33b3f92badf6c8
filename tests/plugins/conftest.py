"""What other distributions offer, in this process and in others."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from hpc.places import Hook, Programs  # noqa: TID251  # the folder of tests
from plugins.flux import FluxInstance
from plugins.installed import install
from system.command_line import CommandLine, command_line


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def all_installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for `sys.path` with every distribution that works."""
    site = tmp_path_factory.mktemp("site-packages")
    for name in ("flux_scheduler", "biased_sampler", "campus_machine", "lab_tools", "line_tracker"):
        install(name, site)
    return site


@pytest.fixture
def here(all_installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are installed for this process."""
    monkeypatch.syspath_prepend(str(all_installed))


@pytest.fixture
def line_with(tmp_path: Path) -> Iterator[Callable[..., CommandLine]]:
    """The console script where these distributions are installed as well."""

    with ExitStack() as opened:

        def made(*names: str) -> CommandLine:
            site = tmp_path / "site-packages"
            site.mkdir()
            for name in names:
                install(name, site)
            path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
            line = command_line(tmp_path / "line", tmp_path / "prefect", PYTHONPATH=path)
            return opened.enter_context(line)

        yield made


@pytest.fixture
def flux(here: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FluxInstance]:
    """A Flux instance, and the scheduler for it."""
    instance = FluxInstance(tmp_path / "flux")
    for name, value in instance.environment.items():
        monkeypatch.setenv(name, value)
    yield instance
    instance.stop()


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    folder = tmp_path / "programs"
    folder.mkdir()
    return Programs(folder)


@pytest.fixture
def hook(tmp_path: Path) -> Hook:
    return Hook(tmp_path / "store")
