"""Requests to a warm job and their outcomes, as files: all that a successor needs.

    MAILBOX/new/ID           a link to the request's folder, while it has no outcome
    MAILBOX/epochs/N/        one for each start of a supervisor
    FOLDER/request.json      what is asked for; never changed
    FOLDER/try.EPOCH.N/      where a supervisor has it done; all that it writes is in there
    FOLDER/void.EPOCH.N/     a try that can commit nothing any more
    FOLDER/outcome.json      the commit: a link to the record that a try wrote

Of several outcomes the first wins. A supervisor commits through the path of its own try, and the
next one renames that before it begins: an older one's commit then finds no such folder.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from qcsc_hpc.warm import small_records as records
from qcsc_loop.concurrency.listed import is_listed
from qcsc_loop.concurrency.whole_file import (
    fill_room,
    is_there,
    link_once,
    make_room,
    sync_folder,
)
from qcsc_loop.errors import DamagedDocument, JobInputChanged
from qcsc_loop.plain import Json

REQUEST, OUTCOME, ROOM, BROKE = "request.json", "outcome.json", "outcome.room", "broke"
OWN = (REQUEST, OUTCOME, "try.", "void.", ".")  # beginnings of names that a try is not given
REASON_LETTERS = 300  # each of up to 12 bytes in JSON, in a record of 4096


@dataclass(frozen=True)
class Request:
    """Work for some ranks.

    Attributes:
        key: the job's, for people.
        module: the Python module that each rank runs; empty: a program of its own, started by
            `step` with the folder's `rank.sh`.
        arguments: after the module's name.
        code: modules, and digests of their source: ranks that have loaded another one are not asked.
        seconds: after which it is ended; None: never.
        outputs: what it leaves in its folder, or has failed.
        asked: when it was posted, by the driver's clock.
    """

    key: str
    input_sha256: str
    ranks: int
    module: str = ""
    arguments: list[str] = field(default_factory=list[str])
    step: list[str] = field(default_factory=list[str])
    environment: dict[str, str] = field(default_factory=dict[str, str])
    code: dict[str, str] = field(default_factory=dict[str, str])
    seconds: float | None = None
    outputs: list[str] = field(default_factory=list[str])
    asked: float = field(default_factory=time.time)


@dataclass(frozen=True)
class Ended:
    """The outcome of a request.

    Attributes:
        state: as of a `JobState`.
        place: the name of the try's folder, which has the results; empty if there was none.
        job: the id of the warm job that did it.
        began, ended: by the supervisor's clock; 0 if it never began.
    """

    state: str
    exit_code: int | None = None
    reason: str = ""
    place: str = ""
    job: str = ""
    began: float = 0.0
    ended: float = 0.0


@dataclass(frozen=True)
class Try:
    """One supervisor's attempt at a request."""

    folder: Path
    epoch: int
    number: int
    void: bool = False

    @property
    def path(self) -> Path:
        return self.folder / f"{'void' if self.void else 'try'}.{self.epoch}.{self.number}"


class Superseded(Exception):
    """A newer supervisor serves this mailbox."""


