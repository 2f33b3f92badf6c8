"""The Prefect server that all readers share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from system.server import PrefectServer


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """One for all pages."""
    shared = PrefectServer(tmp_path_factory.mktemp("prefect-server"))
    try:
        shared.start()
        yield shared
    finally:
        shared.stop()
