"""What a store has to provide: durable documents under names.

Everything a run keeps (`journal.py`) is built from these few operations, so that a new backend is
one small class and the promises are proved once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path

from qcsc_loop.values.document import Document


class Store(ABC):
    """Documents, logs and folders under names such as `run/checkpoints/00000007.e0001`.

    All operations block; the loop calls them in worker threads. Any of them raises `StoreError`
    when the backend cannot do its part; what was written before stays.
    """

    @property
    @abstractmethod
    def place(self) -> str:
        """Where this store is, for messages."""

    def require_own(self, run_id: str) -> None:  # noqa: B027  # nothing where nobody else comes
        """Makes sure that nobody else can write to it or to the run; before anything there is obeyed.

        Raises:
            StoreNotPrivate: somebody can.
        """

    def written_by_other(self, name: str) -> str:
        """Who else wrote a document; empty: this user did, or it is not there."""
        del name
        return ""

    @abstractmethod
    def write(self, name: str, document: Document) -> None:
        """Durable when it returns, whole or not at all; replaces what was there."""

    @abstractmethod
    def create(self, name: str, document: Document) -> bool:
        """Like `write`, but False, and nothing done, if the name is taken: one caller wins."""

    @abstractmethod
    def read(self, name: str) -> Document:
        """The document, verified.

        Raises:
            KeyError: no such name.
            DamagedDocument: it is there and does not verify.
            NewerDocument: it does, and this version cannot read it.
        """

    @abstractmethod
    def names(self, folder: str) -> list[str]:
        """Names of the documents and folders directly below, without the folder, sorted."""

    def has(self, name: str) -> bool:
        """Whether there is a document of this name; in a time that no number of names changes."""
        folder, _, last = name.rpartition("/")
        return last in self.names(folder)

    @abstractmethod
    def remove(self, name: str) -> None:
        """Removes a document, or a folder with all below it; nothing if it is not there."""

    def sweep(self, folder: str) -> None:  # noqa: B027  # nothing to do where writes leave nothing
        """Removes what interrupted writes left in a folder; for its one writer."""

    @abstractmethod
    def append(self, name: str, lines: Iterable[bytes]) -> None:
        """Adds lines to a log, durable when it returns."""

    @abstractmethod
    def lines(self, name: str) -> list[bytes]:
        """The whole lines of a log; a torn last one is left out."""

    def lines_from_end(self, name: str) -> Iterator[bytes]:
        """The same, the last one first; reads only as far as it is asked to."""
        return reversed(self.lines(name))

    def size(self, name: str) -> int:
        """Of a log's whole lines, in bytes."""
        return sum(len(line) + 1 for line in self.lines(name))

    @abstractmethod
    def touch(self, name: str) -> None:
        """A sign of life under this name, as of now."""

    @abstractmethod
    def age(self, name: str) -> float | None:
        """Seconds since the last `touch`, by the store's own clock; None if there was none.

        Never negative: a sign of life from the future is counted from when it is first seen.
        """

    def beat_file(self, name: str) -> Path | None:
        """The file whose time `touch` sets, for a process that knows no stores; None: there is none."""
        return None

    def leave(self, name: str, content: bytes) -> None:  # noqa: B027  # nobody else looks on
        """Replaces a file that nothing relies on: whole for its readers, and not durable."""

    def leave_more(self, name: str, content: bytes, older: str, limit: int) -> None:  # noqa: B027
        """Adds to such a file; one that is larger than `limit` bytes becomes `older` before."""

    def left(self, name: str) -> bytes | None:
        """What was left there; None: nothing, or it cannot be read."""
        del name
        return None

    @abstractmethod
    def folder(self, name: str) -> Path:
        """A folder on disk for files that are not documents, made if need be."""
