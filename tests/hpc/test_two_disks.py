"""A run that is resumed on another disk while its job is in a queue: adopted, or refused by name."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path

import pytest

from hpc.places import RUN, Hook, Place, Programs  # noqa: TID251  # the folder of these tests
from other_user import NOBODY
from qcsc_hpc.machine import Machine
from qcsc_loop.errors import JobElsewhere, LeaseLost
from qcsc_loop.exactly_once.ending import end_job
from qcsc_loop.exactly_once.submission import UNTOLD
from qcsc_loop.jobs.ledger import Ledger
from qcsc_loop.jobs.site import site_from
from waiting import until_async

pytestmark = pytest.mark.anyio

told = pytest.mark.parametrize("place", ["slurm", "fake-slurm", "fake-pbs"], indirect=True)
untold = pytest.mark.parametrize("place", ["fake-pjm"], indirect=True)


@pytest.fixture
def first(tmp_path: Path) -> Hook:
    return Hook(tmp_path / "first disk")


@pytest.fixture
def second(tmp_path: Path, first: Hook) -> Hook:
    """The same run's next driver, on a disk that has nothing of it: all it knows is from the API."""
    hook = Hook(tmp_path / "second")
    again(hook, first.ledger.run_uid)
    return hook


def again(hook: Hook, run_uid: str) -> None:
    """The next driver on a disk, after the first one's."""
    hook.ledger = Ledger(
        run_id=RUN, run_uid=run_uid, store=hook.store, epoch=2, observe=hook.events.append
    )
    hook.ledger.load()


async def left(hook: Hook, machine: Machine, programs: Programs) -> str:
    """The id of a job that runs, and whose driver is gone."""
    hook.ledger.leave_jobs = lambda: True
    async with hook.asking(machine, programs.waiting, outputs=["out"]) as asked:
        job_id = await asked.until_id()
        await until_async(lambda: programs.has_begun, "the job runs")
        asked.task.cancel()
        with suppress(asyncio.CancelledError):
            await asked.task
    return job_id


def read(folder: Path) -> str:
    return (folder / "out").read_text()


@told
async def test_a_job_whose_folder_is_to_be_seen_is_adopted_with_it(
    place: Place, first: Hook, second: Hook, programs: Programs
) -> None:
    job_id = await left(first, place.machine(), programs)
    programs.go()

    done = await second.run(place.machine(), programs.waiting, outputs=["out"], collect=read)

    assert (done.value, second.job_id) == ("done\n", job_id)
    assert second.record.folder == first.record.folder != Path(second.record.intent.folder)
    assert place.queue.accepted(second.record.key) == [job_id]
    assert len(programs.worked) == 1


@told
async def test_a_job_whose_folder_is_not_to_be_seen_is_refused_by_its_name_and_left_alone(
    place: Place, first: Hook, second: Hook, programs: Programs, tmp_path: Path
) -> None:
    job_id = await left(first, place.machine(), programs)
    folder = first.record.folder
    first.root.rename(tmp_path / "away")

    for _ in range(2):
        with pytest.raises(JobElsewhere, match="which is not to be seen here") as caught:
            await second.run(place.machine(), programs.waiting, outputs=["out"], collect=read)
        assert (caught.value.job_id, caught.value.folder) == (job_id, str(folder))
        again(second, first.ledger.run_uid)

    (tmp_path / "away").rename(first.root)
    programs.go()
    done = await second.run(place.machine(), programs.waiting, outputs=["out"], collect=read)
    assert done.value == "done\n"
    assert len(programs.worked) == 1
    assert place.queue.accepted(second.record.key) == [job_id]


@pytest.mark.guarantee("S17")
@pytest.mark.parametrize("place", ["fake-slurm"], indirect=True)
async def test_no_result_is_taken_from_a_folder_of_somebody_else(
    place: Place, first: Hook, second: Hook, programs: Programs
) -> None:
    """A job that somebody has called by the name of one of ours, with what they like in its folder."""
    if os.geteuid() != 0:
        pytest.skip("to give a folder away needs root")
    await left(first, place.machine(), programs)
    os.chown(first.record.folder, NOBODY, NOBODY)

    with pytest.raises(JobElsewhere, match="or is somebody else's"):
        await second.run(place.machine(), programs.waiting, outputs=["out"], collect=read)

    os.chown(first.record.folder, 0, 0)
    programs.go()
    again(second, first.ledger.run_uid)
    done = await second.run(place.machine(), programs.waiting, outputs=["out"], collect=read)
    assert done.value == "done\n"


@told
async def test_a_job_whose_disk_is_lost_can_be_ended_and_its_work_done_anew(
    place: Place, first: Hook, second: Hook, programs: Programs, tmp_path: Path
) -> None:
    await left(first, place.machine(), programs)
    first.root.rename(tmp_path / "lost")
    with pytest.raises(JobElsewhere):
        await second.run(place.machine(), programs.waiting, outputs=["out"])

    record = second.record
    ended = await end_job(second.ledger, record, site_from(record.intent.site))  # as `reap` does
    programs.go()
    done = await second.run(place.machine(), programs.waiting, outputs=["out"], collect=read)

    assert ended.spoilt
    assert (done.value, done.record.key.attempt) == ("done\n", 1)
    assert len(programs.worked) == 2


@untold
async def test_a_job_whose_scheduler_does_not_say_where_it_works_is_refused(
    place: Place, first: Hook, second: Hook, programs: Programs
) -> None:
    job_id = await left(first, place.machine(), programs)

    with pytest.raises(JobElsewhere, match=UNTOLD) as caught:
        await second.run(place.machine(), programs.waiting, outputs=["out"])

    assert caught.value.job_id == job_id
    programs.go()
    again(first, first.ledger.run_uid)
    await first.run(place.machine(), programs.waiting, outputs=["out"])
    assert len(programs.worked) == 1


# a driver that was overtaken


@pytest.mark.parametrize("place", ["fake-slurm", "fake-pbs", "fake-pjm"], indirect=True)
async def test_a_driver_that_lost_its_run_before_the_command_itself_submits_nothing(
    place: Place, first: Hook, programs: Programs
) -> None:
    """It is checked once more when the command's turn has come, which may be long after."""
    checks: list[int] = []

    def check() -> None:
        checks.append(len(first.records))
        if checks.count(1) > 1:  # written down, and about to be submitted
            raise LeaseLost(RUN, 1, 2)

    first.ledger.check = check
    with pytest.raises(LeaseLost):
        await first.run(place.machine(), programs.working, outputs=["out"])

    assert place.queue.accepted(first.record.key) == []
