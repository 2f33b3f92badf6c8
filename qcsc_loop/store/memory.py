"""A store that lives and dies with the process: for tests and throw-away runs."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
import weakref
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from qcsc_loop.concurrency.whole_file import is_folder
from qcsc_loop.store.store import Store
from qcsc_loop.values.document import Document


class MemoryStore(Store):
    """Documents in dictionaries; work folders in a temporary one, removed by `close`."""

    def __init__(self) -> None:
        self._documents: dict[str, Document] = {}
        self._logs: defaultdict[str, list[bytes]] = defaultdict(list)
        self._touched: dict[str, float] = {}
        self._root: Path | None = None
        self._lock = threading.Lock()

    @property
    def place(self) -> str:
        return "memory"

    def write(self, name: str, document: Document) -> None:
        self._documents[name] = document

    def create(self, name: str, document: Document) -> bool:
        with self._lock:
            if name in self._documents:
                return False
            self._documents[name] = document
            return True

    def read(self, name: str) -> Document:
        return self._documents[name]

    def has(self, name: str) -> bool:
        return name in self._documents

    def names(self, folder: str) -> list[str]:
        prefix = f"{folder}/" if folder else ""
        inside = (n.removeprefix(prefix) for n in self._documents if n.startswith(prefix))
        found = {n.split("/")[0] for n in inside}
        if self._root is not None and is_folder(self._root / folder):
            found |= {path.name for path in (self._root / folder).iterdir() if is_folder(path)}
        return sorted(found)

    def remove(self, name: str) -> None:
        kept: tuple[dict[str, Any], ...] = (self._documents, self._logs, self._touched)
        for part in kept:
            for known in [n for n in part if n == name or n.startswith(f"{name}/")]:
                del part[known]
        if self._root is not None:
            shutil.rmtree(self._root / name, ignore_errors=True)

    def append(self, name: str, lines: Iterable[bytes]) -> None:
        self._logs[name].extend(lines)

    def lines(self, name: str) -> list[bytes]:
        return list(self._logs.get(name, ()))

    def touch(self, name: str) -> None:
        self._touched[name] = time.monotonic()

    def age(self, name: str) -> float | None:
        touched = self._touched.get(name)
        return None if touched is None else time.monotonic() - touched

    def folder(self, name: str) -> Path:
        if self._root is None:
            self._root = Path(tempfile.mkdtemp(prefix="qcsc-loop-"))
            # with the store, or at the process's end, if nobody closes it
            weakref.finalize(self, shutil.rmtree, self._root, ignore_errors=True)
        path = self._root / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def close(self) -> None:
        """Removes the work folders."""
        if self._root is not None:
            shutil.rmtree(self._root, ignore_errors=True)
