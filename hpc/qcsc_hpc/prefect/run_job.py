"""One job from three saved blocks, in a flow or a hook: `run_job_from_blocks`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from anyio import to_thread
from pydantic import ValidationError

from qcsc_hpc.machine import HPCMachine, input_digest
from qcsc_hpc.prefect.blocks import command_block, execution_profile, hpc_profile
from qcsc_hpc.prefect.flow_step import KEPT, own_step, publish, repeated
from qcsc_hpc.profiles import ExecutionProfile
from qcsc_hpc.script.job_folder import JobFolder
from qcsc_loop.errors import InvalidParameters
from qcsc_loop.exactly_once.measuring import measuring
from qcsc_loop.jobs.entries import JobRecord
from qcsc_loop.jobs.outcome import JobMetrics
from qcsc_loop.prefect.server import prefect_api
from qcsc_loop.steps.step import STANDALONE, current_step, stepping


@dataclass(frozen=True)
class FinishedJob:
    """A job that ended well.

    Attributes:
        output: the end of what it wrote; `folder` has all of it, in output.log.
    """

    job_id: str
    exit_code: int
    metrics: JobMetrics
    folder: Path
    output: str

    @property
    def exit_status(self) -> int:
        """The exit code, as programs written for qcsc-prefect call it."""
        return self.exit_code


async def run_job_from_blocks(  # noqa: PLR0913  # those of qcsc-prefect's, so that programs go on
    *,
    command_block_name: str,
    execution_profile_block_name: str,
    hpc_profile_block_name: str,
    work_dir: str | Path,
    script_filename: str = "job.sh",
    user_args: Sequence[str | Path] = (),
    execution_profile_overrides: Mapping[str, Any] | None = None,
    watch_poll_interval: float | None = None,
    timeout_seconds: float | None = None,
    metrics_artifact_key: str | None = None,
    fugaku_job_name: str | None = None,
) -> FinishedJob:
    """Runs a command in a folder on a machine, as one job, to its end.

    Inside a hook the job belongs to the current step of the run, and is done once whatever dies.
    In a plain flow it belongs to the flow run: Prefect's retry of that finds it again.

    Args:
        work_dir: where the program runs; on a disk that the machine's nodes see.
        script_filename: a copy of the job's script in that folder.
        user_args: after the command's own; a `Path` is an input file, part of what the job is.
        execution_profile_overrides: fields of the execution profile for this job.
        watch_poll_interval: the longest pause between two questions to the scheduler, seconds.
        timeout_seconds: after which the running job is cancelled; waiting in the queue is not
            counted.
        metrics_artifact_key: key of the table artifact that gets the job's metrics.
        fugaku_job_name: what the job is called in its folder, its key and, before its hash, its name
            on Slurm and PBS, in the place of the command's name. PJM shows ten characters, by which a
            job has to be found, and they are the hash's.

    Raises:
        BlockNotFound, InvalidParameters, JobRefused: nothing was submitted.
        JobFailed: it ended otherwise than well.
    """
    with prefect_api():
        machine = HPCMachine(
            hpc_profile=(await hpc_profile(hpc_profile_block_name)).to_settings(),
            execution_profile=(await execution_profile(execution_profile_block_name)).to_settings(),
            command=(command := (await command_block(command_block_name)).to_settings()),
        )
        machine = _changed(
            machine, execution_profile_overrides or {}, watch_poll_interval, timeout_seconds
        )
        folder = Path(work_dir).expanduser().absolute()
        await to_thread.run_sync(partial(folder.mkdir, parents=True, exist_ok=True))
        called = _plain_name(fugaku_job_name or "") or command.command_name
        return await _run(machine, called, folder, script_filename, user_args, metrics_artifact_key)


def _plain_name(text: str) -> str:
    """As qcsc-prefect makes a name of it: a part of a folder's, and of every scheduler's."""
    return re.sub(r"[^a-zA-Z0-9_-]+", "-", text).strip("-")


async def _run(
    machine: HPCMachine,
    called: str,
    folder: Path,
    script_filename: str,
    arguments: Sequence[str | Path],
    artifact_key: str | None,
) -> FinishedJob:
    assert machine.command is not None
    outer = current_step()
    if outer.run_id != STANDALONE:
        step = replace(outer, make_folder=lambda: folder / KEPT)
        name = called
    else:
        digest = await to_thread.run_sync(input_digest, [machine.command.command_name, *arguments])
        step = await own_step(folder)
        name = f"{called}-{digest[:12]}"
        name += repeated(name)
    with stepping(step):
        # inside a loop the run's own measuring goes on beside it
        if outer.run_id != STANDALONE:
            record = await _job(machine, name, arguments, folder, script_filename)
        else:
            async with measuring(step.ledger):
                record = await _job(machine, name, arguments, folder, script_filename)
            record = step.ledger.latest(record.key) or record
    if artifact_key is not None:
        await publish(artifact_key, record)
    assert record.outcome is not None and record.job_id is not None
    return FinishedJob(
        job_id=record.job_id,
        exit_code=record.outcome.exit_code or 0,
        metrics=record.metrics,
        folder=record.folder,
        output=record.outcome.tail,
    )


async def _job(
    machine: HPCMachine,
    name: str,
    arguments: Sequence[str | Path],
    folder: Path,
    script_filename: str,
) -> JobRecord:
    def copy_script(job_folder: Path) -> None:
        (folder / script_filename).write_bytes(JobFolder(job_folder).script.read_bytes())

    assert machine.command is not None
    done = await machine.run_job(
        machine.command, arguments, collect=copy_script, name=name, directory=folder
    )
    return done.record


def _changed(
    machine: HPCMachine,
    overrides: Mapping[str, Any],
    poll_seconds: float | None,
    run_seconds: float | None,
) -> HPCMachine:
    changes = {**overrides, **({} if run_seconds is None else {"run_timeout": run_seconds})}
    try:
        how = ExecutionProfile.model_validate({**dict(machine.execution_profile), **changes})
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, p['loc']))}: {p['msg']}" for p in error.errors()]
        valid = list(ExecutionProfile.model_fields)
        raise InvalidParameters("execution_profile_overrides", problems, valid) from error
    where = machine.hpc_profile
    if poll_seconds is not None:
        where = where.model_copy(update={"poll_seconds": poll_seconds})
    return machine.model_copy(update={"execution_profile": how, "hpc_profile": where})
