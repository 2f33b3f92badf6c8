"""A job as a request to a warm one."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from qcsc_hpc.profiles import ExecutionProfile, HPCProfile
from qcsc_hpc.script.job_script import ScriptFacts, rank_script
from qcsc_hpc.script.launchers import launcher_words
from qcsc_hpc.warm.code_digest import code_digest
from qcsc_hpc.warm.followed_jobs import STEP
from qcsc_hpc.warm.keeper import keeper_of
from qcsc_hpc.warm.mailbox import Request
from qcsc_hpc.warm.settings import Warm
from qcsc_hpc.warm.warm_site import WarmSite, request_name, results_in
from qcsc_loop.concurrency.whole_file import write_whole
from qcsc_loop.errors import JobRefused
from qcsc_loop.exactly_once.request import JobRequest
from qcsc_loop.jobs.key import JobKey
from qcsc_loop.jobs.ledger import Ledger
from qcsc_loop.jobs.outcome import JobState
from qcsc_loop.plain import Json
from qcsc_loop.steps.step import JOB_SUFFIX, current_step

T = TypeVar("T")

TITLE = "the warm job"
ASKING = {
    "poll_seconds",
    "command_timeout",
    "settle_seconds",
    "patience_seconds",
    "not_now_seconds",
    "lost_seconds",
}


@dataclass(frozen=True)
class Asked:
    """What a request asks for, beside what any job is.

    Attributes:
        modules: the Python module that ranks run, and others whose code it runs; none: a program of
            its own.
        words: the module's arguments, or the program's whole command line.
        how: the shape that it is to have.
        outputs: what it leaves in its folder, or has failed.
        before: as of `Machine.run_job`.
        pool: the shape of the warm job.
    """

    modules: Sequence[str]
    words: Sequence[str]
    how: ExecutionProfile
    outputs: Sequence[str]
    before: Callable[[Path, Path | None], None]
    pool: ExecutionProfile


def warm_request(job: JobRequest[T], asked: Asked, where: HPCProfile, warm: Warm) -> JobRequest[T]:
    """The same job, done by the run's warm one, or by itself where that cannot be had. Blocks.

    Raises:
        JobRefused: the warm job could never do it.
    """
    _require(job, asked, warm)
    site = _site(where, asked.pool, warm)
    resubmit = {
        **job.resubmit,
        # it was withdrawn, to be a job of its own; its files were damaged
        JobState.PREEMPTED: job.resubmit.get(JobState.PREEMPTED, 0) + 1,
        JobState.LOST: max(1, job.resubmit.get(JobState.LOST, 0)),
    }
    warmed = replace(
        job,
        site=site,
        prepare=partial(_post, site, job, asked),
        submit=site.submit,
        resubmit=resubmit,
        queue_seconds=None,
        run_seconds=None,
    )

    async def placed() -> JobRequest[T]:
        worth_asking = await keeper_of(site.place).is_worth_asking()
        return replace(warmed if worth_asking else job, placed=placed)

    return replace(warmed, placed=placed)


def _require(job: JobRequest[T], asked: Asked, warm: Warm) -> None:
    ranks, pool = asked.how.ranks, asked.pool
    if ranks > pool.ranks:
        why = f"it has {pool.ranks}, and {ranks} are asked for; give its profile as many"
        raise JobRefused(TITLE, "ranks", why)
    for field in ("scratch", "warning_seconds"):
        if getattr(pool, field):
            why = "it is for a job of its own; leave it out, or take placement = 'job'"
            raise JobRefused(TITLE, field, why)
    walltime = pool.walltime_seconds
    if walltime is None:
        return
    room = walltime - warm.reserve_seconds
    if room <= 0:
        why = f"of a walltime of {walltime} s nothing is left before the last {warm.reserve_seconds:g}"
        raise JobRefused(TITLE, "reserve_seconds", why)
    if job.run_seconds is not None and job.run_seconds > room:
        why = f"{job.run_seconds:g} s do not fit into its walltime without the reserve, {room:g} s"
        raise JobRefused(TITLE, "run_timeout", why)


def _site(where: HPCProfile, pool: ExecutionProfile, warm: Warm) -> WarmSite:
    """The site of the run's warm job: another one for other settings."""
    settings = "\n".join(part.model_dump_json() for part in (where, pool, warm))
    ledger = current_step().ledger
    label = _label_in_use(ledger, where, pool, warm)
    label = label or hashlib.sha256(settings.encode()).hexdigest()[:8]
    mailbox = ledger.store.folder(f"{ledger.run_id}/warm/{label}")
    return WarmSite(mailbox=str(mailbox), where=where, how=pool, warm=warm)


def _label_in_use(ledger: Ledger, where: HPCProfile, pool: ExecutionProfile, warm: Warm) -> str:
    """Of a living warm job that an earlier version asked for, whose settings had other fields."""
    alive = {record.key.label for record in ledger.unfinished() if record.key.step == STEP}
    for record in ledger.recent() if alive else ():
        site = record.intent.site
        if site.get("type") == "warm" and Path(site["mailbox"]).name in alive:
            with suppress(ValidationError):  # of a version that this one cannot follow
                known = WarmSite.model_validate(site)
                same = _what_it_is(known.where) == _what_it_is(where)
                if same and (known.how, known.warm) == (pool, warm):
                    return Path(known.mailbox).name
    return ""


def _what_it_is(where: HPCProfile) -> Json:
    """The site's settings but for those of how it is asked."""
    return where.model_dump(exclude=ASKING)


def _post(site: WarmSite, job: JobRequest[T], asked: Asked, key: JobKey, folder: Path) -> None:
    """Writes the request; it is seen once it is submitted."""
    earlier = None
    if key.attempt:
        earlier = results_in(folder.with_name(f"{key.name}.{key.attempt - 1}{JOB_SUFFIX}"))
    asked.before(folder, earlier)
    environment = {"QCSC_JOB_KEY": str(key)}
    step: list[str] = []
    if not asked.modules:
        step = [*launcher_words(site.where, asked.how), "bash"]
        ranks = {"QCSC_RANKS": str(asked.how.ranks)}
        facts = ScriptFacts(
            job_name=key.job_name,
            key=str(key),
            folder=folder,
            program=asked.words,
            where=site.where,
            how=asked.how,
            environment=environment | ranks,
        )
        with write_whole(folder / "rank.sh") as file:
            file.write(os.fsencode(rank_script(facts, asked.words)))
    request = Request(
        key=str(key),
        input_sha256=job.input_sha256,
        ranks=asked.how.ranks,
        module=asked.modules[0] if asked.modules else "",
        arguments=list(asked.words) if asked.modules else [],
        step=step,
        environment=environment,
        code={module: code_digest(module) for module in asked.modules},
        seconds=job.run_seconds,
        outputs=list(asked.outputs),
    )
    site.box.make()
    site.box.write(request_name(key), folder, request)
