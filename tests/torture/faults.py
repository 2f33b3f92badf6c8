"""The faults: what each does to a run at a write boundary, and how the run goes on."""

from __future__ import annotations

import errno
import re
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torture.point import Ground, Point
from torture.power import disk, why_no_disk
from torture.sites import Spoilt
from torture.trial import LAST_LIVES, Trial, Wrong

LOST_LEASE = 3
HOURS_3 = 3 * 3600
OUTAGE_SECONDS = 1.0
DEATHS = 5
LATE_SECONDS = 1.5  # until what arrives late has arrived

Play = Callable[[Trial], None]
Fits = Callable[[Ground, Point], bool]


@dataclass(frozen=True)
class Fault:
    """One.

    Attributes:
        fits: whether it can happen at a point.
        play: has it happen, and the run go on to its end.
    """

    name: str
    fits: Fits
    play: Play


FAULTS: dict[str, Fault] = {}


def anywhere(_ground: Ground, _point: Point) -> bool:
    return True


def _fault(name: str, fits: Fits = anywhere) -> Callable[[Play], Play]:
    def add(play: Play) -> Play:
        FAULTS[name] = Fault(name, fits, play)
        return play

    return add


def _is_file(_ground: Ground, point: Point) -> bool:
    """Whether there is an operation of a file at the boundary."""
    return point.what.rpartition("/")[2] != "submit"


def _faked(ground: Ground, _point: Point) -> bool:
    """Whether it is told to answer otherwise than it should."""
    return ground.stack not in ("service", "local", "slurm")


def _served(ground: Ground, _point: Point) -> bool:
    return ground.store == "artifacts"


# killed


@_fault("driver killed")
def _driver_killed(trial: Trial) -> None:
    trial.hurt("die")
    trial.ends()


@_fault("driver killed, and the next one")
def _killed_twice(trial: Trial) -> None:
    trial.hurt("die")
    trial.lives_on("die")  # where it comes by the same boundary
    trial.ends()


@_fault("driver killed, and those after it")
def _killed_again_and_again(trial: Trial) -> None:
    trial.hurt("die")
    trial.dies_later(DEATHS - 1)
    trial.ends()


@_fault(
    "driver and jobs killed",
    lambda ground, _: (
        ground.stack in ("slurm", "pbs", "pjm", "miyabi") and ground.placement != "warm"
    ),
)
def _all_killed(trial: Trial) -> None:
    trial.hurt("die")
    killed = trial.place.site.kill_jobs(trial.run_id)
    trial.kills += killed
    trial.allowed += 0 if trial.place.site.requeues else killed
    trial.ends(LAST_LIVES)


@_fault("server killed", _served)
def _server_killed(trial: Trial) -> None:
    server = trial.place.server
    assert server is not None
    living = trial.begins_to_be_hurt("stand still")
    if living.until_it_stands_still():
        server.kill()
        trial.kills += 1
        living.send(signal.SIGCONT)
    try:
        living.wait()
    finally:
        server.start()
    trial.ends()


# the disk says no


def _disk(name: str, does: str, error: int) -> None:
    @_fault(name, _is_file)
    def _fails(trial: Trial) -> None:
        code = trial.hurt("fail once" if does == "once" else "fail on", error=error)
        if code < 0:
            raise Wrong(f"the driver died of {errno.errorcode[error]}: {code}")
        trial.ends()


_disk("EIO once", "once", errno.EIO)
_disk("EIO from there on", "on", errno.EIO)
_disk("disk full", "on", errno.ENOSPC)
_disk("disk read-only", "on", errno.EROFS)


# power cuts: what was not synced is not there, or is half there


def _unsynced(_ground: Ground, point: Point) -> bool:
    return point.stage in ("written", "named") and _is_file(_ground, point)


def _cut(name: str, spoil: Callable[[bytes], bytes | None]) -> None:
    @_fault(name, _unsynced)
    def _power(trial: Trial) -> None:
        before = _contents(trial.run_folder)
        trial.hurt("die")
        assert trial.point is not None
        if trial.place.ground.placement == "chain":
            before = {}
        _spoil_newest(trial, before, spoil)
        trial.ends()


