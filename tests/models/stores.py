"""Stores for models: on a real disk, without a process of its own for signs of life, and mortal."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.values.document import Document


class QuietStore(DirectoryStore):
    """A folder whose drivers live for milliseconds: a thread is enough for their signs of life."""

    def beat_file(self, name: str) -> Path | None:
        return None


class Killed(BaseException):
    """What a driver does not live to see the end of."""


class MortalStore(QuietStore):
    """One driver's view of a store: it dies before, in the middle of or after its nth write.

    The dead stay dead: what is asked of the store on the way out is not done either.

    Args:
        dies_at: before, in and after each write there is an instant; 0: at none of them.
        is_dead: whether the driver has died elsewhere.
    """

    def __init__(
        self, root: Path, dies_at: int, is_dead: Callable[[], bool] = lambda: False
    ) -> None:
        super().__init__(root)
        self._left, self._dead, self._is_dead = dies_at, False, is_dead

    def write(self, name: str, document: Document) -> None:
        self._mortally(lambda: super(MortalStore, self).write(name, document))

    def create(self, name: str, document: Document) -> bool:
        done: list[bool] = []
        self._mortally(lambda: done.append(super(MortalStore, self).create(name, document)))
        return done[0]

    def append(self, name: str, lines: Iterable[bytes]) -> None:
        written = list(lines)
        self._mortally(lambda: super(MortalStore, self).append(name, written))
        if self._dies():  # half of it had reached the disk
            path = self.root / name
            with path.open("rb+") as log:
                log.truncate(path.stat().st_size - len(written[-1]) // 2 - 1)
            self._die()

    def remove(self, name: str) -> None:
        self._mortally(lambda: super(MortalStore, self).remove(name))

    def touch(self, name: str) -> None:
        self._live()
        super().touch(name)

    def has(self, name: str) -> bool:
        self._live()
        return super().has(name)

    def names(self, folder: str) -> list[str]:
        self._live()
        return super().names(folder)

    def read(self, name: str) -> Document:
        self._live()
        return super().read(name)

    def _mortally(self, write: Callable[[], object]) -> None:
        for part in (lambda: None, write):
            part()
            if self._dies():
                self._die()

    def _dies(self) -> bool:
        self._live()
        self._left -= 1
        return self._left == 0

    def _die(self) -> None:
        self._dead = True
        raise Killed

    def _live(self) -> None:
        if self._dead or self._is_dead():
            raise Killed
