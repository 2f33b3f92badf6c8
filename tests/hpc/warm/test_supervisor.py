"""Two supervisors of one mailbox: the new one waits for the old, and outlasts one that stands still."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil
import pytest

from qcsc_hpc.warm import small_records as records
from qcsc_hpc.warm.epoch import BEAT, GONE, SERVER
from qcsc_hpc.warm.mailbox import Ended, Mailbox, Request, outcome_in, tries
from qcsc_hpc.warm.orders import END, ORDERS, Orders
from waiting import DEADLINE_SECONDS, until

HERE = Path(__file__).parent
WAITS = """\
import os, sys, time
from pathlib import Path
flags, name = Path(sys.argv[1]), os.environ["NAME"]
(flags / f"began.{os.getpid()}").touch()
while not (flags / "go").exists():
    time.sleep(0.01)
Path("out").write_text("done")
"""


@dataclass
class Serving:
    """A mailbox, and the supervisors that serve it."""

    folder: Path
    started: list[subprocess.Popen[bytes]] = field(default_factory=list[subprocess.Popen[bytes]])

    def __post_init__(self) -> None:
        self.box = Mailbox(self.folder / "mailbox")
        self.box.make()
        (self.folder / "waits.py").write_text(WAITS)

    def start(self, **changes: float) -> subprocess.Popen[bytes]:
        """One more supervisor."""
        place = self.folder / f"job{len(self.started)}"
        place.mkdir()
        orders = Orders(
            mailbox=str(self.box.root),
            launcher=[],
            ranks=1,
            alone=True,
            walltime=changes.get("walltime"),
            reserve=changes.get("reserve", 0.0),
            idle=changes.get("idle", 60.0),
            tries=3,
        )
        records.write_once(place / ORDERS, asdict(orders))
        script = f'exec {sys.executable} -P -m qcsc_hpc.warm.rank "$1"\n'
        (place / "pool.sh").write_text(script)
        words = [sys.executable, "-P", "-m", "qcsc_hpc.warm.supervisor", str(place)]
        path = {"PYTHONPATH": os.pathsep.join([str(self.folder), str(HERE)])}
        with (place / "output.log").open("wb") as log:
            process = subprocess.Popen(
                words, env={**os.environ, **path}, stdout=log, stderr=log, start_new_session=True
            )
        self.started.append(process)
        return process

    def said(self, number: int) -> str:
        return (self.folder / f"job{number}" / "output.log").read_text()

    def ask(self, name: str, **more: object) -> Path:
        folder = self.folder / name
        folder.mkdir()
        request = Request(
            key=f"run/1/evaluate/{name}.0",
            input_sha256=name,
            ranks=1,
            module="waits",
            arguments=[str(self.folder)],
            environment={"NAME": name},
            **more,  # type: ignore[arg-type]
        )
        self.box.post(name, folder, request)
        return folder

    def begun(self) -> int:
        return len(list(self.folder.glob("began.*")))

    def go(self) -> None:
        (self.folder / "go").touch()

    def outcome(self, folder: Path) -> Ended:
        until(lambda: outcome_in(folder), "it has an outcome")
        found = outcome_in(folder)
        assert found is not None
        return found

    def epochs(self) -> int:
        return self.box.newest_epoch()


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    made = Serving(tmp_path)
    yield made
    for process in made.started:
        for child in _below(process.pid):
            with suppress(psutil.NoSuchProcess):
                child.kill()
        process.kill()
        process.wait(DEADLINE_SECONDS)


def _below(pid: int) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).children(recursive=True)
    return []


def exits(process: subprocess.Popen[bytes]) -> Callable[[], bool]:
    return lambda: process.poll() is not None


def test_the_old_one_ends_its_work_before_the_new_one_serves(serving: Serving) -> None:
    old = serving.start()
    work = serving.ask("first")
    until(lambda: serving.begun() == 1, "the work has begun")
    serving.start()
    until(lambda: "a successor is there" in serving.said(0), "the old one has seen it")
    assert serving.epochs() == 1
    later = serving.ask("second")
    serving.go()
    assert serving.outcome(work).place == "try.1.1"
    until(exits(old), "the old one has gone")
    assert old.returncode == 0
    assert serving.outcome(later).place == "try.2.1"


def test_one_that_stood_still_commits_nothing(serving: Serving) -> None:
    old = serving.start()
    work = serving.ask("first")
    until(lambda: serving.begun() == 1, "the work has begun")
    old.send_signal(signal.SIGSTOP)
    serving.start()
    until(lambda: serving.begun() == 2, "the new one has taken the work over")
    assert {(own.epoch, own.void) for own in tries(work)} == {(1, True), (2, False)}
    old.send_signal(signal.SIGCONT)
    until(exits(old), "the old one has gone")
    assert "a newer supervisor serves this mailbox" in serving.said(0)
    assert outcome_in(work) is None
    serving.go()
    assert serving.outcome(work).place == "try.2.2"


def test_one_whose_work_ended_while_it_stood_still_commits_nothing(serving: Serving) -> None:
    """Its ranks went on: their answer waits for it, when it wakes."""
    old = serving.start()
    work = serving.ask("first")
    until(lambda: serving.begun() == 1, "the work has begun")
    old.send_signal(signal.SIGSTOP)
    serving.start()
    until(lambda: serving.begun() == 2, "the new one has taken the work over")
    serving.go()
    until(lambda: (work / "void.1.1" / "out").exists(), "the old one's ranks are done")
    outcome = serving.outcome(work)
    old.send_signal(signal.SIGCONT)
    until(exits(old), "the old one has gone")
    assert serving.outcome(work) == outcome
    assert outcome.place == "try.2.2"


def test_what_does_not_fit_before_the_walltime_is_not_begun(serving: Serving) -> None:
    first = serving.start(walltime=30.0)
    until(lambda: "is ready" in serving.said(0) or "are ready" in serving.said(0), "it serves")
    work = serving.ask("long", seconds=31.0)
    until(exits(first), "it has made room")
    assert "what waits does not fit" in serving.said(0)
    assert list(tries(work)) == []
    serving.go()
    serving.start(walltime=60.0)
    assert serving.outcome(work).place == "try.2.1"


def test_in_its_last_seconds_nothing_is_begun(serving: Serving) -> None:
    first = serving.start(walltime=1000.0, reserve=1001.0)
    work = serving.ask("work")
    until(exits(first), "it has ended")
    assert "its walltime is nearly over" in serving.said(0)
    assert list(tries(work)) == []


def test_one_that_is_told_to_end_ends_its_work(serving: Serving) -> None:
    first = serving.start()
    serving.ask("work")
    until(lambda: serving.begun() == 1, "the work has begun")
    ranks = [p.pid for p in _below(first.pid)]
    (serving.folder / "job0" / END).touch()
    until(exits(first), "it has ended")
    until(lambda: not any(psutil.pid_exists(pid) for pid in ranks), "its ranks are gone")
    assert (serving.box.epoch(1) / GONE).exists()


def test_its_beat_goes_on(serving: Serving) -> None:
    serving.start()
    beat = serving.box.root / "epochs" / "1" / BEAT
    until(beat.exists, "it beats")
    first = records.read(beat)["number"]
    until(lambda: records.read(beat)["number"] > first, "it beats on")
    assert records.read(serving.box.epoch(1) / SERVER)["pid"] == serving.started[0].pid


def test_what_dies_with_the_job_has_not_failed(serving: Serving) -> None:
    """A scheduler sends SIGTERM to all processes of a job, the quick and the slow."""
    first = serving.start()
    work = serving.ask("work")
    until(lambda: serving.begun() == 1, "the work has begun")
    for process in _below(first.pid):
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    first.terminate()
    until(exits(first), "it has ended")
    assert outcome_in(work) is None
    assert serving.box.is_marked("work")
