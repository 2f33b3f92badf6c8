"""Hearing that the job's walltime ends."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from qcsc_hpc.mpi.walltime import UNFINISHED_EXIT, EndOfWalltime


@pytest.fixture(autouse=True)
def _signals_as_before() -> object:
    numbers = (signal.SIGUSR1, signal.SIGUSR2)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
def test_a_signal_is_heard_once_and_told_once(number: signal.Signals) -> None:
    told: list[bool] = []
    with EndOfWalltime(told=lambda: told.append(True)) as end:
        assert not end.is_near
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
        assert end.is_near
    assert told == [True]


def test_a_signal_that_comes_after_the_work_kills_nothing() -> None:
    with EndOfWalltime():
        pass
    os.kill(os.getpid(), signal.SIGUSR1)


def test_a_warning_that_was_there_before_is_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QCSC_JOB_FOLDER", str(tmp_path))
    with EndOfWalltime() as end:
        assert not end.is_near
    (tmp_path / "warned").touch()
    with EndOfWalltime() as end:
        assert end.is_near


def test_who_leaves_has_not_done_its_work() -> None:
    with pytest.raises(SystemExit) as caught, EndOfWalltime() as end:
        end.leave()
    assert caught.value.code == UNFINISHED_EXIT
