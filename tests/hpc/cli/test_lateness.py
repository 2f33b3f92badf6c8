"""How late a machine sees what a node has written: by a listing, and by a name asked for in vain."""

from __future__ import annotations

import threading
from pathlib import Path

import anyio
import pytest

from qcsc_hpc.cli.lateness import Lateness, measure_lateness
from qcsc_hpc.mpi.echo import answer
from qcsc_loop.steps.step import JOB_SUFFIX

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_a_disk_that_both_are_on_is_measured_there_and_back(tmp_path: Path) -> None:
    folder = tmp_path / f"echo{JOB_SUFFIX}"
    folder.mkdir()
    node = threading.Thread(target=answer, args=[folder])
    node.start()
    with anyio.fail_after(60):
        late = await measure_lateness(tmp_path)
        await anyio.to_thread.run_sync(node.join)  # it has been told to stop
    assert late.is_bearable
    assert None not in (late.listed, late.asked)


@pytest.mark.parametrize(
    ("late", "said"),
    [
        (Lateness(0.04, 0.06), "seen here after 0.04 s, there and back"),
        (Lateness(0.04, 30.2), "after 30 s by a name that was asked for in vain before: this disk"),
        (Lateness(0.04, None), "not in 90 s by a name that was asked for in vain"),
        (Lateness(None, None), "a file of a node is not seen here in 90 s"),
    ],
    ids=str,
)
def test_a_delay_is_said_in_a_sentence(late: Lateness, said: str) -> None:
    assert said in str(late)
    assert late.is_bearable is (late.listed is not None)
