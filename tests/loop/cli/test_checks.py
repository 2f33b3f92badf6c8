"""What a disk alone shows to be wrong, before anything is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from loop.toys import Counting
from qcsc_loop.cli import checks
from qcsc_loop.cli.checks import check_run
from qcsc_loop.cli.driving import Driving
from qcsc_loop.cli.run_request import request_resume
from qcsc_loop.concurrency.loading import class_reference
from qcsc_loop.errors import RunNotFound
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal


@pytest.mark.parametrize("named", [None, class_reference(Counting)])
def test_a_resume_of_a_run_that_a_server_may_have_goes_on_to_ask_it(
    named: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(DirectoryStore(tmp_path), "elsewhere")
    request = request_resume("elsewhere", named, settings=[], machine=None)
    driving = Driving.__new__(Driving)  # nothing of it is asked for where there is no run
    monkeypatch.setattr(checks, "_server_may_know", lambda _: True)
    check_run(request, driving, journal, prefect=True)
    monkeypatch.setattr(checks, "_server_may_know", lambda _: False)
    for prefect in (True, False):
        with pytest.raises(RunNotFound):
            check_run(request, driving, journal, prefect=prefect)
