"""What holds for every test: where a skip is not allowed, it fails."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

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
