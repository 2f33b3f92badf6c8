"""Parts' jobs that go as one array: each is a job like any other, and comes there with others."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest

from hpc.places import (  # noqa: TID251  # the folder of these tests
    LONGEST_SECONDS,
    Hook,
    Place,
    Programs,
)
from qcsc_hpc.machine import HPCMachine
from qcsc_hpc.profiles import Command
from qcsc_hpc.testing import Fault
from qcsc_hpc.testing.executables.state import State
from qcsc_loop.errors import JobElsewhere, JobFailed
from qcsc_loop.exactly_once.request import JobResult
from qcsc_loop.jobs.entries import JobRecord
from qcsc_loop.jobs.outcome import JobState
from qcsc_loop.steps.step import Step, labelled, stepping
from waiting import until_async

pytestmark = pytest.mark.anyio

PLACES = ("slurm", "fake-slurm", "fake-pbs", "fake-pjm", "fake-pjm-without-choice")
on_arrays = pytest.mark.parametrize("place", PLACES, indirect=True)
fakes = pytest.mark.parametrize("place", PLACES[1:], indirect=True)

Result = JobResult[Path] | JobFailed


@dataclass
class Parts:
    """A hook's parts, each of which asks for a job of the same shape."""

    hook: Hook
    labels: Sequence[str] = ("a", "b", "c")

    async def run(
        self, machine: HPCMachine, command: Command, words: dict[str, Sequence[str]] | None = None
    ) -> dict[str, Result]:
        """What each gave."""
        given = words or {}
        found: dict[str, Result] = {}

        async def one(step: Step, label: str) -> None:
            with stepping(step), labelled(label):
                try:
                    found[label] = await machine.run_job(
                        command, given.get(label, [label]), collect=Path
                    )
                except JobFailed as failed:
                    found[label] = failed

        step = self.hook.step
        with anyio.fail_after(LONGEST_SECONDS):
            async with anyio.create_task_group() as group:
                for label in self.labels:
                    group.start_soon(one, step, label)
        return found

    @asynccontextmanager
    async def running(
        self, machine: HPCMachine, command: Command, **how: Any
    ) -> AsyncIterator[asyncio.Task[dict[str, Result]]]:
        """They, in the background; cancelled if the block ends before them."""
        task = asyncio.create_task(self.run(machine, command, **how))
        try:
            yield task
        finally:
            if not task.done():
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def until_ids(self) -> dict[str, str]:
        """Their ids, once each has one."""
        await until_async(lambda: len(self.ids()) == len(self.labels), "all have ids")
        return self.ids()

    def ids(self) -> dict[str, str]:
        newest = {record.key.label: record for record in self.hook.records}
        return {label: one.job_id for label, one in newest.items() if one.job_id}

    def record(self, label: str) -> JobRecord:
        """Of the part's newest job."""
        return [one for one in self.hook.records if one.key.label == label][-1]


@pytest.fixture
def parts(hook: Hook) -> Parts:
    return Parts(hook)


def at(place: Place, **more: Any) -> Place:
    """The place with arrays."""
    return place.at(array=True, **more)


def array_of(place: Place, job_id: str) -> str:
    """The array that an element belongs to, by its id as people read it."""
    return job_id.partition("_" if "slurm" in place.name else "[")[0]


def submissions(place: Place) -> int:
    """How often something was submitted there."""
    names = ("sbatch", "qsub", "pjsub")
    return sum(command.argv[0] in names for command in place.fake.commands())


@on_arrays
async def test_parts_of_one_shape_are_one_array(
    place: Place, parts: Parts, programs: Programs
) -> None:
    echo = programs.command('echo "$QCSC_JOB_KEY" >> "$flags/worked"; echo "part $1" | tee out')
    found = await parts.run(at(place).machine(), echo)
    for label, result in found.items():
        assert isinstance(result, JobResult)
        assert (result.value / "out").read_text() == f"part {label}\n"
        assert (result.value / "output.log").read_text() == f"part {label}\n"
        assert result.record.folder == result.value
    assert len({array_of(place, job_id) for job_id in parts.ids().values()}) == 1
    assert len(set(parts.ids().values())) == 3
    assert sorted(programs.worked) == sorted(str(parts.record(one).key) for one in "abc")
    await until_async(lambda: place.queue.alive() == [], "nothing is left")


@fakes
async def test_an_array_is_one_submission(place: Place, parts: Parts, programs: Programs) -> None:
    await parts.run(at(place).machine(), programs.working)
    assert submissions(place) == 1


@on_arrays
async def test_each_has_a_verdict_of_its_own(
    place: Place, parts: Parts, programs: Programs
) -> None:
    command = programs.command('[ "$1" != b ] || { echo last words; exit 7; }')
    found = await parts.run(at(place).machine(), command)
    failed = found["b"]
    assert isinstance(failed, JobFailed)
    assert (failed.state, failed.exit_code_of_job) == (JobState.FAILED, 7)
    assert "last words" in failed.tail
    assert [parts.record(one).state for one in "abc"] == ["COMPLETED", "FAILED", "COMPLETED"]


