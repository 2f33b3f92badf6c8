"""An array's folder, in that of the step whose parts it does: N.array.job, which no job's can be.

job.sh       what was submitted
elements     the folders of its elements below the step's, in the order of their numbers, each with a
             NUL behind it: there by rename before the submission, and never changed
N.log        what the scheduler itself writes of an element

The jobs' own folders are as any job's. From the list on an array may have been submitted; without
one it was not.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from qcsc_hpc.schedulers.scheduler import SCHEDULER_LOG
from qcsc_loop.concurrency.listed import is_listed
from qcsc_loop.concurrency.whole_file import write_whole
from qcsc_loop.jobs.key import JobKey

ELEMENTS = "elements"
_NAME = re.compile(r"(\d+)\.array\.job")
NAME = "parts/array"  # in keys: no job can be called so


def step_folder(key: JobKey, folder: Path) -> Path:
    """The folder of the whole step, of a part of which this is a job's."""
    return folder.parents[len(key.label.split("/")) if key.label else 0]


@dataclass(frozen=True)
class ArrayFolder:
    """Reading and making it. All of it blocks, briefly."""

    path: Path

    @property
    def script(self) -> Path:
        return self.path / "job.sh"

    @property
    def number(self) -> int:
        """Which of the step's arrays it is."""
        return int(self.path.name.partition(".")[0])

    def key(self, job: JobKey) -> JobKey:
        """By which the scheduler knows the array of this job."""
        return array_key(job, self.number)

    @cached_property
    def elements(self) -> dict[str, int]:
        """The number of each folder; none where nothing was submitted."""
        if not is_listed(self.path / ELEMENTS):
            return {}
        names = (self.path / ELEMENTS).read_bytes().split(b"\0")[:-1]
        return {os.fsdecode(name): number for number, name in enumerate(names)}

    def number_of(self, folder: Path) -> int | None:
        """The number of the job of this folder; None if it is none of the array's."""
        with suppress(ValueError):
            return self.elements.get(str(folder.relative_to(self.path.parent)))
        return None

    def folder_of(self, number: int) -> Path | None:
        """The folder of the job of this number, if there is one."""
        names = list(self.elements)
        return self.path.parent / names[number] if number < len(names) else None

    def fill(self, script: str, folders: Sequence[Path], *, forward: bool) -> None:
        """Writes all that has to be there before it is submitted.

        Args:
            forward: the scheduler writes an element's output to `N.log`, which is to be the job's own
                output; else only what the scheduler has to say of it, which the job's folder shows.
        """
        with write_whole(self.script) as file:
            file.write(os.fsencode(script))
        for number, folder in enumerate(folders):
            log = self.path / f"{number}.log"
            if forward:
                log.symlink_to(os.path.relpath(folder / "output.log", self.path))
            else:
                own = folder / SCHEDULER_LOG
                own.unlink(missing_ok=True)
                own.symlink_to(os.path.relpath(log, folder))
        names = [os.fsencode(folder.relative_to(self.path.parent)) for folder in folders]
        with write_whole(self.path / ELEMENTS, sync="name") as file:
            file.write(b"".join(name + b"\0" for name in names))

    def take_back(self) -> None:
        """It was certainly not submitted."""
        (self.path / ELEMENTS).unlink()  # first of all, whatever becomes of the rest
        shutil.rmtree(self.path, ignore_errors=True)


def array_key(job: JobKey, number: int) -> JobKey:
    """Of one of the arrays of the job's step."""
    return job.model_copy(update={"label": "", "name": NAME, "attempt": number})


def make_array_folder(step: Path) -> ArrayFolder:
    """A new one, which no other driver has, either."""
    number = max((array.number for array in arrays_in(step)), default=-1) + 1
    while True:
        path = step / f"{number}.array.job"
        with suppress(FileExistsError):
            path.mkdir()
            return ArrayFolder(path)
        number += 1


def arrays_in(step: Path) -> list[ArrayFolder]:
    """Those of a step, newest first."""
    try:
        names = [entry.name for entry in os.scandir(step) if _NAME.fullmatch(entry.name)]
    except OSError:
        return []
    found = [ArrayFolder(step / name) for name in names]
    return sorted(found, key=lambda array: array.number, reverse=True)
