"""The block that the Slurm tutorial's programs subclass: `SlurmJobBlock`, and `PyFunctionJob`.

Fields, methods and slugs are those of that tutorial's package, so that programs and saved blocks
carry over with an import changed. What a job is here, it is once: it belongs to the flow run, and a
retry of that finds it again, whatever was killed.
"""

from __future__ import annotations

import inspect
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Literal, Self, TypeVar

from anyio import to_thread
from prefect.blocks.core import Block
from pydantic import Field, ValidationError

from qcsc_hpc.functions import arguments_digest, run_function
from qcsc_hpc.machine import HPCMachine, input_digest
from qcsc_hpc.prefect.flow_step import own_step, publish, repeated
from qcsc_hpc.profiles import Command, ExecutionProfile, HPCProfile, clock
from qcsc_loop.concurrency.whole_file import is_there
from qcsc_loop.errors import BadFunction, InvalidParameters, JobFailed
from qcsc_loop.exactly_once.measuring import measuring
from qcsc_loop.jobs.entries import JobRecord
from qcsc_loop.jobs.outcome import JobState
from qcsc_loop.prefect.load_blocks import load_block
from qcsc_loop.prefect.server import prefect_api
from qcsc_loop.steps.step import STANDALONE, Step, current_step, stepping

T = TypeVar("T")

METRICS = "slurm-job-metrics"  # key of the artifact
UNKNOWN_EXIT = 1  # of a job that ended badly without a code of its own
# what our script keeps in a job's folder: no file of the program's may be called so
OURS = frozenset(
    {
        *("job.sh", "output.log", "scheduler.log", "fence", "started", "warned", "cancelled"),
        "exit.json",
    }
)


class SlurmJobBlock(Block):
    """A program as a job, with its own folder for each call; to be subclassed."""

    _block_type_name: ClassVar[str | None] = "Slurm Job"
    _block_type_slug: ClassVar[str | None] = "slurm_job"

    work_root: str = Field(
        min_length=1, title="Root directory", description="on a disk that the nodes see"
    )
    executable: str = Field(min_length=1, title="Executable", description="its path on the nodes")
    executor: Literal["sbatch", "local"] = Field(
        default="local", title="Executor", description="Slurm, or this machine"
    )
    launcher: str = Field(default="single", title="Launcher", description="what starts the ranks")
    partition: str | None = Field(default=None, title="Partition")
    qpu: str | None = Field(default=None, title="QPU", description="one, or several with commas")
    num_nodes: int | None = Field(default=None, gt=0, title="Nodes")
    mpiprocs: int | None = Field(default=None, gt=0, title="MPI ranks per node")
    mpi_options: list[str] | None = Field(default=None, title="MPI options")
    ompthreads: int | None = Field(default=None, gt=0, title="OpenMP threads per rank")
    walltime: str | None = Field(
        default=None, title="Walltime", description="HH:MM:SS, MM:SS or seconds"
    )
    modules: list[str] | None = Field(default=None, title="Modules")
    environments: dict[str, str | int] | None = Field(default=None, title="Environment")
    hpc_profile_block_name: str = Field(
        default="",
        title="HPC profile",
        description="a saved one, in the place of what executor says: account, patience, another site",
    )

    def get_executor(self) -> JobExecutor:
        """A folder for one job's files, and the job itself; for a `with` block."""
        return JobExecutor(self)

    def get_job_variables(self) -> dict[str, Any]:
        """What `execute_job` takes, as this block has it."""
        return self.model_dump(include=set(VARIABLES), exclude_none=True)

    async def machine(
        self, variables: Mapping[str, Any], timeout: float | None = None
    ) -> HPCMachine:
        """Where a job with these variables runs.

        Raises:
            InvalidParameters: one is none, or cannot be so.
        """
        given = dict(variables)
        if unknown := sorted(set(given) - set(VARIABLES)):
            problems = [f"there is no variable {name!r}" for name in unknown]
            raise InvalidParameters("execute_job", problems, VARIABLES)
        shape = {name: given[name] for name in SHAPE if given.get(name) is not None}
        if "walltime" in shape:
            shape["walltime"] = _walltime(str(shape["walltime"]))
        if "environments" in shape:
            shape["environments"] = {k: str(v) for k, v in shape["environments"].items()}
        try:
            return HPCMachine(
                hpc_profile=await self._where(given),
                execution_profile=ExecutionProfile.model_validate(
                    {**shape, **({} if timeout is None else {"run_timeout": timeout})}
                ),
            )
        except ValidationError as error:
            problems = [f"{'.'.join(map(str, p['loc']))}: {p['msg']}" for p in error.errors()]
            raise InvalidParameters("execute_job", problems, VARIABLES) from error

    async def _where(self, given: Mapping[str, Any]) -> HPCProfile:
        scheduler = "slurm" if self.executor == "sbatch" else "local"
        where = HPCProfile(scheduler=scheduler)
        if self.hpc_profile_block_name:
            block = await load_block(Block, f"hpc-profile/{self.hpc_profile_block_name}")
            where = HPCProfile.model_validate(
                block.model_dump(include=set(HPCProfile.model_fields))
            )
        asked: dict[str, Any] = {}
        if where.scheduler != "local":  # this machine has no queue: it was to be the same block
            names = {"queue_cpu": "partition", "qpu": "qpu"}
            asked = {ours: given[name] for ours, name in names.items() if given.get(name)}
        return HPCProfile.model_validate({**where.model_dump(exclude={"preset"}), **asked})


