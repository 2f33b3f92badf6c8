"""A scheduler's commands that are cut off leave nothing behind: no process, no open pipe."""

from __future__ import annotations

import errno
import gc
import os
import subprocess
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from qcsc_hpc.sites.commands import Commands
from qcsc_loop.errors import SiteUnreachable
from waiting import alive, until_async

HANGS = ["sh", "-c", 'echo $$ > "$0.new"; mv "$0.new" "$0"; sleep 60 & wait']


async def cancelled(pid: Path) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(Commands("a site", 60.0).ask, [*HANGS, str(pid)])
        await until_async(pid.exists, "the command runs")
        group.cancel_scope.cancel()


async def out_of_time(pid: Path) -> None:
    with pytest.raises(SiteUnreachable, match=r"sh gave no answer in 0\.5 s"):
        await Commands("a site", 0.5).ask([*HANGS, str(pid)])


CUT_OFF = pytest.mark.parametrize("cut_off", [cancelled, out_of_time])


@CUT_OFF
def test_a_command_that_is_cut_off_is_killed(
    cut_off: Callable[[Path], Awaitable[None]], tmp_path: Path
) -> None:
    async def main() -> None:
        await cut_off(tmp_path / "pid")
        pid = int((tmp_path / "pid").read_text())
        await until_async(lambda: not alive(pid), "the command is gone")

    anyio.run(main)


@CUT_OFF
def test_a_command_that_is_cut_off_last_of_all_leaves_no_open_pipe(
    cut_off: Callable[[Path], Awaitable[None]], tmp_path: Path
) -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        anyio.run(cut_off, tmp_path / "pid")
        gc.collect()
    assert [str(warning.message) for warning in said] == []


@pytest.mark.parametrize("code", [errno.ENOMEM, errno.EAGAIN, errno.EMFILE])
def test_a_command_for_which_the_login_node_has_nothing_left_is_no_answer(
    code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing_left(*_args: object, **_options: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(subprocess, "Popen", nothing_left)
    with pytest.raises(SiteUnreachable, match=f"sh cannot be started: {os.strerror(code)}"):
        anyio.run(Commands("a site", 60.0).ask, ["sh"])
