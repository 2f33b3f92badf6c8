"""Brings a run from its artifacts to a store that lacks it, or lacks its newest iterations."""

from __future__ import annotations

from qcsc_loop.errors import DamagedDocument, NoGoodCheckpoint, RunLocked
from qcsc_loop.prefect.artifacts import RemoteDriver, RunArtifacts
from qcsc_loop.store.journal import Journal
from qcsc_loop.store.lease import known_dead
from qcsc_loop.store.records import Commit
from qcsc_loop.values.encodings import Packed


async def restore(artifacts: RunArtifacts, journal: Journal) -> bool:
    """Writes to the store what the API knows and the store does not; False if it knows nothing.

    Afterwards the run is resumed as any other. A store that has everything is left alone.

    Raises:
        RunLocked: a driver that works on another disk was alive less than its lease ago.
        NoGoodCheckpoint: the state is on another disk only; says on which.
        NewerDocument: a newer version went on with it: an older state would do its work again.
    """
    driver = await artifacts.newest_driver()
    if driver is None:
        return False
    if driver.epoch.epoch > journal.newest_epoch():
        _refuse_if_alive(artifacts.run_id, driver)
    await _bring_checkpoints(artifacts, journal)
    journal.create(driver.record)
    journal.adopt_driver(driver.epoch, driver.end)
    return True


def _refuse_if_alive(run_id: str, driver: RemoteDriver) -> None:
    left = driver.epoch.lease_seconds - driver.silent_for
    if driver.end is None and left > 0 and not known_dead(driver.epoch.holder):
        holder = driver.epoch.holder
        raise RunLocked(run_id, holder.host, holder.pid, driver.epoch.since, left)


async def _bring_checkpoints(artifacts: RunArtifacts, journal: Journal) -> None:
    """The newest state that verifies, if it is newer than the store's, and all scalars."""
    local = journal.newest_good()
    known = {commit.iteration for commit in journal.commits.after(local)}
    brought: dict[int, Commit] = {}
    adopted, elsewhere = False, ""
    async for published in artifacts.checkpoints():
        commit, packed = published.commit, published.state
        if commit.iteration <= local:
            break
        brought.setdefault(commit.iteration, commit)
        if packed is None:
            elsewhere = elsewhere or f"its state is in {published.place}, too large for an artifact"
        elif not adopted:
            adopted = _adopt(journal, commit, packed)
    if brought and not adopted and local < 0:
        raise NoGoodCheckpoint(artifacts.run_id, [elsewhere or "no artifact verifies"])
    journal.add_history([brought[k] for k in sorted(brought) if k not in known])


def _adopt(journal: Journal, commit: Commit, packed: Packed) -> bool:
    try:
        document = packed.unpack()
    except DamagedDocument:
        return False
    if document.sha256 != commit.state_sha256:
        return False
    journal.add_checkpoint(commit, document)
    return True
