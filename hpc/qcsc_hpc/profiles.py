"""WHAT, HOW and WHERE: a command, the shape it runs in, and the machine it runs on.

Plain settings; the Prefect blocks of the same names hold the same fields (`prefect/blocks.py`).
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from qcsc_loop.errors import did_you_mean
from qcsc_loop.jobs.outcome import JobState
from qcsc_loop.plain import Json
from qcsc_loop.plugins import failures_said, load_all, offered

SCHEDULERS = "qcsc_hpc.schedulers"
LAUNCHERS = ("single", "srun", "mpirun", "mpiexec", "mpiexec.hydra")

_WALLTIME = re.compile(r"(?:(?:(\d+)-)?(\d+):)?(\d{1,2}):(\d{2})")
_MEMORY = re.compile(r"0|[1-9]\d*(K|M|G|T)B?", re.IGNORECASE)


def walltime_seconds(text: str) -> int:
    """Seconds of "HH:MM:SS", "D-HH:MM:SS" or "MM:SS".

    Raises:
        ValueError: it is none of them, or zero.
    """
    found = _WALLTIME.fullmatch(text)
    if found is None or int(found[3]) > 59 or int(found[4]) > 59:
        raise ValueError(f"a walltime is written HH:MM:SS, such as 00:30:00, not {text!r}")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    total = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    if not total:
        raise ValueError("a walltime is more than nothing")
    return total


def clock(seconds: int) -> str:
    """Seconds as HH:MM:SS, which every scheduler reads."""
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def _walltime(text: str) -> str:
    return clock(walltime_seconds(text)) if text else ""


def _memory(text: str) -> str:
    if text and _MEMORY.fullmatch(text) is None:
        form = "a whole number with K, M, G or T, such as 16G, or 0 for all of a node's"
        raise ValueError(f"memory is {form}, not {text!r}")
    return text.upper().removesuffix("B")


def scheduler_names() -> list[str]:
    """Every scheduler that is installed, and `local`. Imports none."""
    return ["local", *offered(SCHEDULERS)]


def launcher_names() -> list[str]:
    """Every launcher: those of all machines, and those that schedulers bring."""
    own = (kind for _, kind in load_all(SCHEDULERS).objects)
    brought = {name for kind in own for name in getattr(kind, "launchers", {})}
    return [*LAUNCHERS, *sorted(brought - set(LAUNCHERS))]


def _known(kind: str, name: str, names: list[str]) -> str:
    if name in names:
        return name
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    failed = failures_said(SCHEDULERS)
    raise ValueError(f"there is no {kind} {name!r}; there are {', '.join(names)}{hint}{failed}")


def _scheduler(name: str) -> str:
    return _known("scheduler", name, scheduler_names())


def _launcher(name: str) -> str:
    # only for one that is none of ours need schedulers be imported
    return name if name in LAUNCHERS else _known("launcher", name, launcher_names())


def _scheduler_choices(schema: Json) -> None:
    schema["enum"] = scheduler_names()


def _launcher_choices(schema: Json) -> None:
    schema["enum"] = launcher_names()


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("no process can have a NUL in its environment")
    return text


# what a batch system's own commands and libraries read; a job must not change by it
OF_SCHEDULERS = (
    *("SBATCH_", "SALLOC_", "SRUN_", "SLURM_", "SQUEUE_", "SACCT_", "SCANCEL_", "SINFO_"),
    *("PBS_", "QSUB_", "QSTAT_", "PJM_"),
)
# which system it is, and who asks: these change no job
ABOUT_THE_SYSTEM = frozenset(
    {
        "SLURM_CONF",
        "SLURM_CONF_SERVER",
        "SLURM_CLUSTERS",
        "SLURM_JWT",
        "PBS_SERVER",
        "PBS_DEFAULT",
        "PBS_CONF_FILE",
        "PBS_EXEC",
        "PBS_AUTH_METHOD",
    }
)


def changes_a_job(variable: str) -> bool:
    """Whether it is one by which a scheduler's commands, or ranks, do something else than asked."""
    return variable.startswith(OF_SCHEDULERS) and variable not in ABOUT_THE_SYSTEM