def _contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _spoil_newest(
    trial: Trial, before: dict[Path, bytes], spoil: Callable[[bytes], bytes | None]
) -> None:
    """Of what the driver was writing when it died: a line, a temporary file, or a name."""
    assert trial.point is not None
    if trial.point.what.rpartition("/")[2] == "history" or "job." in trial.point.what:
        log = "history.jsonl" if trial.point.what.endswith("history") else "jobs.jsonl"
        path = trial.run_folder / log
        if path.exists() and trial.point.stage == "written":
            whole = path.read_bytes()
            start = whole.rstrip(b"\n").rfind(b"\n") + 1
            path.write_bytes(whole[:start] + (spoil(whole[start:]) or b""))
        return
    files = [path for path in trial.run_folder.rglob("*") if path.is_file()]
    fresh = [path for path in files if path not in before and not path.name.endswith(".beat")]
    if not fresh:
        return
    newest = max(fresh, key=lambda path: path.stat().st_mtime_ns)
    content = newest.read_bytes()
    if trial.point.stage == "named":
        newest.unlink()  # its content is synced, and its name is not
    elif (left := spoil(content)) is not None:
        newest.write_bytes(left)
    else:
        newest.unlink()


_cut("power cut: unsynced is gone", lambda _: None)
_cut("power cut: unsynced is zeroes", lambda content: bytes(len(content)))
_cut("power cut: unsynced is half", lambda content: content[: len(content) // 2])


# the same on real file systems, whatever of the driver's and its jobs' files they have not written


def _power_lost(name: str, kind: str, options: str, seconds: float = 0.0) -> None:
    def has_disk(ground: Ground, _point: Point) -> bool:
        here = ground.stack in ("service", "local", "ibm") and ground.placement != "warm"
        return here and ground.store == "directory" and why_no_disk(kind) is None

    @_fault(name, has_disk)
    def _lost(trial: Trial) -> None:
        lost = trial.afterwards.enter_context(disk(trial.folder / "disk", kind, options))
        trial.disk = lost.folder
        trial.hurt("die")
        time.sleep(seconds)  # the file system writes what it likes best first
        lost.cut()
        trial.ends()


_power_lost("power lost on ext4", "ext4", "defaults")
# its journal is written at once, and what is in files much later: names without contents
_power_lost("power lost on ext4, data late", "ext4", "data=writeback,noauto_da_alloc,commit=1", 1.2)
_power_lost("power lost on xfs", "xfs", "defaults")
_power_lost("power lost on btrfs", "btrfs", "defaults")


# what had been durable is damaged


def _has_one_before(_ground: Ground, point: Point) -> bool:
    """Whether the checkpoint is not the first: without any the run has nothing to go on from."""
    return point.stage == "durable" and "checkpoint" in point.what and bool(point.iteration)


def _damage(name: str, spoil: Callable[[bytes], bytes | None]) -> None:
    @_fault(name, _has_one_before)
    def _rots(trial: Trial) -> None:
        trial.hurt("die")
        newest = sorted((trial.run_folder / "checkpoints").glob("*.json"))[-1:]
        for path in newest:
            if (left := spoil(path.read_bytes())) is None:
                path.unlink()
            else:
                path.write_bytes(left)
        trial.ends()


_damage("newest checkpoint gone", lambda _: None)
_damage("newest checkpoint zeroed", lambda content: bytes(len(content)))
_damage("newest checkpoint cut", lambda content: content[: len(content) // 2])


# the clock


def _clock(name: str, seconds: int) -> None:
    @_fault(name)
    def _wrong(trial: Trial) -> None:
        trial.hurt("die")
        if trial.lives_on(clock=seconds) != 0:
            raise Wrong(f"with its clock {seconds} s off it says: {trial.sentence}")
        trial.ends()


_clock("clock 3 h forward", HOURS_3)
_clock("clock 3 h back", -HOURS_3)


# two drivers


def _can_be_overtaken(_ground: Ground, point: Point) -> bool:
    """Whether there is a driver, who is to find out that it is no longer the run's.

    A submission that is on its way when it freezes cannot be called back: its job ends at its fence
    (test_killed_jobs).
    """
    if point.what == "driver":
        return point.stage in ("named", "durable")
    return point.what not in ("run", "end") and "submit/before" not in point.boundary


@_fault("driver frozen, overtaken and woken", _can_be_overtaken)
def _overtaken(trial: Trial) -> None:
    stale = trial.begins_to_be_hurt("stand still")
    if not stale.until_it_stands_still():
        trial.ends()
        return
    if trial.lives_on(take_over=True) != 0:
        raise Wrong(f"the driver that takes over fails: {trial.sentence}")
    before, jobs, states = _kept(trial), trial.jobs(), trial.states()
    stale.send(signal.SIGCONT)
    code = stale.wait()
    if code not in (0, LOST_LEASE):  # 0: it was at its end, or finds that the other one was
        raise Wrong(f"the overtaken driver ends with {code} instead of {LOST_LEASE}")
    if (changed := _kept(trial)) != before:
        names = sorted(str(path) for path in changed.keys() ^ before.keys())
        raise Wrong(f"the overtaken driver has written: {names or 'into files of the other'}")
    # a line that it was about to write says nothing new
    if [job.state for job in trial.jobs()] != [job.state for job in jobs]:
        raise Wrong(f"the overtaken driver has changed what is known of jobs: {trial.jobs()}")
    if trial.states() != states:
        raise Wrong("the overtaken driver has changed what was committed")
    trial.ends()


def _kept(trial: Trial) -> dict[Path, bytes]:
    """What a run relies on."""
    left_out = re.compile(
        r"\.beat$|-superseded\.json$|/work/|/warm/|live\.json|chart\.json|\.jsonl$"
    )
    kept = _contents(trial.run_folder)
    relied = {path: body for path, body in kept.items() if not left_out.search(str(path))}
    return {
        path: body
        for path, body in relied.items()
        # what it had begun to write has a name that nobody reads, or its own driver's number
        if not path.name.startswith(".") and ".e0001." not in f"{path.name}."
    }


# the site


def _spoilt(name: str, how: Spoilt, fits: Fits = _faked) -> None:
    @_fault(name, fits)
    def _spoils(trial: Trial) -> None:
        trial.place.site.spoil(how)
        trial.hurt("die")
        trial.ends(LAST_LIVES)
        time.sleep(LATE_SECONDS if how == "late" else 0)  # for what would come too late


def _ibm(ground: Ground, _point: Point) -> bool:
    return ground.stack == "ibm"


def _faked_or_paid(ground: Ground, point: Point) -> bool:
    return ground.stack == "service" or _faked(ground, point)


_spoilt("a submission whose answer is lost", "unclear", _faked_or_paid)
_spoilt("a submission that arrives late", "late", _faked_or_paid)
_spoilt("answers that are cut off", "garbage")
_spoilt("questions that are refused", "refuses", _faked_or_paid)
_spoilt(
    "accounting that lags, answers in part", "lags", lambda g, p: _faked(g, p) and not _ibm(g, p)
)
_spoilt("network drops in a poll", "drops", _ibm)


def _goes_away(ground: Ground, _point: Point) -> bool:
    return ground.stack != "local"


@_fault("site away", _goes_away)
def _away(trial: Trial) -> None:
    living = trial.begins_to_be_hurt("stand still")
    if living.until_it_stands_still():
        with trial.place.site.outage():
            living.send(signal.SIGCONT)
            time.sleep(OUTAGE_SECONDS)  # it is away for so long, whatever the driver does meanwhile
    living.wait()
    trial.ends(LAST_LIVES)


# another disk


@_fault("the other disk", _served)
def _other_disk(trial: Trial) -> None:
    trial.hurt("die")
    server = trial.place.server
    assert server is not None
    if server.artifacts(f"{trial.run_id}-run"):
        trial.elsewhere = trial.folder / "other"
    trial.ends()


# elsewhere a job may be out whose folder is lost with the disk, and the resume says so
@_fault(
    "the disk lost",
    lambda ground, point: _served(ground, point) and ground.stack == "local",
)
def _disk_lost(trial: Trial) -> None:
    trial.hurt("die")
    server = trial.place.server
    assert server is not None
    if server.artifacts(f"{trial.run_id}-run"):
        shutil.rmtree(trial.run_folder, ignore_errors=True)
    trial.ends()
