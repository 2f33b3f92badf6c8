"""What pytest gets with this distribution: a store of a test's own. Nothing heavy is imported."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from qcsc_loop.store.directory import DirectoryStore


@pytest.fixture
def run_store(tmp_path: Path) -> DirectoryStore:
    """A store that goes with the test."""
    from qcsc_loop.store.directory import DirectoryStore

    return DirectoryStore(tmp_path / "runs")
