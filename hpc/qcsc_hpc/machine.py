"""Where classical work goes: programs over MPI ranks, as jobs that are done once."""

from __future__ import annotations

import hashlib
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal, TypeVar

from anyio import to_thread
from pydantic import Field

from qcsc_hpc.profiles import LAUNCHERS, Command, ExecutionProfile, HPCProfile
from qcsc_hpc.schedulers import dialect_for
from qcsc_hpc.schedulers.scheduler import Dialect, refusals
from qcsc_hpc.script.job_folder import JobFolder
from qcsc_hpc.script.job_script import ScriptFacts, render
from qcsc_hpc.script.outputs import missing
from qcsc_hpc.sites.batch import BatchSite
from qcsc_hpc.sites.local import LocalSite
from qcsc_hpc.warm.requesting import Asked, warm_request
from qcsc_hpc.warm.settings import Placement, Warm
from qcsc_hpc.warm.warm_site import results_in
from qcsc_loop.concurrency.whole_file import write_whole
from qcsc_loop.errors import JobRefused
from qcsc_loop.exactly_once.request import JobRequest, JobResult
from qcsc_loop.exactly_once.run_once import run_once
from qcsc_loop.jobs.key import JobKey
from qcsc_loop.parameters.resource import Resource
from qcsc_loop.steps.step import JOB_SUFFIX

T = TypeVar("T")


@dataclass(frozen=True)
class Program:
    """A program that an algorithm brings.

    Attributes:
        name: what its jobs are called, and the key under which a site may have one of its own.
        module: the Python module that does it where the site has none; each rank runs
            `python -m mpi4py -m module`, so that one rank's exception ends all.
        mpi: whether it is an MPI program.
        source: a further module, or a file, whose code it runs.
    """

    name: str
    module: str
    mpi: bool = True
    source: str = ""


def _nothing_before(_folder: Path, _earlier: Path | None) -> None:
    pass


