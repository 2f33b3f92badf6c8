"""What `gc` finds and removes; and what it never touches, wherever it is killed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from loop.exactly_once.toy_site import UID, Service
from qcsc_loop.algorithm import IterativeAlgorithm
from qcsc_loop.errors import RunNotFound
from qcsc_loop.jobs.entries import Intent
from qcsc_loop.jobs.key import JobKey
from qcsc_loop.jobs.ledger import Ledger
from qcsc_loop.loop.outcome import Outcome
from qcsc_loop.moving.forking import Fork, fork_run
from qcsc_loop.rules.stop import MaxIterations
from qcsc_loop.sampling.replay import ReplaySampler
from qcsc_loop.steps.step import current_step
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal
from qcsc_loop.tidying import Found, Kind, Rules, find_rubbish, remove
from qcsc_loop.values.record import State

RUN = "untidy"
NOW = Rules(older=timedelta(0))
LONG_AGO = 1_000_000_000


class Sum(State):
    total: float = 0.0


class Untidy(IterativeAlgorithm[Sum, float, float]):
    """Adds random numbers, leaves a file in every step, and fails where it is told to."""

    fails_at: int = 0
    replay: ReplaySampler | None = None

    async def initialize(self) -> Sum:
        return Sum()

    async def sample(self, state: Sum) -> float:
        (current_step().work_dir / "note").write_text("x" * 1000)
        return float(current_step().rng.random())

    async def evaluate(self, state: Sum, samples: float) -> float:
        (current_step().work_dir / "note").write_text("y" * 1000)
        if current_step().iteration == self.fails_at:
            raise ValueError
        return samples

    async def update(self, state: Sum, evaluation: float) -> Sum:
        return Sum(total=state.total + evaluation)


@pytest.fixture
def disk(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "store")


def drive(disk: DirectoryStore, limit: int, run_id: str = RUN, **more: Any) -> Outcome[Sum]:
    options = {name: more.pop(name) for name in ("keep",) if name in more}
    run, stop = Untidy(**more).run, MaxIterations(limit)
    return anyio.run(lambda: run(store=disk, run_id=run_id, stop=stop, **options))


def found(disk: DirectoryStore, rules: Rules = NOW, run_id: str = RUN) -> Found:
    return next(iter(find_rubbish(disk, rules, [run_id])))


def tidy(disk: DirectoryStore, rules: Rules = NOW, run_id: str = RUN) -> Found:
    each = found(disk, rules, run_id)
    assert remove(disk, each) == each.freed
    return each


def kinds(each: Found) -> dict[Kind, int]:
    return {part.kind: len(part.names) for part in each.parts}


def files(disk: DirectoryStore, run_id: str = RUN) -> set[str]:
    folder = disk.root / run_id
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_work_of_committed_iterations_goes_and_nothing_else(disk: DirectoryStore) -> None:
    drive(disk, 3)
    before = files(disk)
    done = tidy(disk)
    assert kinds(done) == {Kind.WORK: 6}
    assert before - files(disk) == {
        f"work/{k:08d}-{step}/note" for k in (1, 2, 3) for step in ("sample", "evaluate")
    }
    assert done.freed >= 6 * 1000
    assert found(disk).parts == []
    assert drive(disk, 5).iteration == 5


def test_what_the_failed_iteration_has_left_stays(disk: DirectoryStore) -> None:
    with pytest.raises(Exception, match="ValueError"):
        drive(disk, 5, fails_at=3)
    tidy(disk)
    left = {name for name in files(disk) if name.startswith(("work/", "steps/00000003"))}
    assert left == {
        "steps/00000003.sample.e0001.json",
        "work/00000003-sample/note",
        "work/00000003-evaluate/note",
    }


def test_a_young_run_is_left_alone(disk: DirectoryStore) -> None:
    drive(disk, 2)
    assert found(disk, Rules()).kept == "it is too young"
    assert remove(disk, found(disk, Rules())) == 0


def test_a_driven_run_is_left_alone_even_if_its_driver_has_come_since(
    disk: DirectoryStore,
) -> None:
    drive(disk, 2)
    before_it_came = found(disk)
    journal = Journal(disk, RUN)
    lease = journal.claim(journal.settings(), {}, 200.0)
    try:
        assert found(disk).kept == "it is being driven"
        assert remove(disk, before_it_came) == 0
    finally:
        lease.release(None)
    assert "work/00000001-sample/note" in files(disk)


def test_a_run_whose_job_may_be_alive_is_left_alone(disk: DirectoryStore) -> None:
    drive(disk, 2)
    key = JobKey(run_id=RUN, run_uid=UID, iteration=1, step="evaluate", label="", name="job")
    site = Service().site.model_dump()
    intent = Intent(key=key, epoch=1, site=site, folder="/nowhere", input_sha256="0")
    anyio.run(Ledger(run_id=RUN, run_uid=UID, store=disk).write, intent)
    assert found(disk).kept == f"1 of its jobs may be alive: qcsc-loop cancel {RUN}"


def test_a_fork_that_nobody_drove_yet_and_its_parent_can_go_on(disk: DirectoryStore) -> None:
    whole = drive(disk, 6, run_id="whole")
    drive(disk, 4)
    fork_run(Journal(disk, RUN), Fork(at=2, run_id="fork", replay=True))
    assert found(disk, run_id="fork").kept == "no driver has come to it yet"
    tidy(disk)
    assert drive(disk, 6, run_id="fork").state_sha256 == whole.state_sha256
    assert drive(disk, 6).state_sha256 == whole.state_sha256


def test_states_beyond_keep_go_but_for_landmarks(disk: DirectoryStore) -> None:
    drive(disk, 12)
    done = tidy(disk, Rules(older=timedelta(0), keep=2))
    # one of 3, 5, 6, 7, 9 and 10; those of 0, 1, 2, 4 and 8 stay
    assert kinds(done) == {Kind.WORK: 20, Kind.STATES: 6, Kind.STEPS: 16}
    kept = sorted(int(name.split(".")[0]) for name in Journal(disk, RUN).checkpoints())
    assert kept == [0, 1, 2, 4, 8, 11, 12]
    assert drive(disk, 14).resumed_from == 12


def test_samples_that_another_run_is_to_replay_stay(disk: DirectoryStore) -> None:
    drive(disk, 12)
    with pytest.raises(Exception, match="ValueError"):
        drive(disk, 9, run_id="other", fails_at=1, replay=ReplaySampler(run_id=RUN))
    assert Kind.STEPS not in kinds(found(disk, Rules(older=timedelta(0), keep=2)))


def test_a_run_whose_newest_state_is_damaged_is_left_alone(disk: DirectoryStore) -> None:
    drive(disk, 3)
    (disk.root / RUN / "checkpoints" / "00000003.e0001.json").write_text("{}")
    assert found(disk).kept == "its newest state does not verify"


def test_what_interrupted_writes_have_left_goes_once_it_is_old(disk: DirectoryStore) -> None:
    drive(disk, 2)
    folder = disk.root / RUN
    left = [
        folder / "epochs" / ".0002.json.0123456789abcdef.tmp",
        folder / "checkpoints" / "00000009.e0001.0123456789ab.npz",
        folder / "driver.01234567.out",
        disk.root / ".import-0123456789abcdef",
    ]
    for path in left:
        path.write_text("left")
    assert kinds(found(disk)) == {Kind.WORK: 4}  # a write may be under way
    for path in left:
        os.utime(path, (LONG_AGO, LONG_AGO))
    mine, imports = list(find_rubbish(disk, NOW))
    assert (kinds(mine)[Kind.LEFTOVERS], imports.run_id, kinds(imports)) == (
        3,
        "",
        {Kind.LEFTOVERS: 1},
    )
    assert remove(disk, mine) and remove(disk, imports)
    assert not any(path.exists() for path in left)


def test_links_are_not_followed(disk: DirectoryStore, tmp_path: Path) -> None:
    drive(disk, 1)
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "data").write_text("x" * 100_000)
    (disk.root / RUN / "work" / "00000001-sample" / "link").symlink_to(precious)
    assert tidy(disk).freed < 50_000
    assert (precious / "data").exists()


class Killed(BaseException):
    pass


def dies_at(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """The at-th removal of a file or a folder is not lived to see."""
    left = [at]

    def mortal(function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **more: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return function(*arguments, **more)

        return wrapped

    for place, name in ((os, "unlink"), (os, "rmdir"), (Path, "unlink"), (shutil, "rmtree")):
        monkeypatch.setattr(place, name, mortal(getattr(place, name)))


def test_killed_anywhere_it_leaves_a_run_that_goes_on_to_the_same_bits(
    disk: DirectoryStore, tmp_path: Path
) -> None:
    whole = drive(disk, 14, run_id="whole").state_sha256
    drive(disk, 12)
    rules, deaths = Rules(older=timedelta(0), keep=2), 0
    while True:
        copy = DirectoryStore(tmp_path / f"copy-{deaths}")
        shutil.copytree(disk.root, copy.root)
        with pytest.MonkeyPatch.context() as patch:
            dies_at(patch, 3 * deaths)
            try:
                tidy(copy, rules)
            except Killed:
                died = True
            else:
                died = False
        assert drive(copy, 14).state_sha256 == whole
        shutil.rmtree(copy.root)
        if not died:
            break
        deaths += 1
    assert deaths > 10


def test_a_run_that_is_not_there_is_named(disk: DirectoryStore) -> None:
    with pytest.raises(RunNotFound):
        found(disk, run_id="nobodys")
