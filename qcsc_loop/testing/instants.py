"""A process that comes by its write boundaries, and to which something happens at one of them."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from pathlib import Path
from typing import Any
from unittest.mock import patch

from qcsc_loop.store.directory import DirectoryStore, _doing
from qcsc_loop.testing.boundary import document_called, line_called
from qcsc_loop.testing.submissions import Submission, submissions_told
from qcsc_loop.values.document import Document

Act = Callable[[str], None]


def kill_this_process(_boundary: str) -> None:
    """What a power switch does to a program: nothing of it runs any more."""
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()  # the signal is on its way


class Instants:
    """The write boundaries of one run in this process.

    Args:
        folder: the run's.
        at: the boundary at which something happens; empty: at none.
        act: what does; an OSError that it raises is as one of the operation there.
        tell: called with the name of each that it comes by.
    """

    def __init__(
        self,
        folder: Path,
        at: str = "",
        act: Act = kill_this_process,
        tell: Act = lambda _boundary: None,
    ) -> None:
        self.passed: list[str] = []
        self._tell = tell
        self._folder, self._at, self._act = folder, at, act
        self._counts = Counter[str]()
        self._lock = threading.Lock()
        self._here = threading.local()  # what this thread is writing

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Until the block ends."""
        with ExitStack() as patches:
            for name in ("fsync", "fdatasync", "replace", "link"):
                around = getattr(self, f"_{name}")
                patches.enter_context(patch.object(os, name, around(getattr(os, name))))
            for name in ("write", "create"):
                self._around_document(patches, name)
            self._around_append(patches)
            self._around_remove(patches)
            patches.enter_context(submissions_told(self._before_submit, self._after_submit))
            yield

    def reach(self, what: str, stage: str, torn: Callable[[], None] | None = None) -> None:
        """This process is at a boundary.

        Args:
            torn: leaves half of what was written.
        """
        with self._lock:
            name = f"{what}/{stage}"
            self._counts[name] += 1
            if self._counts[name] > 1:
                name = f"{name}#{self._counts[name]}"
            self.passed.append(name)
        self._tell(name)
        if name == self._at:
            if torn is not None:
                torn()
            self._act(name)

    # files that appear whole

    def _around_document(self, patches: ExitStack, name: str) -> None:
        real = getattr(DirectoryStore, name)

        @wraps(real)
        def around(store: DirectoryStore, document: str, content: Document) -> Any:
            path = store.root / document
            if (what := self._called(path)) is not None:
                with _doing("write", path):
                    self.reach(what, "before")
            return real(store, document, content)

        patches.enter_context(patch.object(DirectoryStore, name, around))

    def _fsync(self, real: Callable[[int], None]) -> Callable[[int], None]:
        @wraps(real)
        def around(descriptor: int) -> None:
            path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
            if path.is_dir():
                real(descriptor)
                what = getattr(self._here, "named", None)
                if what is not None:
                    self._here.named = None
                    self.reach(what, "durable")
                return
            what = self._called(path)
            if what is not None:
                half = os.fstat(descriptor).st_size // 2
                self.reach(what, "torn", lambda: os.truncate(path, half))
                self.reach(what, "written")
            real(descriptor)
            if what is not None:
                self.reach(what, "synced")

        return around

    def _replace(self, real: Callable[..., None]) -> Callable[..., None]:
        @wraps(real)
        def around(source: Any, target: Any, **more: Any) -> None:  # as os.replace takes them
            real(source, target, **more)
            self._is_named(Path(target))

        return around

    _link = _replace

    def _is_named(self, target: Path) -> None:
        if (what := self._called(target)) is not None:
            self._here.named = what
            self.reach(what, "named")

    # logs

    def _around_append(self, patches: ExitStack) -> None:
        real = DirectoryStore.append

        @wraps(real)
        def around(store: DirectoryStore, name: str, lines: Iterable[bytes]) -> None:
            added, path = list(lines), store.root / name
            log = path.relative_to(self._folder).name if self._is_ours(path) else ""
            whats = [what for line in added if (what := line_called(log, line)) is not None]
            if not whats:
                real(store, name, added)
                return
            with _doing("append to", path):
                self.reach(whats[0], "before")
            self._here.line = whats[0], sum(len(line) + 1 for line in added)
            try:
                real(store, name, added)
            finally:
                self._here.line = None
            with _doing("append to", path):
                self.reach(whats[0], "durable")

        patches.enter_context(patch.object(DirectoryStore, "append", around))

    def _fdatasync(self, real: Callable[[int], None]) -> Callable[[int], None]:
        @wraps(real)
        def around(descriptor: int) -> None:
            if (line := getattr(self._here, "line", None)) is not None:
                what, length = line
                left = os.fstat(descriptor).st_size - length // 2
                self.reach(what, "torn", lambda: os.ftruncate(descriptor, left))
                self.reach(what, "written")
            real(descriptor)

        return around

    # what else lasts

    def _around_remove(self, patches: ExitStack) -> None:
        real = DirectoryStore.remove

        @wraps(real)
        def around(store: DirectoryStore, name: str) -> None:
            path = store.root / name
            what = self._called(path)
            if what is None:
                real(store, name)
                return
            with _doing("remove", path):
                self.reach(f"{what}.remove", "before")
                real(store, name)
                self.reach(f"{what}.remove", "after")

        patches.enter_context(patch.object(DirectoryStore, "remove", around))

    def _before_submit(self, asked: Submission) -> None:
        self.reach(f"{asked.iteration}/submit", "before")

    def _after_submit(self, accepted: Submission) -> None:
        self.reach(f"{accepted.iteration}/submit", "after")

    def _called(self, path: Path) -> str | None:
        return document_called(path.relative_to(self._folder)) if self._is_ours(path) else None

    def _is_ours(self, path: Path) -> bool:
        return path.is_relative_to(self._folder)
