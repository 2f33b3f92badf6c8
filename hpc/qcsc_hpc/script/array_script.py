"""An array's script: each element goes to its own folder, and becomes the job that is there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from qcsc_hpc.profiles import ExecutionProfile
from qcsc_hpc.schedulers.scheduler import Placement, Scheduler
from qcsc_hpc.script.array_folder import ELEMENTS
from qcsc_hpc.script.job_folder import FOLDER_EXIT
from qcsc_hpc.script.quoting import one_line, quoted
from qcsc_loop.jobs.key import JobKey


def head_of(scheduler: Scheduler, how: ExecutionProfile, job_name: str, key: str) -> list[str]:
    """The directives; of jobs that go together all but the name and the key are the same."""
    return scheduler.directives(Placement(job_name, one_line(key), scheduler.where, how))


def render_array(
    scheduler: Scheduler, how: ExecutionProfile, key: JobKey, folder: Path, size: int
) -> str:
    """The script.

    Args:
        folder: the array's, in the folder of the step whose parts the elements are.
    """
    head = [
        f"{scheduler.prefix} {line}" for line in head_of(scheduler, how, key.job_name, str(key))
    ]
    said = f"# {one_line(str(key))}: {size} jobs, each with a script and a folder of its own"
    lines = [scheduler.shebang, *head, said, "", *_body(scheduler, folder)]
    return "\n".join(lines) + "\n"


def _body(scheduler: Scheduler, folder: Path) -> Iterator[str]:
    assert scheduler.arrays is not None
    yield f"number={scheduler.arrays.number}"
    yield f"step={quoted(str(folder.parent))}"
    # names end with a NUL, for a part may be called anything
    found = f"mapfile -d '' -s \"$number\" -n 1 -t element < {quoted(str(folder / ELEMENTS))}"
    yield f'{found} && [ -n "${{element-}}" ] || exit {FOLDER_EXIT}'
    yield f'cd "$step/$element" || exit {FOLDER_EXIT}'
    if not scheduler.writes_output:  # where it does, what it writes of an element leads there, too
        yield "exec bash ./job.sh"
        return
    yield "exec bash ./job.sh >> output.log 2>&1"
