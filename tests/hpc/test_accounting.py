"""Accounting that refuses, is away, or is not there is no outage: the queue and the job's own record
say enough; and a scheduler that says nothing is waited for as long as patience lasts, and no longer.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpc.commands import AWAY, DENIED, DISABLED, Commands  # noqa: TID251  # of these tests
from hpc.places import Hook, Place, Programs  # noqa: TID251  # the same
from qcsc_hpc.testing import Fault
from qcsc_loop.errors import SiteUnreachable
from qcsc_loop.exactly_once.measuring import measuring
from qcsc_loop.jobs.outcome import JobState
from waiting import until_async

pytestmark = pytest.mark.anyio

FORGOTTEN = ("slurm_load_jobs error: Invalid job id specified", 1)
NO_ACCOUNTING = {"denied": DENIED, "disabled": DISABLED, "away": AWAY}
ON_SLURM = [*(("fake-slurm", said) for said in NO_ACCOUNTING.values()), ("slurm", DENIED)]


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Commands]:
    yield Commands(tmp_path / "commands", monkeypatch)
    shutil.rmtree(tmp_path / "commands")


on_slurm = pytest.mark.parametrize("place", ["fake-slurm", "slurm"], indirect=True)
on_a_fake = pytest.mark.parametrize("place", ["fake-slurm"], indirect=True)
on_fakes = pytest.mark.parametrize("place", ["fake-slurm", "fake-pbs", "fake-pjm"], indirect=True)
on_slurm_without_accounting = pytest.mark.parametrize(
    ("place", "said"), ON_SLURM, indirect=["place"], ids=[*NO_ACCOUNTING, "denied, really"]
)
no_accounting = pytest.mark.parametrize("said", NO_ACCOUNTING.values(), ids=NO_ACCOUNTING)


@on_slurm_without_accounting
async def test_a_job_that_the_queue_has_forgotten_ended_as_its_record_says(
    place: Place, hook: Hook, programs: Programs, commands: Commands, said: tuple[str, int]
) -> None:
    async with hook.asking(place.at(lost_seconds=1.0).machine(), programs.waiting) as job:
        await until_async(lambda: programs.has_begun, "the program runs")
        commands.say("sacct", *said)
        commands.say("squeue", *FORGOTTEN)
        programs.go()
        done = await job.result()
    assert done.record.outcome is not None
    assert done.record.outcome.state is JobState.COMPLETED


@on_slurm_without_accounting
async def test_a_job_that_the_queue_knows_needs_no_accounting(
    place: Place, hook: Hook, programs: Programs, commands: Commands, said: tuple[str, int]
) -> None:
    commands.say("sacct", *said)
    async with measuring(hook.ledger):
        done = await hook.run(place.machine(), programs.working)
    assert place.queue.accepted(done.record.key) == [done.record.job_id]
    assert hook.troubles == []


@on_a_fake
@no_accounting
async def test_a_job_is_looked_up_without_accounting(
    place: Place, hook: Hook, programs: Programs, commands: Commands, said: tuple[str, int]
) -> None:
    place.fake.inject(Fault.SUBMIT_TIMES_OUT_THOUGH_ACCEPTED, seconds=0.2)
    commands.say("sacct", *said)
    done = await hook.run(place.machine(), programs.working)
    assert [job.id for job in place.fake.jobs()] == [done.record.job_id]


@on_slurm
async def test_a_site_without_the_accounting_command_takes_and_ends_jobs(
    place: Place, hook: Hook, programs: Programs, commands: Commands
) -> None:
    commands.lose("sacct")
    async with measuring(hook.ledger):
        done = await hook.run(place.machine(), programs.working)
    assert place.queue.accepted(done.record.key) == [done.record.job_id]


@on_a_fake
async def test_a_submission_in_doubt_is_cleared_up_without_the_accounting_command(
    place: Place, hook: Hook, programs: Programs, commands: Commands
) -> None:
    place.fake.inject(Fault.SUBMIT_TIMES_OUT_THOUGH_ACCEPTED, seconds=0.2)
    commands.lose("sacct")
    done = await hook.run(place.machine(), programs.working)
    assert [job.id for job in place.fake.jobs()] == [done.record.job_id]


@on_a_fake
async def test_a_job_without_a_word_is_lost_where_accounting_is_denied(
    place: Place, hook: Hook, programs: Programs, commands: Commands
) -> None:
    async with hook.asking(place.at(lost_seconds=1.0).machine(), programs.waiting) as job:
        await until_async(lambda: programs.has_begun, "the program runs")
        commands.say("sacct", *DENIED)
        commands.say("squeue", *FORGOTTEN)
        assert (await job.failure()).state == JobState.LOST


@on_a_fake
async def test_a_job_without_a_word_is_not_lost_while_accounting_is_away(
    place: Place, hook: Hook, programs: Programs, commands: Commands
) -> None:
    async with hook.asking(place.at(lost_seconds=0.5).machine(), programs.waiting) as job:
        await until_async(lambda: programs.has_begun, "the program runs")
        commands.say("sacct", *AWAY)
        commands.say("squeue", *FORGOTTEN)
        await until_async(lambda: hook.troubles, "it is told that accounting is away")
        programs.go()
        await job.result()
    assert "accounting says nothing" in hook.troubles[0]


# patience with a scheduler that says nothing

SILENT = [(Fault.STATUS_FAILS, None), (Fault.STATUS_HANGS, 30.0), (Fault.STATUS_GARBAGE, None)]
silent = pytest.mark.parametrize(("fault", "seconds"), SILENT)


@on_fakes
@silent
async def test_when_patience_ends_a_job_ended_as_its_record_says(
    place: Place, hook: Hook, programs: Programs, fault: Fault, seconds: float | None
) -> None:
    machine = place.at(patience_seconds=1.0, command_timeout=0.7).machine()
    async with hook.asking(machine, programs.waiting) as job:
        await until_async(lambda: programs.has_begun, "the program runs")
        place.fake.inject(fault, times=999, seconds=seconds)
        programs.go()
        done = await job.result()
    assert done.record.outcome is not None
    assert (done.record.outcome.state, done.record.outcome.exit_code) == (JobState.COMPLETED, 0)


@on_fakes
@pytest.mark.parametrize(("fault", "seconds"), SILENT[:2])
async def test_when_patience_ends_with_a_job_that_has_left_no_word_the_error_names_the_settings(
    place: Place, hook: Hook, programs: Programs, fault: Fault, seconds: float | None
) -> None:
    machine = place.at(patience_seconds=1.0, command_timeout=0.7).machine()
    async with hook.asking(machine, programs.waiting) as job:
        await until_async(lambda: programs.has_begun, "the program runs")
        place.fake.inject(fault, times=999, seconds=seconds)
        with pytest.raises(SiteUnreachable, match=r"1 s \(patience_seconds\).* command_timeout"):
            await job.result()
    assert not hook.record.over
    assert len(place.queue.alive()) == 1  # a resume follows it
