"""Where a job's output goes."""

from __future__ import annotations

import os
import shutil

from qcsc_hpc.testing.executables.job import Job


class Unopened(Exception):
    """A file of the job cannot be written; says which."""


def job_folder(folder: str, number: int) -> str:
    """Where the machine keeps what belongs to a job."""
    return os.path.join(folder, "jobs", str(number))


def open_output(folder: str, job: Job) -> tuple[int, int]:
    """Files for stdout and stderr.

    Raises:
        Unopened: one cannot be opened.
    """
    output, error = job.output, job.error
    if job.spooled:
        output, error = _spool(folder, job)
        error = output if job.error == job.output else error
    first = _open(output, append=bool(job.append) or job.starts > 1)
    same = os.path.realpath(error) == os.path.realpath(output)
    return first, os.dup(first) if same else _open(error, append=bool(job.append))


def deliver(folder: str, job: Job) -> None:
    """Puts spooled output where the user wants it; it stays where it is if that cannot be."""
    if not job.spooled:
        return
    for source, target in zip(_spool(folder, job), (job.output, job.error), strict=True):
        if os.path.exists(source):
            try:
                shutil.copyfile(source, target)
            except OSError:
                continue


def _spool(folder: str, job: Job) -> tuple[str, str]:
    place = job_folder(folder, job.number)
    return os.path.join(place, "spool.OU"), os.path.join(place, "spool.ER")


def _open(file: str, *, append: bool) -> int:
    how = os.O_APPEND if append else os.O_TRUNC
    try:
        return os.open(file, os.O_WRONLY | os.O_CREAT | how, 0o644)
    except OSError as failure:
        raise Unopened(file) from failure
