"""The session's Slurm."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from cluster import packages
from cluster.slurm import SlurmCluster


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    """A real Slurm, started once and stopped at the end; skipped, and said so, where it cannot."""
    if os.geteuid() != 0:
        pytest.skip("a real Slurm needs root")
    if missing := packages.missing():
        pytest.skip(f"{missing[0]} is missing: sudo python3 tests/cluster/slurm.py install")
    cluster = SlurmCluster(tmp_path_factory.mktemp("slurm"))
    cluster.start()
    yield cluster
    cluster.stop()
