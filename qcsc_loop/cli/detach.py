"""`run --detach`: a driver that outlives its terminal and whoever started it.

A process of its own session reads nothing and writes to the run's `driver.out`. The one that started
it waits until it holds the run, or says why it does not.
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from qcsc_loop.cli.driving import ATTACHED, NEW_RUN_ID, Driving
from qcsc_loop.cli.typed import say_how_to_type
from qcsc_loop.concurrency.whole_file import is_there
from qcsc_loop.errors import QcscLoopError, RunNotBegun, StoreError
from qcsc_loop.parameters.environment import environment
from qcsc_loop.plain import Json
from qcsc_loop.printing import say, say_json, store_option
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal
from qcsc_loop.store.live import LOG_BYTES
from qcsc_loop.store.records import now, require_run_id

OUTPUT, OLDER_OUTPUT = "driver.out", "driver.1.out"
LOOK_EVERY = 0.1  # seconds
LAST_LINES = 20  # of what a driver with --json said that did not come to its run


@dataclass(frozen=True)
class Detached:
    """A driver on its way to its run.

    Attributes:
        output: what it writes to.
        before: the newest driver's epoch before it.
    """

    process: subprocess.Popen[bytes]
    journal: Journal
    output: Path
    before: int

    def holds(self) -> bool:
        """Whether the run is its."""
        try:
            newest = self.journal.newest_epoch()
            if newest <= self.before:
                return False
            return self.journal.epoch(newest).holder.pid == self.process.pid
        except (QcscLoopError, KeyError):  # half written
            return False

    def until_it_holds(self, say_news: Callable[[list[str]], None]) -> int | None:
        """None once it does; its exit code if it has ended by then."""
        told = 0
        try:
            while (code := self.process.poll()) is None:
                if self.holds():
                    return None
                said = self.said()
                say_news(said[told:])
                told = len(said)
                time.sleep(LOOK_EVERY)
        except KeyboardInterrupt:
            self.process.terminate()
            raise
        say_news(self.said()[told:])
        return code

    def said(self) -> list[str]:
        """The lines that it wrote, but for the head that is not its own."""
        with suppress(OSError):
            whole = self.output.read_bytes().decode(errors="replace").rpartition("\n")[0]
            return whole.splitlines()[1:]
        return []

    def keep_output(self) -> Path:
        """Gives the output the name that it is looked for under; the one before is kept, too."""
        kept = self.output.with_name(OUTPUT)
        with suppress(OSError):
            if is_there(kept):
                kept.replace(kept.with_name(OLDER_OUTPUT))
            self.output.replace(kept)
            return kept
        return self.output


def drive_detached(run_id: str, driving: Driving, *, is_new: bool = False) -> int:
    """Starts a driver in the background; the exit code, once it holds the run or has failed to.

    Args:
        is_new: the id was made for the run.

    Raises:
        InvalidRunId: no folder may have that name.
        StoreError: the run's folder cannot be written to.
    """
    require_run_id(run_id)
    store = DirectoryStore(driving.store or environment().store)
    store.require_own(run_id)
    words = _words(run_id, is_new=is_new)
    driver, output, code = start_detached(store, run_id, words, as_json=driving.as_json)
    if not code:
        _say_where(driver, output, driving, ended=code is not None)
    return code or 0


def start_detached(
    store: DirectoryStore, folder_name: str, words: list[str], *, as_json: bool
) -> tuple[Detached, Path, int | None]:
    """Starts a command in the background; returns once it holds its folder, or has ended.

    Args:
        folder_name: that of a run, or whatever else one driver holds.

    Returns:
        The driver, where it writes, and its exit code if it has ended.
    """
    with _folder(store, folder_name) as folder:
        driver = _start(store, folder, folder_name, words)
        code = driver.until_it_holds(_say_to_stderr if not as_json else _say_nothing)
        held = driver.holds()
        if code and as_json:
            _say_why_not(driver.said())
        output = driver.keep_output() if held else driver.output
        if not held:
            output.unlink(missing_ok=True)
    return driver, output, code


def _start(store: DirectoryStore, folder: Path, run_id: str, words: list[str]) -> Detached:
    journal = Journal(store, run_id)
    # not the name that it has later: another driver may hold the run, and write there
    output = folder / f"driver.{secrets.token_hex(4)}.out"
    head = f"{now():%Y-%m-%d %H:%M:%S} UTC: qcsc-loop {shlex.join(words)}\n"
    store.leave_more(f"{run_id}/{output.name}", head.encode(), "", LOG_BYTES)
    before = journal.newest_epoch()
    with output.open("ab") as written, _hangups_ignored():
        process = subprocess.Popen(
            # -P: this folder is no place for modules unless it was one before
            [sys.executable, "-P", "-m", "qcsc_loop.cli.main", *words],
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=written,
            start_new_session=True,
            # what hooks print is in the file when they have printed it, and in its order
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    return Detached(process, journal, output, before)


def _words(run_id: str, *, is_new: bool) -> list[str]:
    """What was typed, for the one that stays; what comes later goes over what comes first."""
    command, *words = sys.argv[1:]
    option = NEW_RUN_ID if is_new else "--run-id"
    chosen = [option, run_id] if command == "run" else []
    return [command, ATTACHED, *chosen, *words]


@contextmanager
def _folder(store: DirectoryStore, run_id: str) -> Iterator[Path]:
    """The run's folder; where no run came of it, it is as it was before."""
    there = is_there(store.root / run_id)
    try:
        folder = store.folder(run_id)
    except StoreError as error:
        raise RunNotBegun(error.action, error.place, error.why) from error
    try:
        yield folder
    finally:
        if not there and not store.has(f"{run_id}/run"):
            with suppress(OSError):
                folder.rmdir()


@contextmanager
def _hangups_ignored() -> Iterator[None]:
    """What is started here is not told that a terminal has closed."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


def _say_where(driver: Detached, output: Path, driving: Driving, *, ended: bool) -> None:
    run_id, pid = driver.journal.run_id, driver.process.pid
    watch = f"qcsc-loop watch {run_id}{store_option(driving.store)}"
    if driving.as_json:
        facts = {"run_id": run_id, "pid": pid, "output": str(output), "ended": ended}
        say_json({**facts, "watch": watch})
        return
    how = "which has ended; it wrote" if ended else "which writes"
    say(f"{run_id}: driven by process {pid}, {how} to {output}")
    say_how_to_type()
    say(f"  {watch}")


def _say_to_stderr(lines: list[str]) -> None:
    for line in lines:
        say(line, to_stderr=True)


def _say_nothing(lines: list[str]) -> None:
    del lines


def _say_why_not(lines: list[str]) -> None:
    """What a driver with --json said last: its own JSON is the answer."""
    answer = _json(lines[-1]) if lines else None
    _say_to_stderr((lines if answer is None else lines[:-1])[-LAST_LINES:])
    if answer is not None:
        say_json(answer)


def _json(line: str) -> Json | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
