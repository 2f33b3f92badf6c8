"""A scheduler as pure functions: the words of its commands, and what its answers mean."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, TypeVar

from qcsc_hpc.profiles import ExecutionProfile, HPCProfile
from qcsc_loop.jobs.outcome import JobMetrics, JobState

Argv = list[str]
LauncherWords = Callable[[ExecutionProfile], list[str]]
"""The words between a launcher's program and what every rank runs, without `mpi_options`."""

# in the job's folder, which is where a submission runs: what the scheduler itself writes
SCHEDULER_LOG = "scheduler.log"

# mpirun may be Open MPI's, which has another option
HYDRA_PER_NODE = {"mpiexec": "-ppn", "mpiexec.hydra": "-ppn"}

# settings that every machine honours, for the script and the site do it, not the scheduler
EVERYWHERE = frozenset(
    {
        "profile_name",
        "command_name",
        "resource_class",
        "mpiprocs",
        "ompthreads",
        "launcher",
        "mpi_options",
        "modules",
        "module_purge",
        "pre_commands",
        "preparation_order",
        "rank_commands",
        "scratch",
        "stage_in",
        "stage_out",
        "environments",
        "run_timeout",
        "resubmit",
        "preset",
        "scheduler",
        "dialect",
        "executable_map",
        "spack_setup",
        "spack_modules",
        "poll_seconds",
        "command_timeout",
        "settle_seconds",
        "patience_seconds",
        "not_now_seconds",
        "pass_variables",
        "array_size",  # only says how large one is
        "lost_seconds",
        "project_directive",
        "qpu_directive",
        "warning_signal",  # only say how another one is asked for
    }
)


@dataclass(frozen=True)
class Answer:
    """What a scheduler's command said."""

    argv: Sequence[str]
    code: int
    out: str
    err: str

    @property
    def words(self) -> str:
        """What it said, for people."""
        # a command that went well says on stderr what is no matter of its answer
        said = (self.out or self.err) if self.code == 0 else (self.err or self.out)
        return " ".join(said.split()) or f"exit code {self.code}"

    @property
    def lines(self) -> list[str]:
        """Its answer, line by line.

        Raises:
            NotUnderstood: it is cut off. What is left of its last line may say something else: of
                an id, another job's.
        """
        if self.out and not self.out.endswith("\n"):
            raise NotUnderstood(f"it is cut off after {self.out[-40:]!r}")
        return self.out.split("\n")[:-1]

    def lines_like(self, pattern: re.Pattern[str]) -> list[re.Match[str]]:
        """The lines that are of this form: a site may greet before it answers.

        Raises:
            NotUnderstood: it is cut off.
        """
        found = (pattern.fullmatch(line.strip()) for line in self.lines)
        return [match for match in found if match is not None]


@dataclass(frozen=True)
class Status:
    """What the scheduler says of one job.

    Attributes:
        state: normalised; ENDING while its processes are being cleared away.
        reason: the scheduler's own word for the state.
        restarts: how often it was started again; None if the scheduler does not say.
    """

    state: JobState
    reason: str = ""
    exit_code: int | None = None
    signal: int | None = None
    metrics: JobMetrics = field(default_factory=JobMetrics)
    restarts: int | None = None


@dataclass(frozen=True)
class ArrayWords:
    """How a scheduler's arrays look from inside: many jobs of one head, numbered from 0.

    Attributes:
        number: in the script, the element's.
        own_id: in a job's script, the id of the element that it is, or of a job that is none.
    """

    number: str
    own_id: str


@dataclass(frozen=True)
class Placement:
    """All that a script's head is made of."""

    job_name: str
    key: str
    where: HPCProfile
    how: ExecutionProfile


class NotUnderstood(Exception):
    """An answer that is no answer: an error that may pass, or text that is cut off.

    Attributes:
        permanent: asking again will not help.
        not_now: a job was certainly not taken, and may be later.
        question: it is the question that the site does not take; it can be put otherwise.
        fewer: so many jobs at once were certainly not taken; fewer may be.
    """

    def __init__(
        self,
        why: str,
        *,
        permanent: bool = False,
        not_now: bool = False,
        question: bool = False,
        fewer: bool = False,
    ) -> None:
        self.permanent, self.not_now, self.question = permanent, not_now, question
        self.fewer = fewer
        super().__init__(why)


# what reading raises where an answer is not what its command says
UNREADABLE = (ValueError, LookupError, TypeError, AttributeError)


