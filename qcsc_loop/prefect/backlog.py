"""Commits on their way to the server, in order: before they are published, and until they leave
the history."""

from __future__ import annotations

import contextlib
from collections import deque
from functools import cached_property
from uuid import UUID

from qcsc_loop.errors import DamagedDocument, NewerDocument
from qcsc_loop.prefect.artifacts import Published, RunArtifacts, pack
from qcsc_loop.prefect.outage import OUTAGE
from qcsc_loop.store.journal import Journal
from qcsc_loop.store.records import Commit
from qcsc_loop.values.encodings import Packed

STRIP_BYTES = 4096  # a smaller state costs the server less than a request to drop it


class Backlog:
    """Of one run, as one driver publishes it."""

    def __init__(self, artifacts: RunArtifacts, journal: Journal) -> None:
        self._artifacts, self._journal = artifacts, journal
        self._waiting: deque[Published] = deque()
        self._to_strip: deque[tuple[Published, UUID]] = deque()
        self._last_published = -1

    @cached_property
    def _uid(self) -> str:
        return self._journal.record().uid

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def add(self, commit: Commit, state: Packed | None, keep: int | None) -> None:
        """One more; a state that has left a history of `keep` meanwhile is not published."""
        self._waiting.append(self._of(commit, state))
        if keep is not None and len(self._waiting) > keep:
            self._waiting[-keep - 1].state = None  # a long outage must not fill the memory

    def _of(self, commit: Commit, state: Packed | None) -> Published:
        place = self._journal.store.place
        return Published(uid=self._uid, commit=commit, state=state, place=place)

    async def catch_up(self) -> None:
        """Puts what earlier drivers could not publish before what this one has committed."""
        newest = await self._newest_published()
        queued = {waiting.commit.iteration for waiting in self._waiting}
        missing = [
            commit
            for commit in self._journal.commits.after(newest)
            if commit.iteration not in queued
        ]
        for commit in reversed(missing):
            newest_one = commit is missing[-1]
            state = self._state_left(commit) if newest_one else None
            self._waiting.appendleft(self._of(commit, state))

    async def _newest_published(self) -> int:
        newest = -1
        async for published in self._artifacts.checkpoints():
            if not published.is_of(self._uid):
                continue
            newest = max(newest, published.commit.iteration)
            if newest > published.commit.iteration:
                break  # published in order: what is older is there
        return newest

    def _state_left(self, commit: Commit) -> Packed | None:
        """The state of the newest unpublished commit: what a resume from the API needs."""
        for name in self._journal.checkpoints():
            try:
                found, document = self._journal.checkpoint(name)
            except (DamagedDocument, NewerDocument, KeyError):  # the loop's to report
                continue
            if found.iteration == commit.iteration:
                return pack(document)
        return None

    async def publish_first(self) -> None:
        """Publishes the oldest one that waits."""
        first = self._waiting[0]
        artifact = await self._artifacts.publish(first)
        self._waiting.popleft()
        if first.state is not None and first.state.size > STRIP_BYTES:
            self._to_strip.append((first, artifact))
        self._last_published = first.commit.iteration

    async def strip_old(self, keep: int | None) -> None:
        """Drops states that left the history; one that cannot be dropped is left."""
        while keep and self._to_strip:
            published, artifact = self._to_strip[0]
            if published.commit.iteration > self._last_published - keep:
                return
            self._to_strip.popleft()
            with contextlib.suppress(*OUTAGE):
                await self._artifacts.strip(artifact, published)
