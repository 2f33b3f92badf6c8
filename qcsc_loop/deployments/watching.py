"""Watchers: they tell the Prefect server of things that do not tell it themselves, each once."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from anyio import to_thread

from qcsc_loop.errors import PrefectUnreachable, SiteUnreachable
from qcsc_loop.plain import Json
from qcsc_loop.sampling.ibm.account import IBMAccount
from qcsc_loop.sampling.ibm.client import service_for
from qcsc_loop.store.directory import DirectoryStore


@dataclass(frozen=True)
class Sighting:
    """Something that happened.

    Attributes:
        about: the id of the resource it is about.
        once: what tells it from all others; the same again is no news.
    """

    about: str
    once: str
    payload: Json


class Watcher(ABC):
    """Looks at something from time to time."""

    @abstractmethod
    def place(self) -> str:
        """What is watched, as one text."""

    @abstractmethod
    def look(self) -> AsyncIterator[Sighting]:
        """What there is now, known or not.

        Raises:
            SiteUnreachable: it cannot be seen at the moment.
        """


@dataclass
class Files(Watcher):
    """Files in a folder: each content once, whatever its name.

    A file counts once its size and time have stayed the same from one look to the next: until
    then somebody may be writing it.

    Attributes:
        pattern: of names, as in `*.h5`; hidden files never count.
    """

    folder: Path
    pattern: str = "*"
    _before: dict[Path, tuple[int, int]] = field(default_factory=dict[Path, tuple[int, int]])
    _hashed: dict[Path, tuple[int, int]] = field(default_factory=dict[Path, tuple[int, int]])

    def place(self) -> str:
        return f"files {self.folder.resolve()}/{self.pattern}"

    async def look(self) -> AsyncIterator[Sighting]:
        now = await to_thread.run_sync(self._stamps)
        settled = {path for path, stamp in now.items() if self._before.get(path) == stamp}
        self._before = now
        for path in sorted(settled):
            if self._hashed.get(path) == now[path]:
                continue
            digest = await to_thread.run_sync(_digest, path)
            if digest is None:
                continue
            payload = {"path": str(path), "name": path.name, "size": now[path][0]}
            yield Sighting(f"file.{path}", digest, {**payload, "sha256": digest})
            self._hashed[path] = now[path]

    def _stamps(self) -> dict[Path, tuple[int, int]]:
        found: dict[Path, tuple[int, int]] = {}
        for path in self.folder.resolve().glob(self.pattern):
            try:
                status = path.stat()
            except OSError:  # gone meanwhile
                continue
            if path.is_file() and not path.name.startswith("."):
                found[path] = (status.st_size, status.st_mtime_ns)
        return found


def _digest(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:  # gone, or not ours to read: the next look decides
        return None


@dataclass
class Calibrations(Watcher):
    """Calibrations of an IBM backend: each once, told by the date that its properties carry."""

    account: IBMAccount
    backend: str

    def place(self) -> str:
        return f"backend {self.backend}"

    async def look(self) -> AsyncIterator[Sighting]:
        def ask(client: Any) -> Any:
            return client.backend(self.backend, use_fractional_gates=None).properties(refresh=True)

        properties = await service_for(self.account).ask(ask)
        if properties is None:
            raise SiteUnreachable(self.backend, "it has no properties")
        at = properties.last_update_date.isoformat()
        payload = {"backend": self.backend, "last_update_date": at}
        yield Sighting(f"backend.{self.backend}", f"{self.backend} {at}", payload)


Post = Callable[[Sighting], Awaitable[None]]


async def watch(
    watcher: Watcher,
    store: DirectoryStore,
    event: str,
    post: Post,
    *,
    every: float,
    looks: int | None,
    first: bool = False,
) -> AsyncIterator[Sighting | Exception]:
    """Posts what is new; yields it, and what kept it from looking or posting.

    What was posted is kept in the store, so that another watcher of the same goes on from there.
    One that dies between the two posts it again, under the same id.

    Args:
        post: awaited with every sighting.
        looks: how many; None: without end.
        first: whether what is there at the very first look of all is no news.
    """
    log = f"watching/{hashlib.sha256(f'{event} {watcher.place()}'.encode()).hexdigest()[:16]}.jsonl"
    lines = await to_thread.run_sync(store.lines, log)
    known = {json.loads(line)["once"] for line in lines}
    begun = bool(lines)
    done = 0
    while looks is None or done < looks:
        try:
            async for seen in watcher.look():
                if seen.once in known:
                    continue
                is_news = not first or begun
                if is_news:
                    await post(seen)
                known.add(seen.once)
                line = json.dumps({"once": seen.once, "about": seen.about, **seen.payload})
                await to_thread.run_sync(store.append, log, [line.encode()])
                if is_news:
                    yield seen
            begun = True
        except (PrefectUnreachable, SiteUnreachable) as error:
            yield error
        done += 1
        if looks is None or done < looks:
            await anyio.sleep(every)