def as_not_understood(error: Exception) -> NotUnderstood:
    """An answer that cannot be read is one that is not understood."""
    if isinstance(error, NotUnderstood):
        return error
    return NotUnderstood(f"it cannot be read ({type(error).__name__}: {error})")


@dataclass(frozen=True)
class Dialect(ABC):
    """How a script is written for one kind of machine.

    Attributes:
        where: the site's settings.
        name: as profiles and entry points have it.
        title: as people call it.
        prefix: of a directive.
        own_id: in the script, the id of the job it runs in.
        own_restarts: in the script, how often the scheduler has started it again, where a job is
            told.
        honoured: settings that the directives or the commands make something of.
        refused: settings that it cannot be asked for, and what to give instead. One that is in
            neither is refused, too: nothing that was asked for is left out in silence.
        shebang: by default that of a login shell: its environment, whoever submits.
        writes_output: the scheduler puts the output where the script is to have it, its own
            messages among it.
        accounting: commands beside the queue's, which a site may deny or do without.
        gathers: files of the job's folder in which the launcher leaves what ranks write, as a pattern
            of the shell: the script adds them to its output.
        passed: variables that a submission gets of the driver's environment, beside those that say
            who the user is; `NAME_*` stands for all that begin so.
        per_node_options: a launcher's option for the ranks of a node, where there are several.
        launchers: launchers of its own, by the name that profiles have.
        arrays: of its arrays, if it has any.
    """

    where: HPCProfile

    name: ClassVar[str]
    title: ClassVar[str]
    prefix: ClassVar[str]
    own_id: ClassVar[str]
    own_restarts: ClassVar[str] = "null"
    honoured: ClassVar[frozenset[str]] = frozenset()
    refused: ClassVar[Mapping[str, str]] = {}
    shebang: ClassVar[str] = "#!/bin/bash -l"
    writes_output: ClassVar[bool] = False
    accounting: ClassVar[frozenset[str]] = frozenset()
    gathers: ClassVar[str] = ""
    passed: ClassVar[Sequence[str]] = ()
    per_node_options: ClassVar[Mapping[str, str]] = {}
    launchers: ClassVar[Mapping[str, LauncherWords]] = {}
    arrays: ClassVar[ArrayWords | None] = None

    @property
    def script_id(self) -> str:
        """In the script, the id by which the scheduler's commands know the job."""
        if self.where.array and self.arrays is not None:
            return self.arrays.own_id
        return self.own_id

    @property
    def before_launcher(self) -> str:
        """Shell text before the launcher's words."""
        return ""

    def settings(self) -> list[str]:
        """Lines of the script, before its preparations."""
        return []

    @abstractmethod
    def directives(self, job: Placement) -> list[str]:
        """The script's head, without the prefix."""

    def unsayable(self, how: ExecutionProfile) -> dict[str, str]:
        """Settings for which this one site leaves no words, each with what to do instead."""
        return {}


