"""What holds for every test: where a skip is not allowed, it fails; and the session's real Slurm."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from cluster import packages
from cluster.slurm import SlurmCluster

TESTS = Path(__file__).parent
NO_SKIPS = bool(os.environ.get("QCSC_LOOP_NO_SKIPS"))  # set by .ci/run


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turns a skip into a failure in CI, which can run everything."""
    report = yield
    if NO_SKIPS and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be: {report.longrepr}"
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A file of each folder in turn: those that wait for a scheduler run beside those that compute."""
    turn, files = dict[Path, int](), Counter[str]()
    for item in items:
        if item.path not in turn:
            folder = item.path.relative_to(TESTS).parts[0]
            turn[item.path] = files[folder]
            files[folder] += 1
    items.sort(key=lambda item: turn[item.path])


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