SHAPE = (
    *("launcher", "num_nodes", "mpiprocs", "mpi_options", "ompthreads", "walltime", "modules"),
    "environments",
)
VARIABLES = ("executable", "partition", "qpu", *SHAPE)


class JobExecutor:
    """One job's files, and the job.

    What is written to `work_dir` before `execute_job` is the job's input, and part of what it is; what
    the job leaves is there after it. The job itself works in a folder of its own, with copies: a driver
    that was killed may be written for anew while its job reads.
    """

    def __init__(self, block: SlurmJobBlock) -> None:
        self._block, self._root = block, Path(block.work_root).expanduser().absolute()
        self._folder: Path | None = None

    @property
    def work_dir(self) -> Path:
        """The folder for the job's files.

        Raises:
            RuntimeError: outside of the `with` block.
        """
        if self._folder is None:
            raise RuntimeError("there is a work_dir only inside `with block.get_executor() as …`")
        return self._folder

    def __enter__(self) -> Self:
        if self._folder is not None:
            raise RuntimeError("this executor is in use; take another one: block.get_executor()")
        self._root.mkdir(parents=True, exist_ok=True)
        self._folder = Path(tempfile.mkdtemp(prefix="job_", dir=self._root))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # what the job left is in its own folder as well
        shutil.rmtree(self.work_dir, ignore_errors=True)
        self._folder = None

    async def execute_job(
        self,
        arguments: Sequence[str | int | float | Path] = (),
        timeout: float | None = None,
        **variables: Any,  # fields of the block
    ) -> int:
        """The job's exit code, once it has ended: 0 only of one that ended well.

        Args:
            arguments: of the executable; one that names `work_dir` means the job's own folder.
            timeout: seconds after which the running job is cancelled; waiting is not counted.
            variables: as of `get_job_variables`.

        Raises:
            InvalidParameters, JobRefused: nothing was submitted.
            TimeoutError: it ran longer than `timeout`.
        """
        with prefect_api():
            given = {**self._block.get_job_variables(), **variables}
            machine = await self._block.machine(self._inside(given), timeout)
            words = [self._inside(str(word)) for word in arguments]
            files = await to_thread.run_sync(_files_in, self.work_dir)
            slug = type(self._block).get_block_type_slug()
            inputs: list[str | Path] = [given["executable"], *words]
            for name in files:
                inputs += [name, self.work_dir / name]
            digest = await to_thread.run_sync(input_digest, inputs)
            name = f"{slug}-{digest[:12]}"
            command = Command(command_name=slug, executable_key=str(given["executable"]))
            outer = current_step()
            if outer.run_id != STANDALONE:
                return await self._run(outer, machine, command, words, name, files, timeout)
            step = await own_step(self._root, apart=True)
            name += repeated(name)
            with stepping(step):
                async with measuring(step.ledger):
                    return await self._run(step, machine, command, words, name, files, timeout)

    async def _run(
        self,
        step: Step,
        machine: HPCMachine,
        command: Command,
        words: Sequence[str],
        name: str,
        files: Sequence[str],
        timeout: float | None,
    ) -> int:
        code, files_back = 0, partial(_bring_back, self.work_dir, files)
        try:
            await machine.run_job(
                command,
                words,
                collect=files_back,
                name=name,
                before=partial(_bring, self.work_dir, files),
            )
        except JobFailed as error:
            code = error.exit_code_of_job or UNKNOWN_EXIT
            step.logger.error("%s", error)
            if timeout is not None and error.state == JobState.TIMEOUT:
                raise TimeoutError(str(error)) from error
        record = _newest(step, name)
        if code and record is not None:
            await to_thread.run_sync(files_back, record.folder)
        if record is not None and machine.where.scheduler != "local":
            await publish(METRICS, record)
        return code

    def _inside(self, value: Any) -> Any:  # whatever a variable holds
        """Where `work_dir` is named, the folder in which the job is."""
        if isinstance(value, str):
            return re.sub(re.escape(str(self.work_dir)) + r"(?=/|$)", ".", value)
        if isinstance(value, Mapping):
            return {name: self._inside(one) for name, one in value.items()}
        return [self._inside(one) for one in value] if isinstance(value, list) else value


