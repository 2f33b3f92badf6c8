"""Members of a sweep as flow runs: what needs no server to be known."""

from __future__ import annotations

from pathlib import Path

import anyio

from loop.sweeping.walks import Walk
from qcsc_loop.deployments.sweeping import done_before
from qcsc_loop.rules.reason import Reason
from qcsc_loop.rules.stop import MaxIterations, Shots
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal


def test_a_member_that_ended_by_the_same_limits_is_not_driven_again(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    journal = Journal(store, "down")
    assert done_before(journal, MaxIterations(2)) is None
    anyio.run(lambda: Walk().run(store=store, run_id="down", stop=MaxIterations(2)))
    came = done_before(journal, MaxIterations(2))
    assert came is not None and (came.reason, came.iteration) == (Reason.MAX_ITERATIONS, 2)
    assert done_before(journal, MaxIterations(3)) is None
    assert done_before(journal, MaxIterations(2) | Shots(1000)) == came
    assert done_before(journal, MaxIterations(3) | Shots(1000)) is None
