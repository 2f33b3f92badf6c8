"""A scheduler from outside the tree, one class: it submits, follows and ends jobs as ours do."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from hpc.places import Hook, Programs  # noqa: TID251  # the folder of tests
from plugins.flux import FluxInstance
from qcsc_hpc import (
    Answer,
    ExecutionProfile,
    HPCMachine,
    HPCProfile,
    NotUnderstood,
    Placement,
    Scheduler,
)
from qcsc_loop import JobState
from qcsc_loop.errors import JobRefused

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("flux")]


def where(**more: Any) -> HPCProfile:
    given: dict[str, Any] = {"scheduler": "flux", "poll_seconds": 0.2, "settle_seconds": 1.0}
    return HPCProfile.model_validate(given | more)


def machine(how: dict[str, Any] | None = None, **more: Any) -> HPCMachine:
    profile = ExecutionProfile.model_validate(how or {})
    return HPCMachine(hpc_profile=where(**more), execution_profile=profile)


def scheduler() -> Scheduler:
    kind: type[Scheduler] = importlib.import_module("flux_scheduler").Flux
    return kind(where())


# jobs


async def test_a_job_is_submitted_followed_and_its_results_are_read(
    hook: Hook, programs: Programs, flux: FluxInstance
) -> None:
    done = await hook.run(machine(), programs.working, outputs=["out"])
    assert (done.value / "out").read_text() == "done\n"
    job = flux.job(done.record.job_id or "")
    assert (job["name"], job["result"]) == (done.record.key.job_name, "COMPLETED")
    outcome = done.record.outcome
    assert outcome is not None
    assert (outcome.state, outcome.metrics.nodes) == (JobState.COMPLETED, 1)
    assert done.record.intent.site["where"]["scheduler"] == "flux"


async def test_it_is_called_by_its_title_and_given_its_way_to_the_instance(
    hook: Hook, programs: Programs, flux: FluxInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "7")
    assert machine().site().title == "Flux"
    await hook.run(machine(), programs.working)
    (batch,) = flux.calls("batch")
    assert "FLUX_URI" in batch["environment"]
    assert "SECRET_TOKEN" not in batch["environment"]


async def test_ranks_are_started_by_the_scheduler_s_own_launcher(
    hook: Hook, programs: Programs, flux: FluxInstance
) -> None:
    how = {"launcher": "flux", "mpiprocs": 2, "num_nodes": 2, "ompthreads": 3}
    command = programs.command('touch "rank$FLUX_TASK_RANK.$OMP_NUM_THREADS"')
    done = await hook.run(machine(how), command)
    assert {path.name for path in done.value.glob("rank*")} == {f"rank{n}.3" for n in range(4)}
    (run,) = flux.calls("run")
    assert run["words"][:5] == [
        "run",
        "--nodes=2",
        "--ntasks=4",
        "--cores-per-task=3",
        "bash",
    ]


async def test_a_job_that_fails_says_how(hook: Hook, programs: Programs) -> None:
    failed = await hook.failure(machine(), programs.command("echo no fuel; exit 3"))
    assert (failed.state, failed.exit_code_of_job) == ("FAILED", 3)
    assert "no fuel" in failed.tail


async def test_a_job_that_runs_too_long_is_ended_by_flux(hook: Hook, programs: Programs) -> None:
    how = {"walltime": "00:00:01", "resubmit": {}}
    failed = await hook.failure(machine(how), programs.command("sleep 600"))
    assert failed.state == "TIMEOUT"
    assert "resource allocation expired" in str(failed)


async def test_a_job_that_waits_is_found_by_its_name(
    hook: Hook, programs: Programs, flux: FluxInstance
) -> None:
    held = machine(extra_directives=["--urgency=hold"])
    async with hook.asking(held, programs.working) as asked:
        job_id = await asked.until_id()
        record = hook.record
        assert await held.site().find(record.key, Path(record.intent.folder)) == job_id
        flux.release(job_id)
        assert (await asked.result()).record.job_id == job_id


async def test_a_driver_that_is_ended_cancels_its_job(
    hook: Hook, programs: Programs, flux: FluxInstance
) -> None:
    async with hook.asking(machine(), programs.waiting) as asked:
        job_id = await asked.until_told(JobState.RUNNING)
    assert flux.job(job_id)["result"] == "CANCELED"
    assert hook.record.outcome is not None
    assert hook.record.outcome.state is JobState.CANCELLED


async def test_a_job_that_waits_can_be_cancelled(
    hook: Hook, programs: Programs, flux: FluxInstance
) -> None:
    held = machine(extra_directives=["--urgency=hold"])
    async with hook.asking(held, programs.working) as asked:
        job_id = await asked.until_id()
    assert flux.job(job_id)["returncode"] == -128
    assert programs.worked == []


async def test_a_job_that_flux_does_not_take_is_rejected(hook: Hook, programs: Programs) -> None:
    failed = await hook.failure(machine(queue_cpu="no-such-queue"), programs.working)
    assert failed.state == "REJECTED"
    assert "Invalid queue 'no-such-queue'" in str(failed)


async def test_an_instance_that_does_not_answer_leaves_it_unclear(
    hook: Hook, programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLUX_URI", "local:///nowhere")
    impatient = machine(patience_seconds=0.0, settle_seconds=0.0)
    with pytest.raises(Exception, match="Unable to connect to Flux"):
        await hook.run(impatient, programs.working)


# settings


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"memory": "7G"}, "Flux gives out cores and GPUs, no memory"),
        ({"gpus_per_node": 2}, "--gpus-per-slot=N in extra_directives"),
    ],
    ids=str,
)
def test_what_it_refuses_it_says_in_its_words(settings: dict[str, Any], why: str) -> None:
    with pytest.raises(JobRefused, match=f"Flux cannot run this job: .*{why}"):
        machine(settings).shaped(None)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("gfscache", "/vol"),
        ("place", "pack"),
        ("mpi_options_for_pjm", ["a=1"]),
        ("reservation", "r"),
        ("resources", ["a=1"]),
    ],
)
def test_what_it_has_never_heard_of_is_refused_by_its_name(field: str, value: Any) -> None:
    with pytest.raises(JobRefused, match=f"Flux cannot run this job: {field}: Flux makes nothing"):
        machine(**{field: value}).shaped(None)


def test_another_scheduler_s_launcher_is_refused() -> None:
    elsewhere = HPCMachine(
        hpc_profile=HPCProfile(scheduler="slurm"),
        execution_profile=ExecutionProfile(launcher="flux"),
    )
    with pytest.raises(JobRefused, match="launcher: 'flux' is another scheduler's; take srun"):
        elsewhere.shaped(None)


def test_several_ranks_are_offered_its_launcher() -> None:
    with pytest.raises(JobRefused, match="starts one rank, not 2; take flux, srun"):
        machine({"mpiprocs": 2}).shaped(None)


def test_a_form_offers_it_and_its_launcher() -> None:
    assert "flux" in HPCProfile.model_json_schema()["properties"]["scheduler"]["enum"]
    assert "flux" in ExecutionProfile.model_json_schema()["properties"]["launcher"]["enum"]


def test_a_name_that_is_nearly_its_is_answered_with_it() -> None:
    with pytest.raises(ValueError, match=r"there is no scheduler 'flix'.*did you mean 'flux'"):
        where(scheduler="flix")


def test_what_is_asked_for_stands_in_the_script_s_head() -> None:
    how = ExecutionProfile(
        num_nodes=2, mpiprocs=3, ompthreads=4, walltime="01:00:00", exclusive=True
    )
    site = where(queue_cpu="batch", project_cpu="gz00", constraint="icelake|rome", qpu="heron")
    assert scheduler().directives(Placement("name", "key", site, how)) == [
        "--job-name=name",
        "--output=/dev/null",
        "--nodes=2",
        "--nslots=6",
        "--cores-per-slot=4",
        "--queue=batch",
        "--bank=gz00",
        "--time-limit=3600s",
        "--requires='icelake|rome'",
        "--exclusive",
        "--qpu=heron",
    ]


# answers


def answer(out: str, *, code: int = 0, err: str = "") -> Answer:
    return Answer(["flux"], code, out, err)


ROWS = {
    "16777216|SCHED||||0.0||||": (JobState.PENDING, None, None),
    "16777216|PRIORITY||||||||": (JobState.PENDING, None, None),
    "16777216|RUN|||1.5|2.5||1||": (JobState.RUNNING, None, None),
    "16777216|CLEANUP|||1.5|2.5|3.5|1||": (JobState.ENDING, None, None),
    "16777216|INACTIVE|COMPLETED|0|1.5|2.5|3.5|1||": (JobState.COMPLETED, 0, None),
    "16777216|INACTIVE|FAILED|3|1.5|2.5|3.5|1||": (JobState.FAILED, 3, None),
    "16777216|INACTIVE|FAILED|-9|1.5|2.5|3.5|1||": (JobState.FAILED, None, 9),
    "16777216|INACTIVE|CANCELED|-128|1.5||||cancel|": (JobState.CANCELLED, None, None),
    "16777216|INACTIVE|FAILED||1.5||||alloc|unsatisfiable | x": (JobState.REJECTED, None, None),
    "16777216|INACTIVE|TIMEOUT|142|1.5|2.5|3.5|1|timeout|": (JobState.TIMEOUT, 142, None),
}


@pytest.mark.parametrize(("row", "expected"), ROWS.items(), ids=str)
def test_a_state_is_read(row: str, expected: tuple[JobState, int | None, int | None]) -> None:
    (status,) = scheduler().statuses(answer(f"{row}\n")).values()
    assert (status.state, status.exit_code, status.signal) == expected


@pytest.mark.parametrize("out", ["16777216|RUN|", "16777216|DREAMING||||||||"])
def test_a_line_that_is_no_answer_is_not_understood(out: str) -> None:
    with pytest.raises(NotUnderstood):
        scheduler().statuses(answer(out))


def test_jobs_that_it_does_not_know_are_missing() -> None:
    said = answer("", code=1, err="JobID 16777216 unknown\n")
    assert scheduler().statuses(said) == {}


@pytest.mark.parametrize("shown", ["ƒ2XQ6n", "f2XQ6n"])
def test_an_id_is_the_same_in_every_locale(shown: str) -> None:
    assert scheduler().submitted(answer(f"{shown}\n")) == scheduler().submitted(answer("f2XQ6n\n"))
    assert scheduler().submitted(answer("16777216\n")) == "16777216"


@pytest.mark.parametrize("out", ["", "f", "submitted", "f0"])
def test_what_is_no_id_leaves_it_unclear_whether_there_is_a_job(out: str) -> None:
    with pytest.raises(NotUnderstood) as caught:
        scheduler().submitted(answer(out))
    assert not caught.value.permanent


@pytest.mark.parametrize("said", ["ƒ2: job is inactive", "ƒ2: unknown job"])
def test_a_job_that_is_over_need_not_be_cancelled(said: str) -> None:
    scheduler().cancelled(answer("", code=1, err=said))