# Many short methods: two for each question, its words and what the answer means.
class Scheduler(Dialect, ABC):
    """One batch system. No function here runs anything."""

    @property
    def ids_a_question(self) -> int:
        """How many jobs `status` and `history` may ask for at once."""
        return 200

    @property
    def plain(self) -> Scheduler | None:
        """The same, asked as every version of it takes it; None if this is so already."""
        return None

    @abstractmethod
    def submit(self, script: str) -> Argv: ...

    @abstractmethod
    def submitted(self, answer: Answer) -> str:
        """The id of the new job.

        Raises:
            NotUnderstood: there is none; `permanent` if the scheduler refuses the job, `not_now`
                if it does not take it yet.
        """

    @abstractmethod
    def status(self, ids: Sequence[str]) -> Argv:
        """Asks for several jobs at once, at most `ids_a_question`."""

    @abstractmethod
    def statuses(self, answer: Answer) -> dict[str, Status]:
        """What it says of each.

        An id that is missing in the answer for several is asked for singly; missing there, the
        scheduler does not know it. So one of which something is said that cannot be read may be
        missing beside others, but not alone.

        Raises:
            NotUnderstood: it is no answer.
        """

    def history(self, ids: Sequence[str]) -> Argv | None:
        """Asks for jobs that `status` has forgotten; None if that shows all."""
        return None

    def histories(self, answer: Answer) -> dict[str, Status]:
        """As `statuses`."""
        return self.statuses(answer)

    def again(self, job_id: str) -> list[Argv]:
        """Other questions about a job that the ones above leave open, answered as `status` is."""
        return []

    @abstractmethod
    def find(self, job_name: str) -> list[Argv]:
        """Questions that together look wherever a job of this name may be."""

    @abstractmethod
    def found(self, answer: Answer, job_name: str) -> list[str]:
        """Ids of jobs of this name, oldest first.

        Raises:
            NotUnderstood: it is no answer.
        """

    def place(self, job_id: str) -> list[Argv]:
        """Questions for the folder that a job was submitted from; none if that cannot be told."""
        return []

    def placed(self, answer: Answer, job_id: str) -> str:
        """That folder; empty if this answer does not say.

        Raises:
            NotUnderstood: it is no answer.
        """
        return ""

    @abstractmethod
    def cancel(self, job_id: str) -> Argv: ...

    @abstractmethod
    def cancelled(self, answer: Answer) -> None:
        """Accepts that the job is being ended, or was over, or is not known.

        Raises:
            NotUnderstood: the scheduler did not do it.
        """

    # arrays, where `arrays` says that there are any

    def submit_array(self, script: str, size: int) -> Argv:
        """Submits so many jobs at once, at least two; `submitted` reads the answer.

        It runs in the array's folder. What the scheduler itself writes of an element goes to
        `NUMBER.log` there.
        """
        raise NotImplementedError

    def element(self, array_id: str, number: int) -> str:
        """The id of one of them."""
        raise NotImplementedError

    def array_of(self, job_id: str) -> str:
        """The id of the array that an element belongs to; empty for a job that is none.

        Given in the place of a job's to `status` and `history`, it asks for all of its elements.
        """
        return ""

    def cancel_all(self, job_ids: Sequence[str]) -> Argv:
        """Ends several jobs, elements among them; `cancelled` reads the answer."""
        raise NotImplementedError

    def is_accounting(self, question: Argv) -> bool:
        """Whether a question may stay without an answer, and is then no outage."""
        return not self.accounting.isdisjoint(question)

    def measure(self, ids: Sequence[str]) -> Argv | None:
        """Asks accounting what finished jobs took; None if `status` says it all."""
        return None

    def measured(self, answer: Answer) -> dict[str, JobMetrics]:
        """What accounting says of each."""
        return {}

    def never_starts(self, status: Status) -> bool:
        """Whether a waiting job was accepted, but can never run."""
        return False

    def in_the_light_of(self, status: Status, tail: str) -> Status:
        """The status, corrected by what the job's output says."""
        return status


T = TypeVar("T")


def runs_of(numbers: Iterable[int]) -> list[str]:
    """Numbers as a range each, where they follow on one another: 0-3, 7."""
    runs: list[tuple[int, int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return [f"{first}" if first == last else f"{first}-{last}" for first, last in runs]


def read_each(jobs: Iterable[tuple[str, T]], read: Callable[[T], Status]) -> dict[str, Status]:
    """Each job's status; one that cannot be read hides no other, but is no answer alone.

    Raises:
        NotUnderstood: none can be read, though something is said.
    """
    found: dict[str, Status] = {}
    unread: NotUnderstood | None = None
    for job_id, said in jobs:
        try:
            found[job_id] = read(said)
        except (NotUnderstood, *UNREADABLE) as error:
            unread = as_not_understood(error)
            found.pop(job_id, None)  # what is said of it before is not its last word
    if unread is not None and not found:
        raise unread
    return found


def asked_for(where: HPCProfile, how: ExecutionProfile) -> list[str]:
    """The names of the settings that are not as they are by default."""
    names: list[str] = []
    for settings in (where, how):
        for name, info in type(settings).model_fields.items():
            if getattr(settings, name) != info.get_default(call_default_factory=True):
                names.append(name)
    return names


def refusals(dialect: Dialect, how: ExecutionProfile) -> dict[str, str]:
    """Settings that were asked for and cannot be honoured there, each with what to do instead."""
    asked = asked_for(dialect.where, how)
    said = {name: why for name, why in dialect.refused.items() if name in asked}
    said |= dialect.unsayable(how)
    silent = set(asked) - EVERYWHERE - dialect.honoured - said.keys()
    return said | {name: _not_honoured(dialect) for name in asked if name in silent}


def _not_honoured(dialect: Dialect) -> str:
    return f"{dialect.title} makes nothing of it; leave it out, or say it in extra_directives"