@on_arrays
async def test_one_that_failed_is_done_again_by_itself(
    place: Place, parts: Parts, programs: Programs
) -> None:
    command = programs.command(
        'echo "$1" >> "$flags/began"; [ "$1" != b ] || [ -e "$flags/second" ] || '
        '{ touch "$flags/second"; exit 1; }'
    )
    await parts.run(at(place).machine(), command)
    found = await parts.run(at(place).machine(), command)
    assert all(isinstance(result, JobResult) for result in found.values())
    assert (programs.folder / "began").read_text().split().count("b") == 2
    assert [record.key.attempt for record in parts.hook.records] == [0, 0, 0, 1]
    assert not set("_[") & set(parts.ids()["b"])  # no element: it went by itself


@on_arrays
async def test_jobs_of_another_shape_go_by_themselves(
    place: Place, parts: Parts, programs: Programs
) -> None:
    machine, step = at(place), parts.hook.step

    async def one(label: str, ranks: int) -> None:
        with stepping(step), labelled(label):
            await machine.machine(ranks=ranks).run_job(programs.working, [], collect=Path)

    async with anyio.create_task_group() as group:
        for label, ranks in {"a": 1, "b": 2, "c": 1}.items():
            group.start_soon(one, label, ranks)
    ids = parts.ids()
    assert array_of(place, ids["a"]) == array_of(place, ids["c"]) != array_of(place, ids["b"])


@on_arrays
async def test_a_cancelled_run_ends_its_array(
    place: Place, parts: Parts, programs: Programs
) -> None:
    async with parts.running(at(place).machine(), programs.waiting):
        await parts.until_ids()
        await until_async(lambda: len(programs.worked) == 3, "all have begun")
    await until_async(lambda: place.queue.alive() == [], "nothing is left")
    assert {parts.record(one).state for one in "abc"} == {"CANCELLED"}


# larger than a site takes


def limited(place: Place, setting: str, value: int) -> None:
    with State(str(place.fake.folder)) as state:
        state.set(setting, value)


def sizes(place: Place, parts: Parts) -> list[int]:
    """How many elements the arrays had, and jobs by themselves."""
    return sorted(Counter(array_of(place, one) for one in parts.ids().values()).values())


@pytest.mark.parametrize("place", ["fake-slurm", "fake-pbs", "fake-pjm"], indirect=True)
async def test_more_than_the_site_s_largest_array_are_dealt_into_several(
    place: Place, hook: Hook, programs: Programs
) -> None:
    limited(place, "max_array_size", 2)
    parts = Parts(hook, "abcde")
    found = await parts.run(at(place).machine(), programs.working)
    assert all(isinstance(result, JobResult) for result in found.values())
    assert sizes(place, parts) == [1, 2, 2]
    assert len(programs.worked) == 5
    (folder,) = {folder.parent for folder in hook.root.rglob("*.array.job")}
    assert sorted(path.name for path in folder.glob("*.array.job")) == [
        "0.array.job",
        "1.array.job",
    ]


@pytest.mark.parametrize("place", ["fake-slurm"], indirect=True)
async def test_a_profile_says_how_large_an_array_may_be(
    place: Place, hook: Hook, programs: Programs
) -> None:
    parts = Parts(hook, "abcde")
    await parts.run(at(place, array_size=3).machine(), programs.working)
    assert sizes(place, parts) == [2, 3]
    assert submissions(place) == 2


@pytest.mark.parametrize("place", ["fake-slurm"], indirect=True)
async def test_what_a_limit_on_jobs_does_not_take_now_is_offered_again(
    place: Place, hook: Hook, programs: Programs
) -> None:
    limited(place, "most_submitted", 3)
    parts = Parts(hook, "abcdefgh")
    async with parts.running(at(place).machine(), programs.waiting) as task:
        said = "QOSMaxSubmitJobPerUserLimit"
        await until_async(
            lambda: sum(said in reason for reason in hook.reasons) == 5, "five are told why"
        )
        assert len(parts.ids()) == 3
        programs.go()
        found = await task
    assert all(isinstance(result, JobResult) for result in found.values())
    assert len(programs.worked) == 8


# submissions that break off


@fakes
@pytest.mark.parametrize(
    "fault", [Fault.SUBMIT_TIMES_OUT_THOUGH_ACCEPTED, Fault.SUBMIT_ACCEPTED_LATE], ids=str
)
async def test_an_array_that_may_have_been_taken_is_looked_for(
    place: Place, parts: Parts, programs: Programs, fault: Fault
) -> None:
    place.fake.inject(fault, seconds=0.5)
    found = await parts.run(at(place).machine(), programs.working)
    assert all(isinstance(result, JobResult) for result in found.values())
    assert submissions(place) == 1
    assert len(programs.worked) == 3


@fakes
async def test_an_array_that_was_not_taken_is_submitted_again(
    place: Place, parts: Parts, programs: Programs
) -> None:
    place.fake.inject(Fault.SUBMIT_FAILS_TRANSIENT)
    await parts.run(at(place).machine(), programs.working)
    assert len(programs.worked) == 3
    assert len(place.fake.jobs()) == 3


