"""What waits in a mailbox, in the order of asking, and what of it can begin in this job."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path

from qcsc_hpc.warm.mailbox import OUTCOME, Ended, Mailbox, Request, request_in
from qcsc_hpc.warm.orders import Walltime
from qcsc_loop.concurrency.listed import is_listed
from qcsc_loop.concurrency.whole_file import is_there
from qcsc_loop.errors import DamagedDocument


@dataclass(frozen=True)
class Posted:
    """A request in the mailbox."""

    name: str
    folder: Path
    request: Request


class RequestQueue:
    """The mailbox as one warm job sees it.

    Args:
        job: its id, for the outcomes of requests that it rejects.
        ranks: how many it has.
    """

    def __init__(self, mailbox: Mailbox, job: str, ranks: int, walltime: Walltime) -> None:
        self._mailbox, self._job, self._ranks, self._walltime = mailbox, job, ranks, walltime
        self._known: dict[str, Request] = {}
        self._longest: dict[str, float] = {}  # seconds that requests of a name have taken
        self.is_full = False  # something waits that does not fit any more

    def fitting(self, running: Container[str]) -> Iterator[Posted]:
        """What does not run yet, and ends before the walltime, as far as one can tell."""
        self.is_full = False
        for name, folder in self._mailbox.waiting():
            if name in running:
                continue
            if is_listed(folder / OUTCOME) or not is_there(folder):
                self._mailbox.unmark(name)
                continue
            if (request := self._read(name, folder)) is None:
                continue
            if not self._walltime.has_room_for(self._seconds(request)):
                self.is_full = True
                continue
            yield Posted(name, folder, request)

    def _read(self, name: str, folder: Path) -> Request | None:
        """What is asked for, once it can be read."""
        if name not in self._known:
            try:
                request = request_in(folder)
            except FileNotFoundError:
                return None
            except (DamagedDocument, TypeError) as error:
                # not a failure of the program: a driver asks again
                self._mailbox.reject(name, folder, Ended("LOST", reason=str(error), job=self._job))
                return None
            if request.ranks > self._ranks:
                why = f"it asks for {request.ranks} ranks of {self._ranks}"
                self._mailbox.reject(name, folder, Ended("REJECTED", reason=why, job=self._job))
                return None
            self._known[name] = request
        return self._known[name]

    def _seconds(self, request: Request) -> float:
        """How long it may take."""
        return request.seconds or self._longest.get(_kind(request), 0.0)

    def forget(self, posted: Posted, seconds: float) -> None:
        """It does not run any more, and took so long: asked for again, it is read again."""
        self._known.pop(posted.name, None)
        kind = _kind(posted.request)
        self._longest[kind] = max(self._longest.get(kind, 0.0), seconds)


def _kind(request: Request) -> str:
    """What a request has in common with those of other iterations."""
    return request.key.rpartition("/")[2].rpartition(".")[0]
