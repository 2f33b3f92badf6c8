"""Whether a supervisor is certainly dead: only where its process's number means something."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from qcsc_hpc.warm.epoch import Epoch
from qcsc_loop.concurrency.process_life import here, start_ticks

NOBODY = 2**22 + 1  # no process has so high a number


def announced(folder: Path, **changed: Any) -> Epoch:
    folder.mkdir()
    epoch = Epoch(folder)
    facts = {"host": here().host, "pid": NOBODY, "start_ticks": 1, "place": asdict(here())}
    epoch.announce({name: value for name, value in (facts | changed).items() if value is not None})
    return epoch


def test_one_whose_process_is_gone_is_dead(tmp_path: Path) -> None:
    assert announced(tmp_path / "1").is_dead


def test_one_whose_process_lives_is_not(tmp_path: Path) -> None:
    pid = os.getpid()
    assert not announced(tmp_path / "1", pid=pid, start_ticks=start_ticks(pid)).is_dead


@pytest.mark.parametrize("part", ["boot", "machine", "pid_namespace"])
def test_one_on_another_machine_of_this_name_is_not_known_to_be(tmp_path: Path, part: str) -> None:
    assert not announced(tmp_path / "1", place=asdict(here()) | {part: "another"}).is_dead


def test_one_of_an_older_version_is_not_known_to_be(tmp_path: Path) -> None:
    assert not announced(tmp_path / "1", place=None, start_ticks=None).is_dead