class Machine(Resource, ABC):
    """Settings of a place where programs run: WHERE and HOW.

    Attributes:
        placement: a job for each call, or one warm job that serves a run's calls.
        warm: how that one lives.
    """

    block_type: ClassVar[str | None] = "hpc-machine"

    placement: Placement = "job"
    warm: Warm = Warm()

    @property
    @abstractmethod
    def where(self) -> HPCProfile:
        """The site."""

    @property
    @abstractmethod
    def how(self) -> ExecutionProfile:
        """The shape of a job."""

    @property
    def what(self) -> Command | None:
        """A command that stands in for the algorithm's own program."""
        return None

    async def run(
        self,
        program: Program | Command,
        arguments: Sequence[str | Path],
        *,
        collect: Callable[[Path], T],
        ranks: int | None = None,
        outputs: Sequence[str] = (),
    ) -> T:
        """What `collect` reads from the folder of a job that did the work, now or earlier.

        The job belongs to the current step: whatever dies, and whenever, a call that comes to the
        same step gets the same job's results.

        Args:
            arguments: a `Path` is an input file: its content is part of what the job is.
            collect: called in a thread with the job's folder, as often as somebody comes to this step;
                what it raises fails the step, and the job is kept.
            ranks: MPI ranks; None: as many as the machine's profile says.
            outputs: files that the program leaves in its folder, which is where it runs. Where it
                does not, the job has failed, whatever the program's exit code.

        Raises:
            JobRefused: the machine cannot run it so; nothing was submitted.
            JobFailed: it ended otherwise than well.
            ResultUnreadable: it ended well, and `collect` failed.
        """
        return (
            await self.run_job(program, arguments, collect=collect, ranks=ranks, outputs=outputs)
        ).value

    async def run_job(
        self,
        program: Program | Command,
        arguments: Sequence[str | Path],
        *,
        collect: Callable[[Path], T],
        ranks: int | None = None,
        outputs: Sequence[str] = (),
        name: str = "",
        directory: Path | None = None,
        before: Callable[[Path, Path | None], None] = _nothing_before,
    ) -> JobResult[T]:
        """As `run`, with how the job went.

        Args:
            name: tells the job from the step's others; by default the program's.
            directory: where the program runs, if not in the job's folder.
            before: called with the folder of a new job, and that of the attempt before it.
        """
        how = self.shaped(ranks)
        argv = command_line(self.where, self.what or program, arguments)
        called = program.name if isinstance(program, Program) else program.command_name
        # not over where the program lies: a resumed run may be on another machine
        digest = await to_thread.run_sync(input_digest, [called, *arguments])
        site = self.site()
        job = JobRequest(
            name=name or called,
            site=site,
            input_sha256=digest,
            prepare=partial(
                self._write_script,
                how,
                [str(word) for word in argv],
                directory,
                outputs,
                before,
            ),
            submit=partial(_submit, site, how),
            collect=partial(_collected, collect, outputs),
            resubmit=how.resubmit,
            queue_seconds=how.queue_timeout,
            run_seconds=how.run_timeout if isinstance(site, BatchSite) else _shortest(how),
        )
        if self.placement == "job" or directory is not None:
            return await run_once(job)
        modules = _modules_of(self.what or program, self.where)
        words = [str(word) for word in (arguments if modules else argv)]
        asked = Asked(modules, words, how, outputs, before, pool=self.shaped(None))
        return await run_once(
            await to_thread.run_sync(warm_request, job, asked, self.where, self.warm)
        )

    def site(self) -> BatchSite | LocalSite:
        """Where jobs go."""
        return LocalSite() if self.where.scheduler == "local" else BatchSite(where=self.where)

    def dialect(self) -> Dialect:
        """How scripts are written there."""
        return dialect_for(self.where)

    def shaped(self, ranks: int | None) -> ExecutionProfile:
        """The profile for so many ranks.

        Raises:
            JobRefused: they cannot be spread over its nodes, or it asks for what is not there.
        """
        how, dialect = self.how, self.dialect()
        title = dialect.title
        for field, why in refusals(dialect, how).items():
            raise JobRefused(title, field, why)
        if ranks is not None and ranks < 1:
            raise JobRefused(title, "ranks", f"a program needs at least 1, not {ranks}")
        if ranks is None or ranks == how.ranks:
            return _launchable(dialect, how)
        if ranks % how.num_nodes:
            why = f"{ranks} do not divide evenly over {how.num_nodes} nodes"
            raise JobRefused(title, "ranks", why)
        return _launchable(dialect, how.model_copy(update={"mpiprocs": ranks // how.num_nodes}))

    def preview(self, ranks: int | None = None) -> str:
        """Where its jobs go and in which shape; then, of one with a queue, a job's script."""
        how, what = self.shaped(ranks), self.what
        shape = f"{how.num_nodes} node{'' if how.num_nodes == 1 else 's'}, {how.ranks} ranks"
        if self.where.scheduler == "local":
            return f"this machine, {how.ranks} ranks"
        walltime = f", walltime {how.walltime}" if how.walltime else ""
        placed = "a job for each call" if self.placement == "job" else "one warm job"
        program = ["PROGRAM"]
        if what is not None:
            program = [str(word) for word in command_line(self.where, what, [])]
        key = JobKey(run_id="RUN", run_uid="", iteration=1, step="evaluate", name="PROGRAM")
        script = self.script(key, Path("/RUN/FOLDER"), how, program)
        return f"{self.dialect().title}, {shape}{walltime}, {placed}\n{script}"

    def script(
        self,
        key: JobKey,
        folder: Path,
        how: ExecutionProfile,
        program: list[str],
        directory: Path | None = None,
        outputs: Sequence[str] = (),
        earlier: Path | None = None,
    ) -> str:
        """The script of a job; its ranks are told where the attempt before it worked."""
        told = {} if earlier is None else {"QCSC_EARLIER": str(earlier)}
        told |= {"QCSC_JOB_FOLDER": str(folder)} if how.warning_seconds else {}
        facts = ScriptFacts(
            job_name=key.job_name,
            key=str(key),
            folder=folder,
            program=program,
            where=self.where,
            how=how,
            environment={"QCSC_JOB_KEY": str(key), "QCSC_RANKS": str(how.ranks), **told},
            directory=directory,
            outputs=outputs,
        )
        return render(self.dialect(), facts)

    def _write_script(
        self,
        how: ExecutionProfile,
        program: list[str],
        directory: Path | None,
        outputs: Sequence[str],
        before: Callable[[Path, Path | None], None],
        key: JobKey,
        folder: Path,
    ) -> None:
        earlier = None
        if key.attempt:
            earlier = results_in(folder.with_name(f"{key.name}.{key.attempt - 1}{JOB_SUFFIX}"))
        if isinstance(site := self.site(), BatchSite):
            site.require()
        before(folder, earlier)
        script = self.script(key, folder, how, program, directory, outputs, earlier)
        with write_whole(JobFolder(folder).script) as file:
            file.write(os.fsencode(script))


class HPCMachine(Machine):
    """A machine as three blocks describe it: WHAT, HOW and WHERE.

    Attributes:
        command: stands in for the algorithm's own program; None: that one runs.
    """

    type: Literal["hpc"] = "hpc"
    hpc_profile: HPCProfile
    execution_profile: ExecutionProfile = ExecutionProfile()
    command: Command | None = None

    @property
    def where(self) -> HPCProfile:
        return self.hpc_profile

    @property
    def how(self) -> ExecutionProfile:
        return self.execution_profile

    @property
    def what(self) -> Command | None:
        return self.command


class LocalMachine(Machine):
    """Ranks on this machine, started by the launcher of the `mpich` wheel.

    Attributes:
        ranks: MPI ranks, where an algorithm does not ask for a number.
        threads: OpenMP threads per rank.
    """

    type: Literal["local"] = "local"
    ranks: int = Field(default=2, ge=1)
    threads: int = Field(default=1, ge=1)

    @property
    def where(self) -> HPCProfile:
        return HPCProfile(scheduler="local")

    @property
    def how(self) -> ExecutionProfile:
        return ExecutionProfile(mpiprocs=self.ranks, ompthreads=self.threads, launcher="mpiexec")


async def _submit(
    site: BatchSite | LocalSite, how: ExecutionProfile, key: JobKey, folder: Path
) -> str:
    if isinstance(site, BatchSite):
        return await site.submit(key, folder, how)
    return await site.submit(key, folder)


def command_line(
    where: HPCProfile, program: Program | Command, arguments: Sequence[str | Path]
) -> list[str | Path]:
    """The argument vector of each rank."""
    if isinstance(program, Command):
        key = program.executable_key
        return [where.executable_map.get(key, key), *program.default_args, *arguments]
    if program.name in where.executable_map:
        return [where.executable_map[program.name], *arguments]
    python = where.executable_map.get("python", sys.executable)
    through = ["-m", "mpi4py"] if program.mpi else []
    return [python, *through, "-m", program.module, *arguments]


def _launchable(dialect: Dialect, how: ExecutionProfile) -> ExecutionProfile:
    title, own = dialect.title, list(dialect.launchers)
    others = ", ".join([*own, "srun", "mpiexec", "mpiexec.hydra"]) + " or mpirun"
    if how.launcher not in (*LAUNCHERS, *own):
        why = f"{how.launcher!r} is another scheduler's; take {others}"
        raise JobRefused(title, "launcher", why)
    if how.launcher == "single" and how.ranks > 1:
        why = f"'single' starts one rank, not {how.ranks}; take {others}"
        raise JobRefused(title, "launcher", why)
    if how.launcher == "single" and how.mpi_options:
        why = "'single' starts no launcher that could take them; leave them out, or take another"
        raise JobRefused(title, "mpi_options", why)
    return how


def _modules_of(program: Program | Command, where: HPCProfile) -> list[str]:
    """The module that ranks run, and others; none where it is a program of its own."""
    if not isinstance(program, Program) or program.name in where.executable_map:
        return []
    return [program.module, *([program.source] if program.source else [])]


def _shortest(how: ExecutionProfile) -> float | None:
    """Where no scheduler ends a job at its walltime, we do."""
    limits = [limit for limit in (how.run_timeout, how.walltime_seconds) if limit is not None]
    return min(limits, default=None)


def input_digest(argv: Sequence[str | Path]) -> str:
    """A hash over the command and the content of its input files; not over where they lie."""
    total = hashlib.sha256()
    for word in argv:
        if isinstance(word, Path):
            with word.open("rb") as file:
                part = hashlib.file_digest(file, "sha256").digest()
        else:
            part = os.fsencode(word)
        total.update(len(part).to_bytes(8, "big") + part)
    return total.hexdigest()


def _collected(collect: Callable[[Path], T], outputs: Sequence[str], folder: Path) -> T:
    results = results_in(folder)
    # they were there when the job ended
    if fault := missing(results, outputs):
        raise FileNotFoundError(fault)
    return collect(results)
