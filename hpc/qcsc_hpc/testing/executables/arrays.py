"""Arrays of jobs: one submission, and as many jobs."""

from __future__ import annotations

import os
import re

from qcsc_hpc.testing.executables.files import job_folder
from qcsc_hpc.testing.executables.job import Job

ELEMENT = "\x1a"  # in a path: the element's number goes here


def size_of(text: str) -> int | None:
    """Of `0-9`; None if it is no such range from 0 on."""
    found = re.fullmatch(r"0-(\d+)", text)
    return int(found[1]) + 1 if found else None


def elements(folder: str, job: Job, form: str) -> list[Job]:
    """The jobs that come of a submission, which is one of itself if it asks for no array.

    Args:
        folder: the machine's.
        form: of their ids, with `{number}`.
    """
    if not job.size:
        return [job]
    found = []
    for number in range(job.size):
        values = {**job.__dict__, "number": job.number + number, "array": job.id}
        one = Job({**values, "element": number, "id": form.format(number=number)})
        one.output = one.output.replace(ELEMENT, str(number))
        one.error = one.error.replace(ELEMENT, str(number))
        os.makedirs(job_folder(folder, one.number), exist_ok=True)
        found.append(one)
    return found


def spread(ids: list[str], form: str) -> list[str]:
    """Ids, with ranges of elements such as `12_[0-3,7]` as one each.

    Args:
        form: of an element's id, a regular expression whose group `many` are the numbers.
    """
    found: list[str] = []
    for id in ids:
        parts = re.fullmatch(form, id)
        if parts is None:
            found.append(id)
            continue
        start, end = parts.span("many")
        for run in parts["many"].split(","):
            first, _, last = run.partition("-")
            numbers = range(int(first), int(last or first) + 1)
            found += [f"{id[:start]}{number}{id[end:]}" for number in numbers]
    return found


def ranges(numbers: list[int]) -> str:
    """As `0,4-9`."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
