"""What Prefect's log of a flow run has of its run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from prefect import flow
from prefect.context import FlowRunContext

from qcsc_loop.events import Trouble
from qcsc_loop.loop.events import IterationCommitted, RunStopped, StepRetried
from qcsc_loop.prefect.run_log import RunLog
from qcsc_loop.rules.reason import Reason
from qcsc_loop.store.records import Commit, EndRecord
from qcsc_loop.values.document import Document
from system.server import PrefectServer

# Prefect asks for its default storage with a client that it does not close
pytestmark = [
    pytest.mark.server,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
INFO, WARNING = 20, 30
LAST = 500


def committed(number: int) -> IterationCommitted:
    commit = Commit(
        iteration=number,
        epoch=1,
        converged=False,
        scalars={"x": float(number)},
        seconds={},
        usage={},
        state_sha256="0" * 64,
    )
    return IterationCommitted(commit, Document(b"{}"))


@flow(persist_result=False)
async def told() -> str:
    """Tells it of a run of milliseconds; returns the flow run's id."""
    log = RunLog()
    log.observe(Trouble("a checkpoint was\x1b[2J damaged"))
    log.observe(StepRetried(1, "sample", "OSError: away", 2.0))
    for number in range(LAST + 1):
        log.observe(committed(number))
    log.observe(RunStopped("x", EndRecord(epoch=1, reason=Reason.CONVERGED, iteration=LAST)))
    context = FlowRunContext.get()
    assert context is not None and context.flow_run is not None
    return str(context.flow_run.id)


def test_it_has_what_went_wrong_and_the_iterations_but_few_of_a_fast_run(
    server: PrefectServer, in_process: Callable[[], Any]
) -> None:
    with in_process():
        flow_run = asyncio.run(told())
    lines = server.log(flow_run)
    assert [text for level, text in lines if level == WARNING] == [
        "a checkpoint was\\x1b[2J damaged",
        "sample of iteration 1 failed (OSError: away); again in 2 s",
    ]
    iterations = [text for _, text in lines if text.startswith("iteration ")]
    assert (iterations[0], iterations[-1]) == ("iteration 0: x = 0", f"iteration {LAST}: x = 500")
    assert len(iterations) < LAST
    assert (INFO, f"converged after {LAST} iterations") in lines
