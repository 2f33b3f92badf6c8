"""What TensorBoard reads of a run, read back by the library that writes it."""

from __future__ import annotations

import importlib
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loop.reports.stored_runs import StoredRun, energies
from qcsc_loop.rules.reason import Reason
from qcsc_loop.tracking import following as module
from qcsc_loop.tracking.following import Following
from qcsc_loop.tracking.tensorboard import TensorBoardTracker

pytest.importorskip("tensorboardX")


def events(folder: Path) -> Iterator[Any]:
    """All events of a folder: records of a length, its check, the event and its check."""
    kind: Any = importlib.import_module("tensorboardX.proto.event_pb2")

    for file in sorted(folder.iterdir()):
        content = file.read_bytes()
        while content:
            (size,) = struct.unpack("<Q", content[:8])
            yield kind.Event.FromString(content[12 : 12 + size])
            content = content[16 + size :]


def scalars(folder: Path, tag: str) -> list[tuple[int, Any, float]]:
    return [
        (event.step, pytest.approx(value.simple_value), event.wall_time)
        for event in events(folder)
        for value in event.summary.value
        if value.tag == tag and value.HasField("simple_value")
    ]


def test_it_has_each_iteration_once_at_its_own_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QCSC_LOOP_TENSORBOARD", str(tmp_path / "boards"))
    monkeypatch.setattr(module, "find_tracker", lambda _name: TensorBoardTracker)
    run = StoredRun(tmp_path / "store").driver(reason=Reason.CONVERGED).history(energies(4))
    for _ in range(2):
        Following(run.store, run.run_id, "tensorboard").look()
    folder, commits = tmp_path / "boards" / "water", run.journal.history()
    expected = [(c.iteration, c.scalars["energy"], c.committed.timestamp()) for c in commits]
    assert scalars(folder, "energy") == expected
    assert [value for _, value, _ in scalars(folder, "spent/shots")] == [1000, 2000, 3000, 4000]
    texts = b"".join(event.SerializeToString() for event in events(folder))
    assert b"converged after" in texts
    assert b'"seed": 7' in texts