class PyFunctionJob(SlurmJobBlock):
    """A Python function as a job: its arguments and its result go through files, without pickle.

    `executable` is the Python that runs it. What a function may take and give, its annotations say, as
    `qcsc_hpc.run_function` reads them.
    """

    _block_type_name: ClassVar[str | None] = "PyFunction Job"
    _block_type_slug: ClassVar[str | None] = "pyfunction_job"

    async def run(self, func: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """What the function returns, now or in an earlier life of the flow run.

        Raises:
            BadFunction: ranks cannot find it, or its annotations do not say enough.
            JobFailed: it raised.
        """
        bound = inspect.signature(func).bind(*args, **kwargs)
        if bound.kwargs:
            raise BadFunction(func.__qualname__, "a parameter of it can be given by name only")
        with prefect_api():
            machine = await self.machine(self.get_job_variables())
            python = {**machine.where.executable_map, "python": self.executable}
            machine = machine.model_copy(
                update={"hpc_profile": machine.where.model_copy(update={"executable_map": python})}
            )
            digest = arguments_digest(func, bound.args)[:12]
            label = f"{func.__name__}-{digest}"
            outer = current_step()
            if outer.run_id != STANDALONE:
                return await run_function(func, *bound.args, on=machine)
            root = Path(self.work_root).expanduser().absolute()
            step = await own_step(root, label=label + repeated(label), apart=True)
            with stepping(step):
                async with measuring(step.ledger):
                    value: T = await run_function(func, *bound.args, on=machine)
            record = _newest(step, func.__name__)
            if record is not None and machine.where.scheduler != "local":
                await publish(METRICS, record)
            return value


def _newest(step: Step, name: str) -> JobRecord | None:
    """The step's newest job of a name, however it ended."""
    jobs = step.ledger.of(step.iteration, step.name, step.label)
    mine = [record for record in jobs if record.key.name == name]
    return max(mine, key=lambda record: record.key.attempt, default=None)


def _walltime(text: str) -> str:
    """A walltime of seconds alone, as the tutorial's form takes it, in our form."""
    return clock(int(text)) if text.isdecimal() else text


def _files_in(folder: Path) -> list[str]:
    """Names of all files below, from there."""
    found = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    if taken := OURS & set(found):
        problem = f"{min(taken)} is a name that the job's own folder needs; call it otherwise"
        raise InvalidParameters("execute_job", [problem], [])
    return found


def _bring(source: Path, names: Sequence[str], folder: Path, _earlier: Path | None) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, folder / name)
        shutil.copymode(source / name, folder / name)


def _bring_back(target: Path, inputs: Sequence[str], folder: Path) -> None:
    """What the job has left, and what it has changed of its input."""
    begun = (folder / "started").stat().st_mtime_ns if is_there(folder / "started") else 0
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        if not path.is_file() or name in OURS or name.startswith(".exit."):
            continue
        if name in inputs and path.stat().st_mtime_ns < begun:
            continue
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target / name)
