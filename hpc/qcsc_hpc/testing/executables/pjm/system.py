"""How PJM runs a job, and how its commands fail."""

from __future__ import annotations

import signal
import time

from qcsc_hpc.testing.executables import job as jobs
from qcsc_hpc.testing.executables.answer import Answer
from qcsc_hpc.testing.executables.job import Job
from qcsc_hpc.testing.executables.login import home, login_environment
from qcsc_hpc.testing.executables.pjm.words import job_state, manager_code, reason, shown_signal
from qcsc_hpc.testing.executables.state import State


def command(job: Job) -> list[str]:
    """The shell that the script's first line names."""
    return [job.script]


def directory(state: State, job: Job) -> str:
    """Where it was submitted."""
    return job.directory


def environment(state: State, job: Job) -> dict[str, str]:
    """A login's, and what the job manager adds."""
    element = {"PJM_BULKNUM": str(job.element)} if job.array else {}
    return {
        **login_environment(state),
        **element,
        "PJM_ENVIRONMENT": "BATCH",
        "PJM_JOBDIR": job.directory,
        "PJM_JOBID": job.array or job.id,
        "PJM_JOBNAME": job.name,
        "PJM_MPI_PROC": str(job.tasks),
        "PJM_NODE": str(job.nodes),
        "PJM_O_HOME": home(state),
        "PJM_O_WORKDIR": job.directory,
        "PJM_PROC_BY_NODE": str(-(-job.tasks // job.nodes)),
        "PJM_RSCGRP": job.queue,
        "PJM_SUBJOBID": job.id,
    }


def end_signal(job: Job) -> int:
    """The time limit has a signal of its own."""
    return signal.SIGXCPU if job.ending == jobs.TIMEOUT else signal.SIGTERM


def after_end(state: State, job: Job) -> None:
    """Writes the statistics, where pjsub -s or --spath asked for them."""
    file = job.option.get("statistics")
    if not file or not job.is_over:
        return
    rows = {
        "JOB ID": job.id,
        "JOB NAME": job.name,
        "JOB TYPE": "BATCH",
        "STATE": job_state(job),
        "EXIT CODE": job.exit_code,
        "SIGNAL NO": shown_signal(job) or "-",
        "PJM CODE": manager_code(job),
        "REASON": reason(job),
        "JOB START DATE": _date(job.started),
        "JOB END DATE": _date(job.ended),
        "ELAPSE TIME (USE)": f"{(job.ended or 0) - (job.started or job.ended or 0):.0f}",
        "NODE NUM (ALLOC)": job.nodes,
        "MAX MEMORY SIZE (USE)": f"{job.max_rss / 1024:.1f} MiB",
    }
    text = "".join(f"\t{name:<30} : {value}\n" for name, value in rows.items())
    with open(file, "w", encoding="utf-8") as statistics:
        statistics.write(f"{'Job Statistical Information':^60}\n{'-' * 60}\n{text}")


def never_starts(job: Job) -> str:
    """What a job waits for that is larger than what is there."""
    return "INSUFF NODE"


def element_form(job: Job) -> str:
    """`12[3]`."""
    return f"{job.id}[{{number}}]"


def unreachable(command: str) -> Answer:
    """The job manager is down."""
    return Answer(error=f"[ERR.] PJM 0090 {command} Cannot connect to the server.\n", rc=1)


def lost(command: str) -> Answer:
    """It took the request and did not answer."""
    text = f"[ERR.] PJM 0091 {command} Communication with the server timed out.\n"
    return Answer(error=text, rc=1)


def _date(when: float | None) -> str:
    return "-" if when is None else time.strftime("%Y/%m/%d %H:%M:%S", time.localtime(when))
