"""Brings a run from its artifacts to a store that lacks it, or lacks its newest iterations.

The API keeps copies; the disk is the truth. A copy counts where the disk vouches for it (its history
has the hash), or this person does (a signature); and, with the whole run gone from the disk, where a
person names the code that it is to run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from anyio import to_thread

from qcsc_loop.catalog import AlgorithmType, find_algorithm, is_installed
from qcsc_loop.concurrency.loading import class_reference
from qcsc_loop.concurrency.process_life import Life
from qcsc_loop.errors import (
    AlgorithmNotNamed,
    DamagedDocument,
    NewerDocument,
    NoGoodCheckpoint,
    ParametersChanged,
    RunLocked,
    RunNotFound,
    SeveralRuns,
)
from qcsc_loop.parameters.build import build
from qcsc_loop.parameters.operational import what_changes_results
from qcsc_loop.plain import Json
from qcsc_loop.prefect.artifacts import Published, RemoteDriver, RunArtifacts, newest_of
from qcsc_loop.prefect.signing import one_key_for_both
from qcsc_loop.store.journal import Journal
from qcsc_loop.store.lease import Hold, life_of_holder
from qcsc_loop.store.records import Commit, EpochRecord, RunRecord
from qcsc_loop.values.encodings import Packed

Tell = Callable[[str], None]
Algorithm = AlgorithmType | None
Counts = Callable[[Published, Commit | None], bool]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which run is to be brought, where the disk has none of that id.

    Attributes:
        algorithm: its class, as a person named it; None: nobody did.
        uid: how the run's uid begins.
        take_over: from a driver that may be alive; it sees that it was superseded.
    """

    algorithm: Algorithm = None
    uid: str = ""
    take_over: bool = False


_ANY = Wanted()
_NOTHING = (-1, 0)  # ranks below every commit


async def restore(
    artifacts: RunArtifacts,
    journal: Journal,
    wanted: Wanted = _ANY,
    tell: Tell = lambda _: None,
) -> bool:
    """Writes to the store what the API knows and the store does not; False if it knows nothing.

    Afterwards the run is resumed as any other. A store that has everything is left alone.

    Raises:
        RunLocked: a driver that works on another disk was alive less than its lease ago.
        NoGoodCheckpoint: the state is on another disk only; says on which.
        NewerDocument: a newer version went on with it: an older state would do its work again.
        AlgorithmNotNamed, ParametersChanged, SeveralRuns: the disk has no such run, and it cannot
            be told what to run.
        StoreNotPrivate: others can write to the store.
    """
    await to_thread.run_sync(journal.store.require_own, journal.run_id)
    if await to_thread.run_sync(_is_known, journal):
        return await _bring_newer(artifacts, journal, wanted, tell)
    return await _bring_all(artifacts, journal, wanted, tell)


def _is_known(journal: Journal) -> bool:
    """Whether the disk says what the run is."""
    try:
        journal.record()
    except (RunNotFound, DamagedDocument):
        return False
    return True


async def _bring_newer(
    artifacts: RunArtifacts, journal: Journal, wanted: Wanted, tell: Tell
) -> bool:
    record = await to_thread.run_sync(journal.record)
    driver = await artifacts.newest_driver(record.uid)
    if driver is not None and await to_thread.run_sync(_knows, journal, driver.epoch):
        driver = None
    if driver is not None and not wanted.take_over:
        await _refuse_if_alive(artifacts, driver)

    def counts(published: Published, here: Commit | None) -> bool:
        return published.ours or (here is not None and _same(published.commit, here))

    passed = await _bring_checkpoints(artifacts, journal, record.uid, counts)
    if passed:
        tell(
            f"the server has an iteration {passed} of this run that this disk does not know, and "
            f"that is not signed with your key: it is left alone. {one_key_for_both()}"
        )
    if driver is not None:
        await to_thread.run_sync(_adopt_driver, journal, driver)
    return driver is not None


def _knows(journal: Journal, epoch: EpochRecord) -> bool:
    """Whether the disk has this driver, under its own number or, where that was taken, a later one.

    Two disks that do not hear of each other's drivers give both the same number.
    """
    if epoch.epoch > journal.newest_epoch():
        return False
    with suppress(KeyError, DamagedDocument, NewerDocument):
        if journal.epoch(epoch.epoch).holder == epoch.holder:
            return True
    return any(known.holder == epoch.holder for known in journal.epochs())


