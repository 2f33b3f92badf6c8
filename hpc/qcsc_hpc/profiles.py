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
from typing import Annotated, Any, ClassVar, Literal

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


def _filled(template: str, name: str) -> str:
    """The template, if the name is all that it leaves open."""
    try:
        template.format(**{name: ""})
    except (KeyError, IndexError, ValueError) as error:
        raise ValueError(f"only {{{name}}} can be filled in, in {template!r}") from error
    return template


def _with_project(template: str) -> str:
    if template and "{project}" not in template:
        raise ValueError(f"{template!r} has no {{project}} to stand for the project")
    return _filled(template, "project")


def _with_qpu(template: str) -> str:
    return _filled(template, "qpu")  # a licence needs no name: --licenses=qpu:1


# one line without control characters: it becomes part of a directive
Word = Annotated[str, StringConstraints(pattern=r"^[^\s\x00-\x1f\x7f]*$")]
Line = Annotated[str, StringConstraints(pattern=r"^[^\n\r\x00]*$")]
VariableValue = Annotated[str, AfterValidator(_without_nul)]
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
        pre_commands: lines of shell, run before the program; one that fails fails the job.
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
    pre_commands: list[str] = Field(default=[], description="shell lines run before the program")
    environments: dict[VariableName, VariableValue] = Field(default={}, title="Environment")
    memory: Annotated[str, AfterValidator(_memory)] = Field(
        default="", title="Memory per node", description="such as 16G"
    )
    gpus_per_node: int = Field(default=0, ge=0, title="GPUs per node")
    exclusive: bool = Field(default=False, description="nodes shared with no other job")
    queue_timeout: float | None = Field(default=None, gt=0, title="Longest wait in the queue (s)")
    run_timeout: float | None = Field(default=None, gt=0, title="Longest run (s)")
    resubmit: dict[JobState, Annotated[int, Field(ge=0)]] = Field(
        default={JobState.NODE_FAIL: 2, JobState.PREEMPTED: 5},
        description="further jobs after each kind of bad end",
    )

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
        qpu: name of the quantum computer the job is to have; `qpu_directive` says how the site
            wants it asked for: `--qpu={qpu}`, `--licenses=qpu:1`, `-l qpu={qpu}`.
        executable_map: keys of commands, launchers (`srun`, `mpiexec`, …) and `python` to paths.
        resources: site resources: Slurm `--gres`, PBS parts of the select chunk, PJM `-L` options.
        extra_directives: lines added to the script's head, after its prefix, as they stand.
        pass_variables: variables of the driver's environment that the scheduler's commands get, too,
            such as KRB5CCNAME, SLURM_JWT or XDG_RUNTIME_DIR; a job may inherit them.
        dialect: the scheduler's own commands, or a site's: see `dialects()`.
        chunk: what a chunk of PBS's `select` says: some sites refuse ncpus, or GPUs.
        place: PBS: how chunks are spread over nodes; empty: the job does not say.
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

    preset: str = Field(default="", description="a known site to start from: miyabi, fugaku")
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
    executable_map: dict[str, str] = Field(default={}, title="Executables")
    qpu: Word = Field(default="", title="QPU")
    qpu_directive: Annotated[Line, AfterValidator(_with_qpu)] = Field(
        default="--qpu={qpu}", title="QPU directive", description="how the site wants it asked for"
    )
    resources: list[Word] = Field(
        default=[], description="Slurm --gres, parts of a PBS chunk, PJM -L options"
    )
    reservation: Word = ""
    constraint: Line = ""
    extra_directives: list[Line] = Field(default=[], description="lines of the script's head")
    pass_variables: list[Annotated[VariableName, AfterValidator(_passable)]] = Field(
        default=[],
        title="Variables for the scheduler's commands",
        description="such as KRB5CCNAME, SLURM_JWT",
    )
    dialect: str = Field(
        default="",
        description="whose commands they are, if not the scheduler's own: miyabi, wisteria",
    )
    chunk: list[ChunkPart] = Field(
        default=["ncpus", "mpiprocs", "ompthreads", "mem", "ngpus"],
        title="Parts of a PBS chunk",
        description="what the site lets a job say of a chunk",
    )
    place: Word = Field(default="scatter", description="PBS only; empty: the job does not say")
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
            raise ValueError(f"preset {name!r} is not known; known: {', '.join(sorted(known))}")
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
                'name the site\'s commands instead, as dialect = "miyabi"'
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
def presets() -> dict[str, Json]:
    """Sites that are known: parts of an `HPCProfile`, by name."""
    text = resources.files("qcsc_hpc").joinpath("presets.toml").read_text()
    return tomllib.loads(text)


@cache
def dialects() -> dict[str, dict[str, Json]]:
    """Each scheduler's sets of commands by name; its own is the empty one."""
    text = resources.files("qcsc_hpc").joinpath("dialects.toml").read_text()
    return tomllib.loads(text)