@dataclass(frozen=True)
class Mailbox:
    """The files of one warm placement. All of it blocks, briefly."""

    root: Path

    def make(self) -> None:
        """Makes its folders, where they are not."""
        for name in ("new", "epochs"):
            (self.root / name).mkdir(parents=True, exist_ok=True)

    # the driver's side

    def post(self, name: str, folder: Path, request: Request) -> None:
        """Asks for something; asking again changes nothing. Raises as `write` does."""
        self.write(name, folder, request)
        self.mark(name, folder)

    def write(self, name: str, folder: Path, request: Request) -> None:
        """Writes a request, which supervisors do not see yet.

        Raises:
            JobInputChanged: the folder has one for other input.
        """
        if not records.write_once(folder / REQUEST, asdict(request)):
            there = request_in(folder)
            if there.input_sha256 != request.input_sha256:
                raise JobInputChanged(there.key, name, there.key.partition("/")[0])

    def mark(self, name: str, folder: Path) -> None:
        """Makes sure that supervisors see the request, if it has no outcome."""
        if not is_listed(folder / OUTCOME):
            with suppress(FileExistsError):
                os.symlink(folder, self.root / "new" / name)

    def unmark(self, name: str) -> None:
        (self.root / "new" / name).unlink(missing_ok=True)

    def is_marked(self, name: str) -> bool:
        return is_listed(self.root / "new" / name)

    def withdraw(self, name: str, folder: Path, end: Ended) -> Ended:
        """Ends a request from outside; the outcome that stands, which may be an earlier one."""
        records.write_once(folder / OUTCOME, asdict(end))
        self.unmark(name)
        try:
            return outcome_in(folder) or end
        except DamagedDocument:
            set_aside(folder)
            return self.withdraw(name, folder, end)

    # a supervisor's side

    def waiting(self) -> list[tuple[str, Path]]:
        """Names and folders of requests, in the order of their posting."""
        found: list[tuple[int, str, str]] = []
        with os.scandir(self.root / "new") as entries:
            for entry in entries:
                with suppress(OSError):  # another one has removed it
                    posted = entry.stat(follow_symlinks=False).st_mtime_ns
                    found.append((posted, entry.name, os.readlink(entry.path)))
        return [(name, Path(folder)) for _, name, folder in sorted(found)]

    def begin_epoch(self) -> int:
        """A number that no other start of a supervisor has: larger than all before."""
        while True:
            number = self.newest_epoch() + 1
            with suppress(FileExistsError):
                self.epoch(number).mkdir()
                sync_folder(self.root / "epochs")
                return number

    def newest_epoch(self) -> int:
        """0 if there was none."""
        names = os.listdir(self.root / "epochs")
        return max((int(name) for name in names if name.isdecimal()), default=0)

    def epoch(self, number: int) -> Path:
        """The folder of a supervisor's start."""
        return self.root / "epochs" / str(number)

    def claim(self, folder: Path, epoch: int) -> Try | None:
        """The right to commit an outcome, taken from all older supervisors; None if there is one.

        Each makes its own try before it looks for others, so of two at once one sees the other.

        Raises:
            Superseded: a newer supervisor has tried.
            OSError: the disk is full.
        """
        own = Try(folder, epoch, len(list(tries(folder))) + 1)
        own.path.mkdir()
        try:
            return self._take_over(own)
        except Superseded:
            shutil.rmtree(own.path, ignore_errors=True)
            raise
        except OSError as error:
            if not is_there(own.path):  # a newer one has made it void meanwhile
                raise Superseded from error
            shutil.rmtree(own.path, ignore_errors=True)
            raise

    def _take_over(self, own: Try) -> Try | None:
        make_room(own.path / ROOM, records.ROOM_BYTES)
        others = [other for other in tries(own.folder) if other != own]
        if any(other.epoch > own.epoch for other in others):
            raise Superseded
        for other in others:
            if not other.void:
                with suppress(FileNotFoundError):
                    other.path.rename(replace(other, void=True).path)
        if is_listed(own.folder / OUTCOME):
            return None
        for name in os.listdir(own.folder):
            if not name.startswith(OWN):
                os.symlink(f"../{name}", own.path / name)
        (own.path / "started").touch()
        return own

    def commit(self, name: str, own: Try, end: Ended) -> bool:
        """Whether this is the request's outcome now; not if there is one, or the try is void."""
        end = replace(end, place=own.path.name, reason=end.reason[:REASON_LETTERS])
        try:
            fill_room(own.path / ROOM, records.encoded(asdict(end)))
            done = link_once(own.path / ROOM, own.folder / OUTCOME)
        except FileNotFoundError:
            return False
        # last: until now a successor would have found the request
        self.unmark(name)
        return done

    def reject(self, name: str, folder: Path, end: Ended) -> None:
        """The outcome of a request that cannot be read."""
        self.withdraw(name, folder, end)


def request_in(folder: Path) -> Request:
    """What is asked for.

    Raises:
        FileNotFoundError: nothing is.
        DamagedDocument: it cannot be read.
    """
    return Request(**_known(records.read(folder / REQUEST), Request))


def outcome_in(folder: Path) -> Ended | None:
    """What became of a request, if something did.

    Raises:
        DamagedDocument: it cannot be read.
    """
    try:
        return Ended(**_known(records.read(folder / OUTCOME), Ended))
    except FileNotFoundError:
        return None


def set_aside(folder: Path) -> None:
    """Takes a damaged outcome away, so that another can be committed."""
    path = folder / OUTCOME
    with suppress(FileNotFoundError):
        path.rename(path.with_name(f".{OUTCOME}.{time.time_ns()}.damaged"))


def tries(folder: Path) -> Iterator[Try]:
    """All attempts that were begun, in no order."""
    for name in os.listdir(folder):
        kind, _, numbers = name.partition(".")
        epoch, _, number = numbers.partition(".")
        if kind in ("try", "void") and epoch.isdecimal() and number.isdecimal():
            yield Try(folder, int(epoch), int(number), void=kind == "void")


def times_broken(folder: Path) -> int:
    """How often ranks have died in it."""
    return sum(is_listed(own.path / BROKE) for own in tries(folder))


def _known(facts: Json, kind: type[Any]) -> Json:
    return {name: value for name, value in facts.items() if name in kind.__dataclass_fields__}