def _adopt_driver(journal: Journal, driver: RemoteDriver) -> None:
    newest = journal.newest_epoch()
    number = driver.epoch.epoch if driver.epoch.epoch > newest else newest + 1
    journal.adopt_driver(driver.epoch.model_copy(update={"epoch": number}), driver.end)


async def _bring_all(artifacts: RunArtifacts, journal: Journal, wanted: Wanted, tell: Tell) -> bool:
    driver = _chosen(artifacts.run_id, await artifacts.drivers(), wanted.uid)
    if driver is None:
        return False
    if not wanted.take_over:
        await _refuse_if_alive(artifacts, driver)
    found = _found(artifacts.run_id, driver)
    record = _with_named_code(driver, found, wanted.algorithm)
    epoch = driver.epoch if driver.ours else _of_somebody(driver.epoch, record)

    def counts(published: Published, _here: Commit | None) -> bool:
        return published.ours or not driver.ours

    await _bring_checkpoints(artifacts, journal, record.uid, counts)
    journal.mend(record)
    journal.adopt_driver(epoch, driver.end)
    tell(f"{found}; {_from_when(journal)}")
    return True


def _from_when(journal: Journal) -> str:
    """Which state the run goes on with: a server from which newer ones were taken cannot say so."""
    newest = next(iter(journal.checkpoints()), None)
    if newest is None:
        return "it has committed nothing yet"
    commit, _ = journal.checkpoint(newest)
    at = f"{commit.committed.astimezone():%Y-%m-%d %H:%M:%S}"
    return f"the newest state that can be believed is of iteration {commit.iteration}, from {at}"


def _chosen(run_id: str, drivers: list[RemoteDriver], uid: str) -> RemoteDriver | None:
    """The newest driver of the one run; signed ones go before any other."""
    matching = [driver for driver in drivers if driver.record.uid.startswith(uid)]
    candidates = [driver for driver in matching if driver.ours] or matching
    runs = {driver.record.uid: driver for driver in candidates}
    if len(runs) > 1:
        words = [
            f"--uid {uid[:8]}, begun {run.record.created.astimezone():%Y-%m-%d %H:%M} with seed "
            f"{run.record.seed}, {run.words}"
            for uid, run in runs.items()
        ]
        raise SeveralRuns(run_id, words)
    return newest_of(candidates)


def _found(run_id: str, driver: RemoteDriver) -> str:
    signed = (
        "signed with your key"
        if driver.ours
        else "not signed with your key, so that what does not change its results (where jobs run, "
        f"say) is as by default. {one_key_for_both()}, before you resume it"
    )
    return (
        f"this disk has no run {run_id!r}; the Prefect server has one of "
        f"{driver.record.settings.algorithm}, seed {driver.record.seed}: {driver.words}, {signed}"
    )


def _with_named_code(driver: RemoteDriver, found: str, algorithm: Algorithm) -> RunRecord:
    """The record with the code that runs: what a person named, or what is installed.

    Of the parameters of an unsigned one those are left that say what is computed; others name
    machines, and with them commands.

    Raises:
        AlgorithmNotNamed: it is neither.
        ParametersChanged: a person named another class.
    """
    record, recorded = driver.record, driver.record.settings.algorithm
    if algorithm is None:
        if not is_installed(recorded):
            why = "Its code is no installed algorithm, and what a server says is not run unasked"
            raise AlgorithmNotNamed(record.run_id, found, why, recorded)
        algorithm = find_algorithm(recorded)
    reference = class_reference(algorithm)
    was, now = (name.rpartition(":")[2] for name in (recorded, reference))
    if was != now:
        raise ParametersChanged(record.run_id, {"algorithm": (was, now)})
    changed: Json = {"algorithm": reference}
    if not driver.ours:
        given = build(algorithm, record.settings.parameters)
        changed["parameters"] = what_changes_results(given)
    settings = record.settings.model_copy(update=changed)
    return record.model_copy(update={"settings": settings})


def _of_somebody(epoch: EpochRecord, record: RunRecord) -> EpochRecord:
    """A driver's record without what it says is to be done: settings, deployments."""
    versions = {"versions": epoch.provenance.get("versions", {})}
    return epoch.model_copy(update={"settings": record.settings, "provenance": versions})


