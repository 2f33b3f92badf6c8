"""A run of which a newer version published a state: no older one is taken from the API instead."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast
from uuid import uuid4

import anyio
import pytest

from loop.toys import Counting
from qcsc_loop.errors import NewerDocument
from qcsc_loop.prefect.artifacts import Published, RemoteDriver, RunArtifacts, pack
from qcsc_loop.prefect.restore import Wanted, restore
from qcsc_loop.rules.stop import MaxIterations
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal
from qcsc_loop.values.encodings import FORMAT

RUN = "toy-1"


class Artifacts:
    """Those of a run on another disk, without a server."""

    run_id = RUN

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.newer: set[int] = set()  # iterations whose states a newer version published

    async def drivers(self) -> list[RemoteDriver]:
        record, epoch = self._journal.record(), self._journal.epoch(1)
        at, end = epoch.since, self._journal.end(1)
        return [RemoteDriver(uuid4(), record, epoch, end, at, at, ours=True)]

    async def checkpoints(self) -> AsyncIterator[Published]:
        for name in self._journal.checkpoints():
            commit, document = self._journal.checkpoint(name)
            uid = self._journal.record().uid
            published = Published(uid=uid, commit=commit, state=pack(document), place="")
            text = published.model_dump_json()
            if commit.iteration in self.newer:
                old, new = f'"format":{FORMAT}', f'"format":{FORMAT + 1}'
                assert old in text
                text = text.replace(old, new).replace('"arrays":', '"parts":')
            yield Published.model_validate_json(text).model_copy(update={"ours": True})


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    async def run() -> None:
        await Counting().run(store=store, run_id=RUN, stop=MaxIterations(3))

    store = DirectoryStore(tmp_path / "other")
    anyio.run(run)
    return Artifacts(Journal(store, RUN))


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(DirectoryStore(tmp_path / "here"), RUN)


def brought(artifacts: Artifacts, journal: Journal) -> bool:
    wanted = Wanted(algorithm=Counting)
    return anyio.run(restore, cast("RunArtifacts", artifacts), journal, wanted)


def test_a_newer_version_s_state_is_not_replaced_by_an_older_one(
    artifacts: Artifacts, journal: Journal
) -> None:
    artifacts.newer = {3}
    with pytest.raises(NewerDocument, match="an artifact's state was written by a newer version"):
        brought(artifacts, journal)
    assert not journal.exists()
    assert journal.checkpoints() == []


def test_an_older_state_of_a_newer_version_is_not_needed(
    artifacts: Artifacts, journal: Journal
) -> None:
    artifacts.newer = {1}
    assert brought(artifacts, journal)
    assert journal.newest_good() == 3
    assert [commit.iteration for commit in journal.history()] == [0, 1, 2, 3]
