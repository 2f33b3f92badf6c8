"""A job's folder: its script, its output, its fence, and the record of its end.

job.sh       what was submitted
output.log   what it wrote, over all its starts
scheduler.log  what PBS and PJM wrote, and a login that failed, before the script's own output
output.*     what ranks wrote, where a launcher keeps it apart, until the script has gathered it
fence        a symbolic link to the id of the one job that may work here
started      touched at each start: results must be newer
warned       there when the job was told that its walltime ends
cancelled    there when its driver is ending it
exit.json    its own account of its end, by rename
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from glob import glob
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from qcsc_hpc.schedulers.scheduler import SCHEDULER_LOG
from qcsc_loop.concurrency.listed import BELIEVED_SECONDS, is_listed, link_target

TAIL_BYTES = 4000
RANK_FILES = "output.*/*/*/std*"  # stdout.N.RANK and stderr.N.RANK of Fujitsu's mpiexec
CLOSED = "closed"  # a fence that lets nobody in
DUPLICATE_EXIT = 76  # of a job that found the fence taken
FOLDER_EXIT = 77  # of a job that does not see its folder
UNWRITABLE_EXIT = 78  # of a job that cannot write there


class ExitRecord(BaseModel):
    """What a job's script wrote last.

    Attributes:
        job: the id it runs under.
        restarts: how often the scheduler had started it again by then; None if a job is not told.
        fault: what failed before the program could be started; "outputs: " and what was wrong with
            them, if that was all that was wrong; empty if nothing.
        oom_kills: processes that the kernel killed for memory meanwhile, on the script's node.
        warned: it was told before that its walltime ends.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    job: str
    restarts: int | None = None
    exit_code: int
    fault: str = ""
    oom_kills: int = 0
    warned: bool = False
    started: float = 0.0
    ended: float = 0.0

    @property
    def times(self) -> tuple[datetime, datetime]:
        """When it began and ended, by the node's clock."""
        return datetime.fromtimestamp(self.started, UTC), datetime.fromtimestamp(self.ended, UTC)


@dataclass(frozen=True)
class JobFolder:
    """Reading and fencing a job's folder. All of it blocks, briefly.

    No name is asked for that may not be there: see `concurrency.listed`.
    """

    path: Path

    @property
    def script(self) -> Path:
        return self.path / "job.sh"

    @property
    def log(self) -> Path:
        return self.path / "output.log"

    def owner(self) -> str | None:
        """The id of the job that works here, or CLOSED; None if there is none yet."""
        return link_target(self.path / "fence")

    def close(self) -> str | None:
        """Lets no job in from now on; the id of one that is in."""
        try:
            os.symlink(CLOSED, self.path / "fence")
        except FileExistsError:
            owner = link_target(self.path / "fence", BELIEVED_SECONDS)
            return None if owner == CLOSED else owner
        except FileNotFoundError:  # the folder was removed: nothing can start here either
            return None
        return None

    def cancel(self) -> None:
        """Tells the job's own program, should it look, that it is not wanted any more."""
        with suppress(OSError):
            (self.path / "cancelled").touch()

    @property
    def is_cancelled(self) -> bool:
        """Whether its driver has ended it: not the scheduler, which may start it again."""
        return is_listed(self.path / "cancelled")

    def exit(self) -> ExitRecord | None:
        """The job's account of its end, if there is one."""
        path = self.path / "exit.json"
        try:
            return ExitRecord.model_validate_json(path.read_bytes()) if is_listed(path) else None
        except (OSError, ValidationError):
            return None

    def seconds_since(self, name: str) -> float:
        """How long ago a file was written, by the clock of its disk; 0 if that cannot be told."""
        probe = self.path / f".{name}.{secrets.token_hex(4)}.now"
        try:
            written = (self.path / name).stat().st_mtime
            probe.touch()
            now = probe.stat().st_mtime
            probe.unlink()
        except OSError:
            return 0.0
        return max(0.0, now - written)

    def tail(self) -> str:
        """The end of what it wrote: where the error is.

        Of ranks too that were killed before the script gathered what they wrote; and if it wrote
        nothing, of what its scheduler has to say.
        """
        # folders are listed, and no name is asked for
        names = glob(RANK_FILES, root_dir=self.path)
        ranks = sorted((self.path / name for name in names), key=_modified)
        text = _end_of(self.log) + "".join(_end_of(path) for path in ranks[-1:])
        return text or _end_of(self.path / SCHEDULER_LOG)

    def written_since(self, position: int, limit: int) -> tuple[str, int]:
        """Whole lines that were written after a position, and the position after them."""
        if not is_listed(self.log):
            return "", position
        try:
            with self.log.open("rb") as file:
                file.seek(position)
                new = file.read(limit)
        except OSError:
            return "", position
        cut = new.rfind(b"\n") + 1 or (len(new) if len(new) == limit else 0)
        return new[:cut].decode(errors="replace"), position + cut


def _end_of(path: Path) -> str:
    if not is_listed(path):
        return ""
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL_BYTES))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def _modified(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
