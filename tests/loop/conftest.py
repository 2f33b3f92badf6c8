"""The stores that the loop's tests run over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.memory import MemoryStore
from qcsc_loop.store.store import Store


@pytest.fixture(params=["memory", "directory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Every backend in turn; a further one is a line in each of these two."""
    if request.param == "directory":
        yield DirectoryStore(tmp_path / "store")
    else:
        memory = MemoryStore()
        yield memory
        memory.close()
