"""One driver per run: claimed, refused, taken over."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from loop.toys import Counting, Trap, command, environment
from qcsc_loop.concurrency.process_life import Life, start_ticks
from qcsc_loop.errors import RunLocked
from qcsc_loop.rules.reason import Reason
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal, Lease
from qcsc_loop.store.lease import life_of_holder, new_holder
from qcsc_loop.store.memory import MemoryStore
from qcsc_loop.store.records import EndRecord, EpochRecord, Holder, RunRecord, Settings
from qcsc_loop.store.store import Store
from qcsc_loop.values.document import Document
from thorough import first
from waiting import DEADLINE_SECONDS, line_count, until

SETTINGS = Settings(algorithm="package.module:Class")
LONG, SHORT = 600.0, 0.05

HOLDER = """
import sys
from pathlib import Path
from qcsc_loop.errors import RunLocked
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal
from qcsc_loop.store.records import Settings
journal = Journal(DirectoryStore(sys.argv[1]), "run-1")
print("ready", flush=True)
while not Path(sys.argv[2]).exists():
    pass
try:
    lease = journal.claim(Settings(algorithm="a:B"), {}, 600.0)
except RunLocked:
    print("refused", flush=True)
else:
    print(f"epoch {lease.epoch}", flush=True)
sys.stdin.read()
"""


@pytest.fixture(params=["memory", "directory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return DirectoryStore(tmp_path / "store") if request.param == "directory" else MemoryStore()


@pytest.fixture
def journal(store: Store) -> Journal:
    return created(store)


@pytest.fixture
def on_disk(tmp_path: Path) -> Journal:
    return created(DirectoryStore(tmp_path / "store"))


def created(store: Store) -> Journal:
    journal = Journal(store, "run-1")
    journal.create(RunRecord(run_id="run-1", seed=0, settings=SETTINGS))
    return journal


@contextmanager
def claimed(journal: Journal, lease_seconds: float = LONG) -> Iterator[Lease]:
    lease = journal.claim(SETTINGS, {}, lease_seconds)
    try:
        yield lease
    finally:
        lease.release(None)


@contextmanager
def another_process(journal: Journal, go: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process, ready to claim the run as soon as the file `go` is there."""
    arguments = [sys.executable, "-c", HOLDER, journal.store.place, str(go)]
    with subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert said(process) == "ready"
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@contextmanager
def held_elsewhere(journal: Journal, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the run."""
    (tmp_path / "go").touch()
    with another_process(journal, tmp_path / "go") as process:
        assert said(process) == "epoch 1"
        yield process


def left_by(journal: Journal, holder: Holder, lease_seconds: float) -> EpochRecord:
    """The first driver's record and sign of life, as that holder would have left them."""
    record = EpochRecord(epoch=1, holder=holder, lease_seconds=lease_seconds, settings=SETTINGS)
    journal.store.touch("run-1/epochs/0001.beat")
    journal.store.create("run-1/epochs/0001", Document(record.model_dump_json().encode()))
    return record


def on_another_host() -> Holder:
    return new_holder().model_copy(update={"host": "another-host"})


# claiming


def test_each_driver_has_the_next_epoch(journal: Journal) -> None:
    epochs = []
    for _ in range(3):
        lease = journal.claim(SETTINGS, {}, LONG)
        epochs.append(lease.epoch)
        lease.release(EndRecord(epoch=lease.epoch, reason=Reason.CONVERGED, iteration=1))
    assert epochs == [1, 2, 3]


def test_the_record_names_the_process_that_holds_the_run(journal: Journal) -> None:
    with claimed(journal):
        (record,) = journal.epochs()
    assert (record.holder.host, record.holder.pid) == (socket.gethostname(), os.getpid())


def test_a_run_that_is_held_has_seconds_left(journal: Journal) -> None:
    with claimed(journal) as lease:
        assert 0 < journal.hold(lease.record).seconds <= LONG


# refused


def test_a_second_claim_in_the_same_process_is_refused(journal: Journal) -> None:
    with claimed(journal), pytest.raises(RunLocked):
        journal.claim(SETTINGS, {}, LONG)


def test_a_refused_claim_leaves_no_epoch(journal: Journal) -> None:
    with claimed(journal):
        with pytest.raises(RunLocked):
            journal.claim(SETTINGS, {}, LONG)
        assert journal.newest_epoch() == 1


def test_a_claim_while_another_process_lives_names_who_holds_the_run(
    on_disk: Journal, tmp_path: Path
) -> None:
    before = datetime.now(UTC)
    with held_elsewhere(on_disk, tmp_path) as process, pytest.raises(RunLocked) as caught:
        on_disk.claim(SETTINGS, {}, LONG)
    error = caught.value
    assert (error.run_id, error.host, error.pid) == ("run-1", socket.gethostname(), process.pid)
    assert before <= error.since <= datetime.now(UTC)


def test_a_refusal_says_in_words_who_holds_the_run_and_what_to_do(
    on_disk: Journal, tmp_path: Path
) -> None:
    with held_elsewhere(on_disk, tmp_path) as process, pytest.raises(RunLocked) as caught:
        on_disk.claim(SETTINGS, {}, LONG)
    since = f"{caught.value.since.astimezone():%Y-%m-%d %H:%M:%S}"
    assert str(caught.value).startswith(
        f"run 'run-1' is being driven by process {process.pid} on {socket.gethostname()} "
        f"since {since}; stop that one first."
    )


def test_a_claim_is_refused_while_a_driver_on_another_host_gives_signs_of_life(
    journal: Journal,
) -> None:
    left_by(journal, on_another_host(), LONG)
    with pytest.raises(RunLocked, match="on another-host since") as caught:
        journal.claim(SETTINGS, {}, LONG)
    assert 0 < caught.value.free_in <= LONG


@pytest.mark.guarantee("G20")
def test_a_driver_in_another_pid_namespace_is_not_taken_for_dead(journal: Journal) -> None:
    gone = Holder(host=socket.gethostname(), pid=2**22 + 1, pid_started=0, pid_namespace="pid:[1]")
    left_by(journal, gone, LONG)
    with pytest.raises(RunLocked):
        journal.claim(SETTINGS, {}, LONG)


# taken over


@pytest.mark.guarantee("G20")
def test_a_run_is_free_at_once_when_its_driver_was_killed(on_disk: Journal, tmp_path: Path) -> None:
    with held_elsewhere(on_disk, tmp_path) as process:
        process.kill()
        process.wait(DEADLINE_SECONDS)
    with claimed(on_disk) as lease:
        assert lease.epoch == 2


def test_a_run_is_free_at_once_when_its_driver_is_a_zombie(
    on_disk: Journal, tmp_path: Path
) -> None:
    with held_elsewhere(on_disk, tmp_path) as process:
        process.kill()
        child = psutil.Process(process.pid)
        until(lambda: child.status() == psutil.STATUS_ZOMBIE, "the killed driver is a zombie")
        with claimed(on_disk) as lease:
            assert lease.epoch == 2


def test_a_run_is_free_when_its_driver_has_ended(journal: Journal) -> None:
    left_by(journal, on_another_host(), LONG)
    end = EndRecord(epoch=1, reason=Reason.MAX_ITERATIONS, iteration=5)
    journal.store.write("run-1/epochs/0001-end", Document(end.model_dump_json().encode()))
    with claimed(journal) as lease:
        assert lease.epoch == 2


def test_a_run_is_free_when_the_lease_of_a_driver_on_another_host_has_run_out(
    journal: Journal,
) -> None:
    record = left_by(journal, on_another_host(), SHORT)
    until(lambda: (journal.store.age("run-1/epochs/0001.beat") or 0) > SHORT, "the lease is over")
    assert journal.hold(record).is_free
    with claimed(journal) as lease:
        assert lease.epoch == 2


def test_a_new_sign_of_life_makes_the_lease_whole_again(journal: Journal) -> None:
    record = left_by(journal, on_another_host(), LONG)
    before = journal.hold(record).seconds
    until(lambda: journal.hold(record).seconds < before, "the lease runs down")
    lower = journal.hold(record).seconds
    journal.store.touch("run-1/epochs/0001.beat")
    assert journal.hold(record).seconds > lower


def test_a_process_with_the_pid_of_a_dead_driver_is_not_the_driver(journal: Journal) -> None:
    here = new_holder()
    reused = here.model_copy(update={"start_ticks": here.start_ticks - 1})
    left_by(journal, reused, LONG)
    with claimed(journal) as lease:
        assert lease.epoch == 2


def of_process(pid: int, **update: object) -> Holder:
    """A driver in another process of this machine."""
    return new_holder().model_copy(update={"pid": pid, "start_ticks": start_ticks(pid), **update})


@contextmanager
def waiting_process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process


def test_a_process_that_has_ended_is_dead() -> None:
    with waiting_process() as process:
        holder = of_process(process.pid)
        assert life_of_holder(holder) is Life.LIVES
    assert life_of_holder(holder) is Life.DEAD


@pytest.mark.guarantee("G20")
def test_a_clock_that_is_set_makes_no_process_dead() -> None:
    with waiting_process() as process:
        holder = of_process(process.pid, pid_started=new_holder().pid_started - 7200)
        assert life_of_holder(holder) is Life.LIVES


@pytest.mark.parametrize("part", ["host", "boot", "machine", "pid_namespace"])
def test_of_a_process_anywhere_else_nothing_is_known(part: str) -> None:
    """Names of hosts and numbers of namespaces repeat: the initial one's is the same everywhere."""
    assert life_of_holder(of_process(2**22 + 1, start_ticks=1)) is Life.DEAD
    elsewhere = of_process(2**22 + 1, start_ticks=1, **{part: "another"})
    assert life_of_holder(elsewhere) is Life.UNKNOWN


def test_of_a_driver_of_an_older_version_nothing_is_known() -> None:
    older = Holder(
        host=socket.gethostname(),
        pid=2**22 + 1,
        pid_started=0.0,
        pid_namespace=new_holder().pid_namespace,
    )
    assert life_of_holder(older) is Life.UNKNOWN


@pytest.mark.guarantee("G20")
def test_a_process_that_may_not_be_seen_is_not_taken_for_dead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As under /proc with hidepid=2, where another user's processes are not to be seen."""

    def refused(pid: int, number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refused)
    assert life_of_holder(of_process(2**22 + 1, start_ticks=1)) is Life.UNKNOWN


def test_a_driver_of_this_process_that_could_not_write_its_end_is_over(journal: Journal) -> None:
    lease = journal.claim(SETTINGS, {}, LONG)
    lease.release(None)
    with claimed(journal) as next_one:
        assert next_one.epoch == 2


def test_a_process_that_lives_here_keeps_its_run_when_its_lease_has_run_out(
    on_disk: Journal, tmp_path: Path
) -> None:
    with waiting_process() as process:
        record = left_by(on_disk, of_process(process.pid), SHORT)
        until(lambda: not on_disk.hold(record).seconds, "the lease is over")
        with pytest.raises(RunLocked) as caught:
            on_disk.claim(SETTINGS, {}, LONG)
        assert str(caught.value).endswith(
            "stop that one first. It lives: end it, or take the run over from it: "
            "qcsc-loop resume run-1 --take-over"
        )


def test_a_run_is_taken_over_from_a_process_that_lives_if_asked_to(
    on_disk: Journal, tmp_path: Path
) -> None:
    with held_elsewhere(on_disk, tmp_path):
        lease = on_disk.claim(SETTINGS, {}, LONG, take_over=True)
        assert lease.epoch == 2
        lease.release(None)


def test_a_sign_of_life_from_the_future_is_counted_from_when_it_is_seen(on_disk: Journal) -> None:
    record = left_by(on_disk, on_another_host(), SHORT)
    beat = Path(on_disk.store.place, "run-1/epochs/0001.beat")
    future = beat.stat().st_mtime + 7200
    os.utime(beat, (future, future))
    assert on_disk.hold(record).seconds <= SHORT
    until(lambda: on_disk.hold(record).is_free, "the lease is over")


@pytest.mark.parametrize("repetition", first(1, range(3)))
def test_of_processes_that_claim_at_once_one_wins(
    on_disk: Journal, tmp_path: Path, repetition: int
) -> None:
    go = tmp_path / "go"
    with another_process(on_disk, go) as one, another_process(on_disk, go) as other:
        go.touch()
        assert sorted([said(one), said(other)]) == ["epoch 1", "refused"]


@pytest.mark.guarantee("G18")
def test_of_processes_that_take_over_at_once_one_wins(on_disk: Journal, tmp_path: Path) -> None:
    here = new_holder()
    left_by(on_disk, here.model_copy(update={"start_ticks": here.start_ticks - 1}), LONG)
    go = tmp_path / "go"
    with another_process(on_disk, go) as one, another_process(on_disk, go) as other:
        go.touch()
        assert sorted([said(one), said(other)]) == ["epoch 2", "refused"]


# signs of life


def beats(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


@pytest.mark.guarantee("G21")
def test_a_hook_that_blocks_the_event_loop_does_not_stop_the_signs_of_life(tmp_path: Path) -> None:
    trace, release = tmp_path / "trace", tmp_path / "release"
    trap = Trap(hook="sample", iteration=1, does="block", until=str(release))
    toy = Counting(trace=str(trace), trap=trap)
    beat = tmp_path / "store" / "run-1" / "epochs" / "0001.beat"
    with subprocess.Popen(
        command(tmp_path / "store", "run-1", 2, toy),
        env={**environment(), "QCSC_LOOP_LEASE_SECONDS": "0.1"},
        stdout=subprocess.DEVNULL,
    ) as process:
        try:
            until(lambda: line_count(trace) == 2, "the hook blocks")
            for _ in range(3):
                last = beats(beat)
                until(lambda: beats(beat) > last, "there is another sign of life")  # noqa: B023
            assert line_count(trace) == 2
            release.touch()
            assert process.wait(DEADLINE_SECONDS) == 0
        finally:
            process.kill()