def _passable(variable: str) -> str:
    if changes_a_job(variable):
        why = (
            "would change jobs behind the profile's back; say it in the profile, or as a directive"
        )
        raise ValueError(f"{variable} {why}")
    return variable


def _filled(template: str, *names: str) -> str:
    """The template, if these names are all that it leaves open."""
    try:
        template.format(**dict.fromkeys(names, ""))
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        shown = " and ".join(f"{{{name}}}" for name in names)
        raise ValueError(f"only {shown} can be filled in, in {template!r}") from error
    return template


def _with_project(template: str) -> str:
    if template and "{project}" not in template:
        raise ValueError(f"{template!r} has no {{project}} to stand for the project")
    return _filled(template, "project")


def _with_qpu(template: str) -> str:
    return _filled(template, "qpu")  # a licence needs no name: --licenses=qpu:1


SHAPE = ("num_nodes", "mpiprocs", "ompthreads", "ranks")


def _with_shape(template: str) -> str:
    return _filled(template, *SHAPE)


def _each_once(order: list[str]) -> list[str]:
    if sorted(order) != ["modules", "pre_commands", "spack"]:
        raise ValueError(f"it names spack, modules and pre_commands once each, not {order}")
    return order


_EXPORTED = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(=[^\s,'\"\\\x00-\x1f\x7f]*)?")


def _exported(word: str) -> str:
    found = _EXPORTED.fullmatch(word)
    if found is None:
        why = "NAME, or NAME=VALUE with no blank, comma, quote or backslash in the value"
        raise ValueError(f"a variable that is exported is written {why}, not {word!r}")
    _passable(found[1])
    return word


# one line without control characters: it becomes part of a directive
Word = Annotated[str, StringConstraints(pattern=r"^[^\s\x00-\x1f\x7f]*$")]
Line = Annotated[str, StringConstraints(pattern=r"^[^\n\r\x00]*$")]
VariableValue = Annotated[str, AfterValidator(_without_nul)]
Licence = Annotated[str, StringConstraints(pattern=r"^[^\s,:]+(:\d+)?$")]
Exported = Annotated[str, AfterValidator(_exported)]
Staged = Annotated[str, StringConstraints(pattern=r"^[^\x00\n\r]+$")]
Preparation = Literal["spack", "modules", "pre_commands"]
ChunkPart = Literal["ncpus", "mpiprocs", "ompthreads", "mem", "ngpus"]
VariableName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class CommandFields(BaseModel):
    """WHAT runs.

    Attributes:
        command_name: what it is called.
        executable_key: key of the program in the machine's `executable_map`; a key that is not in
            it is taken as a path or a name on the job's PATH.
        default_args: arguments before those of each call.
    """

    command_name: str = Field(min_length=1, title="Name")
    executable_key: str = Field(min_length=1, description="key in the machine's executable map")
    description: str = ""
    default_args: list[str] = []


class ExecutionProfileFields(BaseModel):
    """HOW it runs.

    Attributes:
        profile_name, command_name: what it is called, and which command it is meant for.
        mpiprocs: MPI ranks on each node.
        ompthreads: OpenMP threads of each rank; exported as OMP_NUM_THREADS.
        memory: per node, as 16G; 0: all that a node has.
        gpus_per_rank: how many GPUs each rank is to have, where the scheduler gives them to ranks.
        gpu_bind: how the scheduler binds them, as `closest`.
        module_purge: no module of the login environment is left before `modules` are loaded.
        pre_commands: lines of shell, run before the program; one that fails fails the job.
        preparation_order: in which these are done.
        rank_commands: lines of shell that every rank runs before the program, where `$SLURM_LOCALID`
            and its like are known; one that fails fails the job.
        scratch: a folder on each node's own disk, as the shell of a rank expands it: `$TMPDIR`. A
            folder of the job's own in it is QCSC_SCRATCH for the ranks.
        stage_in: files that are copied to it first, on each node: paths, or names in the job's folder.
        stage_out: names in it, or patterns, of what is copied to the job's folder when a node's last
            rank has ended, however it did. What nodes leave must differ in its name.
        warning_seconds: so long before the walltime ends the program is told: see `EndOfWalltime`.
        warning_signal: by which.
        mail_to, mail_on: whom the scheduler writes, and of what.
        environments: exported to every rank as they stand; no `$` in them is expanded. Not for
            secrets: they are written to the job's script.
        queue_timeout, run_timeout: seconds after which a job that has not started, or not ended,
            is cancelled and is a TIMEOUT.
        resubmit: how many more jobs each bad outcome is worth, before the step fails.
    """

    profile_name: str = Field(default="default", title="Name")
    command_name: str = ""
    resource_class: Literal["cpu", "gpu"] = Field(
        default="cpu", description="which of the machine's queues and projects"
    )
    num_nodes: int = Field(default=1, ge=1, title="Nodes")
    mpiprocs: int = Field(default=1, ge=1, title="MPI ranks per node")
    ompthreads: int = Field(default=1, ge=1, title="OpenMP threads per rank")
    walltime: Annotated[str, AfterValidator(_walltime)] = Field(
        default="", title="Walltime", description="HH:MM:SS; empty: the queue's default"
    )
    launcher: Annotated[str, AfterValidator(_launcher)] = Field(
        default="single",
        description="what starts the ranks",
        json_schema_extra=_launcher_choices,
    )
    mpi_options: list[str] = Field(
        default=[], title="MPI options", description="arguments of the launcher"
    )
    modules: list[str] = Field(default=[], description="loaded with `module load`")
    module_purge: bool = Field(default=False, description="`module purge` before they are loaded")
    pre_commands: list[str] = Field(default=[], description="shell lines run before the program")
    preparation_order: Annotated[list[Preparation], AfterValidator(_each_once)] = Field(
        default=["spack", "modules", "pre_commands"], title="Order of preparations"
    )
    rank_commands: list[str] = Field(
        default=[], description="shell lines that every rank runs before the program"
    )
    environments: dict[VariableName, VariableValue] = Field(default={}, title="Environment")
    memory: Annotated[str, AfterValidator(_memory)] = Field(
        default="", title="Memory per node", description="such as 16G"
    )
    gpus_per_node: int = Field(default=0, ge=0, title="GPUs per node")
    gpus_per_rank: int = Field(default=0, ge=0, title="GPUs per rank")
    gpu_bind: Word = Field(default="", title="GPU binding", description="such as closest")
    exclusive: bool = Field(default=False, description="nodes shared with no other job")
    scratch: Line = Field(
        default="", title="Folder on a node's disk", description="such as $TMPDIR"
    )
    stage_in: list[Staged] = Field(default=[], description="files copied there before")
    stage_out: list[Staged] = Field(default=[], description="names there, copied back after")
    warning_seconds: int = Field(default=0, ge=0, title="Told before the walltime ends (s)")
    warning_signal: Literal["USR1", "USR2", "TERM", "HUP"] = "USR1"
    mail_to: Word = ""
    mail_on: list[Literal["begin", "end", "fail"]] = []
    queue_timeout: float | None = Field(default=None, gt=0, title="Longest wait in the queue (s)")
    run_timeout: float | None = Field(default=None, gt=0, title="Longest run (s)")
    resubmit: dict[JobState, Annotated[int, Field(ge=0)]] = Field(
        default={JobState.NODE_FAIL: 2, JobState.PREEMPTED: 5},
        description="further jobs after each kind of bad end",
    )

    @model_validator(mode="after")
    def _require_together(self) -> Self:
        """Settings that mean nothing without another one."""
        if (self.stage_in or self.stage_out) and not self.scratch:
            raise ValueError("stage_in and stage_out need scratch, the folder on a node's disk")
        if self.warning_seconds and not self.walltime:
            raise ValueError("warning_seconds need a walltime, whose end is warned of")
        left = (self.walltime_seconds or 0) - self.warning_seconds
        if self.warning_seconds and left <= 0:
            raise ValueError(
                f"of a walltime of {self.walltime} nothing is left before the last "
                f"{self.warning_seconds} s; make warning_seconds less"
            )
        if self.gpus_per_rank and self.gpus_per_node:
            raise ValueError("gpus_per_rank and gpus_per_node say the same; give one of them")
        if bool(self.mail_to) and not self.mail_on:
            raise ValueError('mail_to needs mail_on, such as ["end", "fail"]')
        return self

    @property
    def ranks(self) -> int:
        """MPI ranks in all."""
        return self.num_nodes * self.mpiprocs

    @property
    def walltime_seconds(self) -> int | None:
        return walltime_seconds(self.walltime) if self.walltime else None


class HPCProfileFields(BaseModel):
    """WHERE it runs: a site as data.

    Attributes:
        preset: a site whose settings are taken where none are given: see `presets()`.
        project_directive: how the site wants the project named; `{project}` stands for it.
        qos_cpu, qos_gpu: Slurm's quality of service, for each resource class.
        licenses: as NAME or NAME:COUNT, beside what a QPU takes.
        qpu: name of the quantum computer the job is to have; `qpu_directive` says how the site
            wants it asked for: `--qpu={qpu}`, `--licenses=qpu:1`, `-l qpu={qpu}`.
        executable_map: keys of commands, launchers (`srun`, `mpiexec`, …) and `python` to paths.
        resources: site resources: Slurm `--gres`, PBS parts of the select chunk, PJM `-L` options.
        resources_cpu, resources_gpu: further ones, for each resource class.
        constraint: which nodes; `constraint_cpu` and `constraint_gpu` stand in its place for their
            resource class.
        export: variables that a job is given, as NAME or NAME=VALUE; on Slurm also NONE, ALL or NIL.
        extra_directives: lines added to the script's head, after its prefix, as they stand.
        pass_variables: variables of the driver's environment that the scheduler's commands get, too,
            such as KRB5CCNAME, SLURM_JWT or XDG_RUNTIME_DIR; a job may inherit them.
        dialect: the scheduler's own commands, or a site's: see `dialects()`.
        chunk: what a chunk of PBS's `select` says: some sites refuse ncpus, or GPUs.
        select: PBS: all of `select`, in the place of what the settings would make of it; `{num_nodes}`,
            `{mpiprocs}`, `{ompthreads}` and `{ranks}` can be filled in.
        place: PBS: how chunks are spread over nodes; empty: the job does not say.
        array: jobs of one shape that parts of a step ask for at the same time go as one array, which
            takes one place in the queue; some sites have none, or count each element.
        array_size: elements of one array at most; more are dealt into several.
        gfscache: PJM: volumes for PJM_LLIO_GFSCACHE.
        spack_setup: the script to source before `spack load`.
        mpi_options_for_pjm: further parts of PJM's `--mpi`, such as `max-proc-per-node=4`.
        poll_seconds: the longest pause between two questions to the scheduler.
        command_timeout: seconds after which a scheduler's command counts as unanswered.
        settle_seconds: how long a submission that broke off may take to turn up.
        patience_seconds: how long a scheduler that does not answer is asked again.
        not_now_seconds: how long a job that is not taken yet, for a limit on jobs or a maintenance,
            is offered again.
        lost_seconds: how long a job that no command knows, or that has left no record of its end, is
            waited for: longer than a network file system believes an old look, which are 60 s.
    """

    # a form sends every field, also those that nobody has touched
    _from_a_form: ClassVar[bool] = False

    preset: str = Field(default="", description="a known site to start from: see qcsc-loop sites")
    scheduler: Annotated[str, AfterValidator(_scheduler)] = Field(
        json_schema_extra=_scheduler_choices
    )
    queue_cpu: Word = Field(default="", title="Queue")
    queue_gpu: Word = Field(default="", title="Queue for GPU jobs")
    project_cpu: Word = Field(default="", title="Project or account")
    project_gpu: Word = Field(default="", title="Project or account for GPU jobs")
    project_directive: Annotated[Line, AfterValidator(_with_project)] = Field(
        default="", description="how the site wants it named, as -W group_list={project}"
    )
    qos_cpu: Word = Field(default="", title="QOS", description="Slurm only")
    qos_gpu: Word = Field(default="", title="QOS for GPU jobs", description="Slurm only")
    licenses: list[Licence] = Field(default=[], description="NAME or NAME:COUNT")
    executable_map: dict[str, str] = Field(default={}, title="Executables")
    qpu: Word = Field(default="", title="QPU")
    qpu_directive: Annotated[Line, AfterValidator(_with_qpu)] = Field(
        default="--qpu={qpu}", title="QPU directive", description="how the site wants it asked for"
    )
    resources: list[Word] = Field(
        default=[], description="Slurm --gres, parts of a PBS chunk, PJM -L options"
    )
    resources_cpu: list[Word] = Field(default=[], description="further ones of CPU jobs")
    resources_gpu: list[Word] = Field(default=[], description="further ones of GPU jobs")
    reservation: Word = ""
    constraint: Line = ""
    constraint_cpu: Line = Field(default="", title="Constraint of CPU jobs")
    constraint_gpu: Line = Field(default="", title="Constraint of GPU jobs")
    export: list[Exported] = Field(
        default=[], description="variables that a job is given, NAME or NAME=VALUE"
    )
    extra_directives: list[Line] = Field(default=[], description="lines of the script's head")
    pass_variables: list[Annotated[VariableName, AfterValidator(_passable)]] = Field(
        default=[],
        title="Variables for the scheduler's commands",
        description="such as KRB5CCNAME, SLURM_JWT",
    )
    dialect: str = Field(
        default="",
        description="whose commands they are, if not the scheduler's own",
    )
    chunk: list[ChunkPart] = Field(
        default=["ncpus", "mpiprocs", "ompthreads", "mem", "ngpus"],
        title="Parts of a PBS chunk",
        description="what the site lets a job say of a chunk",
    )
    select: Annotated[Line, AfterValidator(_with_shape)] = Field(
        default="", title="All of PBS's select", description="such as {num_nodes}"
    )
    place: Word = Field(default="scatter", description="PBS only; empty: the job does not say")
    array: bool = Field(
        default=False, title="Job arrays", description="parts' jobs of one shape go as one array"
    )
    array_size: int = Field(default=1000, ge=2, title="Elements of an array at most")
    gfscache: Word = Field(default="", title="LLIO cache volumes", description="PJM only")
    spack_setup: str = ""
    spack_modules: list[str] = []
    mpi_options_for_pjm: list[Word] = Field(
        default=[], title="MPI options of PJM", description="further parts of --mpi"
    )
    poll_seconds: float = Field(default=10.0, gt=0, title="Longest pause between questions (s)")
    command_timeout: float = Field(default=30.0, gt=0, title="Longest wait for a command (s)")
    settle_seconds: float = Field(
        default=5.0, ge=0, title="Looking for a job that may be there (s)"
    )
    patience_seconds: float = Field(
        default=3600.0, ge=0, title="Asking a scheduler that is away (s)"
    )
    not_now_seconds: float = Field(
        default=86400.0,
        ge=0,
        title="Offering a job that is not taken yet (s)",
        description="limits on jobs, maintenance",
    )
    lost_seconds: float = Field(default=75.0, gt=0, title="Until a job counts as lost (s)")

    @model_validator(mode="before")
    @classmethod
    def _from_preset(cls, given: Any) -> Any:  # whatever is being validated
        if not isinstance(given, Mapping) or not given.get("preset"):
            return given
        known, name = presets(), given["preset"]
        if name not in known:
            every = ", ".join(sorted(known))
            hint = did_you_mean(str(name), known)
            raise ValueError(f"preset {name!r} is not known{hint}; known: {every}")
        own = dict(given)
        if cls._from_a_form:
            own = {key: value for key, value in given.items() if value != _default(cls, key)}
        return {**given, **known[name], **own}

    @model_validator(mode="before")
    @classmethod
    def _without_history_flag(cls, given: Any) -> Any:  # as above
        """What earlier versions wrote: -x is what PBS is asked with, -H a dialect's."""
        if not isinstance(given, Mapping) or "history_flag" not in given:
            return given
        if given["history_flag"] != "-x" and not given.get("preset") and not given.get("dialect"):
            raise ValueError(
                "history_flag is no setting any more: no PBS has -H where OpenPBS has -x; "
                "name the site's commands instead, by its preset (qcsc-loop sites) or as dialect"
            )
        return {key: value for key, value in given.items() if key != "history_flag"}

    @field_validator("dialect")
    @classmethod
    def _known_dialect(cls, name: str, info: ValidationInfo) -> str:
        known = [one for one in dialects().get(info.data.get("scheduler", ""), {}) if one]
        if name and name not in known:
            there = f"; known: {', '.join(known)}" if known else ", and has none but its own"
            raise ValueError(f"{info.data.get('scheduler')} has no dialect {name!r}{there}")
        return name

    def queue(self, how: ExecutionProfileFields) -> str:
        """The queue of the profile's resource class."""
        return self.queue_gpu if how.resource_class == "gpu" else self.queue_cpu

    def qos(self, how: ExecutionProfileFields) -> str:
        """The quality of service of the profile's resource class."""
        return self.qos_gpu if how.resource_class == "gpu" else self.qos_cpu

    def constraint_of(self, how: ExecutionProfileFields) -> str:
        """Which nodes jobs of the profile's resource class may have."""
        own = self.constraint_gpu if how.resource_class == "gpu" else self.constraint_cpu
        return own or self.constraint

    def resources_of(self, how: ExecutionProfileFields) -> list[str]:
        """What jobs of the profile's resource class ask for."""
        own = self.resources_gpu if how.resource_class == "gpu" else self.resources_cpu
        return [*self.resources, *own]

    def project(self, how: ExecutionProfileFields) -> str:
        """The project of the profile's resource class."""
        return self.project_gpu if how.resource_class == "gpu" else self.project_cpu


def _default(kind: type[BaseModel], name: str) -> Any:
    info = kind.model_fields.get(name)
    return None if info is None else info.get_default(call_default_factory=True, validated_data={})


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class Command(CommandFields, _Settings):
    """WHAT runs, as settings."""


class ExecutionProfile(ExecutionProfileFields, _Settings):
    """HOW it runs, as settings."""


class HPCProfile(HPCProfileFields, _Settings):
    """WHERE it runs, as settings."""


@cache
def known_sites() -> dict[str, Json]:
    """Sites that are known, as `presets.toml` describes them."""
    text = resources.files("qcsc_hpc").joinpath("presets.toml").read_text()
    return tomllib.loads(text)


@cache
def presets() -> dict[str, Json]:
    """What a preset stands for: parts of an `HPCProfile`, by the site's name."""
    return {name: site["profile"] for name, site in known_sites().items()}


@cache
def dialects() -> dict[str, dict[str, Json]]:
    """Each scheduler's sets of commands by name; its own is the empty one."""
    text = resources.files("qcsc_hpc").joinpath("dialects.toml").read_text()
    return tomllib.loads(text)
