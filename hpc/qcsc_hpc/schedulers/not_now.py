"""What a scheduler decides when it takes no job: not now, never, or nothing.

One table for all of them. The first line that fits decides; what no line knows decides as `ELSE` says.
Texts are those of Slurm's `slurm_errno.c` and its reasons of waiting jobs, of OpenPBS's
`pbs_error.h` and `pbs_messages.c`, and of PJM as its users have published them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from qcsc_hpc.schedulers.scheduler import Answer, NotUnderstood


class Decision(StrEnum):
    """What an answer without an id says of the job."""

    NO_ANSWER = "no answer"  # it may have been taken
    NOT_NOW = "not now"  # it was not taken, and may be later
    NEVER = "never"  # it was not taken, and will not be


NO_ANSWER, NOT_NOW, NEVER = Decision


@dataclass(frozen=True)
class Words:
    """A line of the table.

    Attributes:
        of: the scheduler that says so; empty: any, or what stands between it and us.
        text: a regular expression, whatever the case.
        fewer: it is about how many jobs there are, or an array has: fewer at once may be taken.
    """

    of: str
    text: str
    decision: Decision
    fewer: bool = False

    def fit(self, scheduler: str, said: str) -> bool:
        """Whether these are what a scheduler said."""
        return self.of in ("", scheduler) and re.search(self.text, said, re.I | re.M) is not None


TABLE = (
    # Slurm. It may have heard us: who does not answer refuses nothing
    Words("slurm", r"unable to contact slurm controller|socket timed out|timed out", NO_ANSWER),
    Words(
        "slurm", r"connection (refused|reset|timed out|rejected)|connect(ion)? failure", NO_ANSWER
    ),
    Words("slurm", r"message (send|receive) failure|communication shutdown", NO_ANSWER),
    Words("slurm", r"unexpected message received|insane message length|zero bytes", NO_ANSWER),
    Words("slurm", r"transport endpoint|not responding|in standby|slurmdbd|munge", NO_ANSWER),
    Words("slurm", r"authentication|slurm internal error|shutting down", NO_ANSWER),
    # slurm.conf(5), MaxArraySize
    Words("slurm", r"invalid job array specification", NEVER, fewer=True),
    # a limit on one job is named before the sentence about all policies
    Words("slurm", r"(Assoc|QOS)?Max\w+PerJob|(Assoc|QOS)?MaxWall|QOSMin\w+|\w+PerNode\b", NEVER),
    Words("slurm", r"MaxSubmit|GrpSubmit|MaxJobs|GrpJobs", NOT_NOW, fewer=True),
    Words("slurm", r"QOSGrp|AssocGrp|MaxTRES", NOT_NOW),
    Words("slurm", r"job violates accounting/QOS policy", NOT_NOW, fewer=True),
    Words("slurm", r"MaxJobCount limit reached", NOT_NOW, fewer=True),
    Words("slurm", r"rate limit exceeded", NOT_NOW),
    Words("slurm", r"could not establish a configuration source|fetch_config", NOT_NOW),
    Words("slurm", r"I/O error writing script/environment to file", NOT_NOW),
    Words("slurm", r"required partition not available|required node not available", NOT_NOW),
    Words("slurm", r"partition configuration not available now", NOT_NOW),
    Words("slurm", r"requested operation is presently disabled", NOT_NOW),
    Words("slurm", r"requested nodes are busy|licenses currently unavailable", NOT_NOW),
    Words("slurm", r"reservation (is in use|not usable now)|prologslurmctld is still", NOT_NOW),
    Words("slurm", r"burst buffer resource limit|error generating job credential", NOT_NOW),
    Words("slurm", r"slurm temporarily unable", NOT_NOW),
    # PBS; what follows its words is decided by its exit code
    Words("pbs", r"cannot connect|connection (refused|reset|timed out)|errno=1\d\d", NO_ANSWER),
    Words("pbs", r"array job exceeds", NEVER, fewer=True),
    Words("pbs", r"queue is not enabled", NOT_NOW),
    Words("pbs", r"maximum number of jobs|would exceed .*limit", NOT_NOW, fewer=True),
    Words("pbs", r"server( is)? shutting down|no free connections|temporarily unavail", NOT_NOW),
    # PJM: what a job asks for is compared with a limit by its value; counts of jobs are not its own
    Words("pjm", r"communicat|not respond|timed out|timeout|connect|busy", NO_ANSWER),
    Words("pjm", r"\b(bulk|sub-?jobs?)\b.* is greater than the upper limit", NEVER, fewer=True),
    Words("pjm", r"\b[a-z]+-(accept|run)[a-z-]*\b", NOT_NOW, fewer=True),
    Words("pjm", r"\S+=\S+ is (greater|less) than the (upper|lower) limit", NEVER),
    Words(
        "pjm",
        r"(number|count) of .*jobs?|too many .*jobs?|jobs? .*(limit|exceed)",
        NOT_NOW,
        fewer=True,
    ),
    Words("pjm", r"(resource (group|unit)|rscgrp) .*(stopped|inactive|disabled|closed)", NOT_NOW),
    Words("pjm", r"(acceptance|submission|submit) .*(stopped|disabled|suspended)", NOT_NOW),
    Words("pjm", r"limit", NOT_NOW),
    # the login node, and what a site's own words say of its hours
    Words("", r"cannot fork|can't fork|fork: |cannot allocate memory|out of memory", NOT_NOW),
    Words("", r"resource temporarily unavailable|too many open files", NOT_NOW),
    Words("", r"no space left on device|disk quota exceeded|temporar", NOT_NOW),
    Words("", r"maintenance|(try|retry) (again )?(later|momentarily)", NOT_NOW),
)

# exit codes of OpenPBS's qsub, the last eight bits of its errors
_PBS_NEVER = (1, 2, 3, 159, 166, 168, 170, 172, 174, 175, 184, 187, 188, 189, 197, 201, 206)
_PBS_NOT_NOW = {
    13: "CONNFULL",
    17: "LICENSE_SERVER_DOWN",
    38: "ENTLIMCT",
    39: "ENTLIMRESC",
    57: "SAVE_ERR",
    104: "TRYAGAIN",
    173: "QUNOENB",
    196: "RESCUNAV",
    198: "MAXQUED",
    212: "SVRDOWN",
    250: "LICENSEUNAV",
}
CODES: Mapping[str, Mapping[int, Decision]] = {
    "pbs": dict.fromkeys(_PBS_NEVER, NEVER) | dict.fromkeys(_PBS_NOT_NOW, NOT_NOW),
}

# a command's own sentence is a refusal, which a wrapper's, or a signal, is not
ELSE: Mapping[str, Words] = {
    "slurm": Words("slurm", r"^sbatch: ", NEVER),
    "pjm": Words("pjm", r"\[ERR\.\]", NEVER),
}

# reasons of waiting jobs that no waiting cures: sbatch(1), "JOB REASON CODES"; the comment of PBS
# (Administrator's Guide, "Why Doesn't My Job Run")
NEVER_STARTS: Mapping[str, str] = {
    "slurm": r"PartitionNodeLimit|PartitionTimeLimit|PartitionConfig|BadConstraints"
    r"|AccountNotAllowed|DependencyNeverSatisfied|InvalidAccount|InvalidQOS|QOSNotAllowed"
    r"|launch[ _]failed[ _]requeued[ _]held|(Assoc|QOS)?Max\w+PerJob(Limit)?",
    "pbs": r"Can Never Run.*",
}


def decision(scheduler: str, answer: Answer) -> Decision:
    """What a submission that gave no id says of the job."""
    if answer.code == 0:  # it took something
        return NO_ANSWER
    said = f"{answer.err}\n{answer.out}"
    if (words := _words(scheduler, said)) is not None:
        return words.decision
    if (code := CODES.get(scheduler, {}).get(answer.code)) is not None:
        return code
    own = ELSE.get(scheduler)
    return own.decision if own is not None and own.fit(scheduler, said) else NO_ANSWER


def refusal(scheduler: str, answer: Answer) -> NotUnderstood:
    """The same, to be raised."""
    decided, words = decision(scheduler, answer), _words(scheduler, f"{answer.err}\n{answer.out}")
    return NotUnderstood(
        answer.words,
        permanent=decided is NEVER,
        not_now=decided is NOT_NOW,
        fewer=words is not None and words.fewer and decided is not NO_ANSWER,
    )


def _words(scheduler: str, said: str) -> Words | None:
    """The first line of the table that fits."""
    return next((words for words in TABLE if words.fit(scheduler, said)), None)


def never_starts(scheduler: str, reason: str) -> bool:
    """Whether a job that waits for this was accepted, but can never run."""
    known = NEVER_STARTS.get(scheduler)
    return known is not None and re.fullmatch(known, reason, re.DOTALL) is not None