async def _refuse_if_alive(artifacts: RunArtifacts, driver: RemoteDriver) -> None:
    holder = driver.epoch.holder
    life = life_of_holder(holder)
    if driver.end is not None or life is Life.DEAD:
        return
    left = max(0.0, driver.epoch.lease_seconds - await artifacts.silent_for(driver))
    if not Hold(left, life).is_free:
        raise RunLocked(
            artifacts.run_id,
            holder.host,
            holder.pid,
            driver.epoch.since,
            left,
            lives=life is Life.LIVES,
        )


async def _bring_checkpoints(
    artifacts: RunArtifacts, journal: Journal, uid: str, counts: Counts
) -> int:
    """The newest state that verifies, if it is newer than the store's, and all scalars.

    Newer is that of a newer driver, too, which went on from an older one than is here while this
    disk's stood still, before it had told of its last ones: what follows was made of theirs.

    Args:
        counts: whether an artifact does, beside what the history has of its iteration.

    Returns:
        The newest iteration that did not count and is newer than what did; 0 if there is none.
    """
    here = journal.newest_good_commit()
    local = -1 if here is None else here.iteration
    known = {commit.iteration: commit for commit in journal.commits.after(local)}
    brought: dict[int, Commit] = {}
    passed = 0
    async for published in artifacts.checkpoints():
        commit = published.commit
        if _ends(commit, here, brought):
            break
        if not published.is_of(uid) or (commit.iteration <= local and not published.ours):
            continue
        if here is not None and commit.iteration <= local and commit.epoch <= here.epoch:
            continue  # what this disk has, beside a newer driver's
        if not counts(published, known.get(commit.iteration)):
            passed = passed if brought else max(passed, commit.iteration)
            continue
        if not published.ours:  # the disk vouches for the state: what else it says is the disk's
            commit = known.get(commit.iteration, commit)
        before = brought.setdefault(commit.iteration, commit)
        brought[commit.iteration] = max(before, commit, key=lambda one: one.rank)
    brought = _one_after_the_other(brought, here)
    if brought:
        why = await _bring_state(artifacts, journal, uid, brought)
        if why and local < 0:
            raise NoGoodCheckpoint(artifacts.run_id, [why])
    journal.add_history([brought[k] for k in sorted(brought) if k not in known])
    return passed


def _one_after_the_other(brought: Mapping[int, Commit], here: Commit | None) -> dict[int, Commit]:
    """Those that were gone on from, or may be: none that a driver published late.

    A driver that stood still while a newer one went on from an older state, on another disk, has
    made its last ones of what does not count any more, and nobody can keep it from publishing them.
    """
    counting: dict[int, Commit] = {}
    newest = 0
    for iteration in sorted(brought):
        if here is not None and iteration > here.iteration:
            newest = max(newest, here.epoch)
        commit = brought[iteration]
        if commit.epoch >= newest:
            counting[iteration], newest = commit, commit.epoch
    return counting


async def _bring_state(
    artifacts: RunArtifacts, journal: Journal, uid: str, brought: Mapping[int, Commit]
) -> str:
    """The newest of these commits whose state verifies; why there is none, if so."""
    adopted, elsewhere = _NOTHING, ""
    async for published in artifacts.checkpoints():
        commit = brought.get(published.commit.iteration)
        if commit is None or not published.is_of(uid) or not _same(published.commit, commit):
            continue
        if published.state is None:
            elsewhere = elsewhere or f"its state is in {published.place}, too large for an artifact"
        elif commit.rank > adopted and _adopt(journal, commit, published.state):
            adopted = commit.rank
            if commit.iteration == max(brought):
                break
    return "" if adopted != _NOTHING else elsewhere or "no artifact verifies"


def _ends(commit: Commit, here: Commit | None, brought: Mapping[int, Commit]) -> bool:
    """Whether this commit and all after it, which are older, are of no use to a disk that has one."""
    if here is None or commit.iteration > here.iteration:
        return False
    is_late = commit.iteration < here.iteration and not brought
    return is_late or (commit.epoch <= here.epoch and commit.iteration not in brought)


def _same(one: Commit, other: Commit) -> bool:
    return one.state_sha256 == other.state_sha256


def _adopt(journal: Journal, commit: Commit, packed: Packed) -> bool:
    try:
        document = packed.unpack()
    except DamagedDocument:
        return False
    if document.sha256 != commit.state_sha256:
        return False
    journal.add_checkpoint(commit, document)
    return True