@pytest.mark.parametrize("place", ["fake-slurm"], indirect=True)
async def test_an_array_that_is_refused_is_refused_for_each(
    place: Place, parts: Parts, programs: Programs
) -> None:
    place.fake.inject(Fault.SUBMIT_REFUSED, reason="sbatch: error: no such thing")
    found = await parts.run(at(place).machine(), programs.working)
    for failed in found.values():
        assert isinstance(failed, JobFailed)
        assert failed.state == JobState.REJECTED
        assert "no such thing" in str(failed)
    assert submissions(place) == 1
    assert programs.worked == []


# what befalls an element


async def an_element(parts: Parts, programs: Programs) -> str:
    """The id of the second part's job, once all work."""
    ids = await parts.until_ids()
    await until_async(lambda: len(programs.worked) == 3, "all have begun")
    return ids["b"]


@fakes
async def test_an_element_that_makes_room_is_done_again_and_no_other(
    place: Place, parts: Parts, programs: Programs
) -> None:
    async with parts.running(at(place).machine(), programs.waiting) as task:
        place.queue.preempt(await an_element(parts, programs))
        await until_async(lambda: len(programs.worked) == 4, "it is done again")
        programs.go()
        found = await task
    assert all(isinstance(result, JobResult) for result in found.values())
    again = Counter(key.partition("/b/")[0] != key for key in programs.worked)
    assert again == {True: 2, False: 2}


@on_arrays
async def test_an_element_that_is_requeued_works_again_under_its_own_id(
    place: Place, parts: Parts, programs: Programs
) -> None:
    async with parts.running(at(place).machine(), programs.waiting) as task:
        job_id = await an_element(parts, programs)
        place.queue.requeue(job_id)
        await until_async(lambda: len(programs.worked) == 4, "it works again")
        programs.go()
        found = await task
    assert all(isinstance(result, JobResult) for result in found.values())
    assert parts.ids()["b"] == job_id
    assert len(parts.hook.records) == 3


@on_arrays
async def test_an_element_that_somebody_else_ends_is_cancelled_and_no_other(
    place: Place, parts: Parts, programs: Programs
) -> None:
    async with parts.running(at(place).machine(), programs.waiting) as task:
        place.queue.cancel(await an_element(parts, programs))
        await until_async(lambda: parts.record("b").over, "it is over")
        programs.go()
        found = await task
    failed = found["b"]
    assert isinstance(failed, JobFailed)
    assert failed.state == JobState.CANCELLED
    assert [parts.record(one).state for one in "ac"] == ["COMPLETED", "COMPLETED"]


@fakes
async def test_a_held_array_is_taken_back_when_it_has_waited_too_long(
    place: Place, parts: Parts, programs: Programs
) -> None:
    machine = at(place).holding(queue_timeout=1.0)
    found = await parts.run(machine, programs.working)
    states = [failed.state for failed in found.values() if isinstance(failed, JobFailed)]
    assert states == [JobState.TIMEOUT] * 3
    await until_async(lambda: place.queue.alive() == [], "nothing is left")
    assert programs.worked == []


@fakes
async def test_a_held_array_starts_element_by_element(
    place: Place, parts: Parts, programs: Programs
) -> None:
    async with parts.running(at(place).holding(), programs.working) as task:
        ids = await parts.until_ids()
        place.queue.release(ids["b"])
        await until_async(lambda: parts.record("b").over, "the one is over")
        assert not parts.record("a").over
        for label in "ac":
            place.queue.release(ids[label])
        found = await task
    assert all(isinstance(result, JobResult) for result in found.values())


# ending


@fakes
async def test_many_elements_are_ended_by_few_commands(
    place: Place, hook: Hook, programs: Programs
) -> None:
    parts = Parts(hook, "abcdefgh")
    async with parts.running(at(place).holding(), programs.waiting):
        await parts.until_ids()
    names = [command.argv[0] for command in place.fake.commands()]
    assert sum(name in ("scancel", "qdel", "pjdel") for name in names) <= 2
    assert place.queue.alive() == []
    assert {parts.record(one).state for one in parts.labels} == {"CANCELLED"}


# another disk


@pytest.mark.parametrize("place", ["fake-slurm", "fake-pbs"], indirect=True)
async def test_an_array_whose_list_is_on_another_disk_is_left_alone(
    place: Place, parts: Parts, programs: Programs, tmp_path: Path
) -> None:
    other = Hook(tmp_path / "other")
    other.ledger.run_uid, other.ledger.complete = parts.hook.ledger.run_uid, False
    async with parts.running(at(place).machine(), programs.waiting):
        await an_element(parts, programs)
        with (
            pytest.raises(JobElsewhere, match="the list of its elements"),
            stepping(other.step),
            labelled("a"),
        ):
            await at(place).machine().run_job(programs.waiting, ["a"], collect=Path)
        assert submissions(place) == 1
