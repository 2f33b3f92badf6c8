"""What a ledger carries along, so that a driver need not read all: the same as all would say."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from qcsc_loop.jobs import carried, ledger
from qcsc_loop.jobs.carried import is_carried, read_log, records_of
from qcsc_loop.jobs.entries import (
    Cancelling,
    Collected,
    Finished,
    Holding,
    Intent,
    JobRecord,
    Line,
    Measured,
    Released,
    Submitted,
)
from qcsc_loop.jobs.key import JobKey
from qcsc_loop.jobs.ledger import LOG, JobsReader, Ledger
from qcsc_loop.jobs.outcome import JobMetrics, JobOutcome, JobState
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.memory import MemoryStore
from qcsc_loop.store.store import Store
from thorough import first

RUN, UID, NAME = "run", "0" * 32, f"run/{LOG}"
LAST = 60
SMALL_BYTES = 3000  # about two iterations'


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log carries along what it says after a few jobs."""
    monkeypatch.setattr(ledger, "CARRY_BYTES", SMALL_BYTES)
    monkeypatch.setattr(ledger, "TIMES", 0)
    monkeypatch.setattr("os.fdatasync", lambda _file: None)  # thousands of lines, and no power cut


def opened(store: Store, epoch: int = 1, start: int = 0) -> Ledger:
    made = Ledger(run_id=RUN, run_uid=UID, store=store, epoch=epoch, _worth=SMALL_BYTES)
    made.load(start)
    return made


def life(chance: random.Random, iteration: int, epoch: int, name: str = "job") -> list[Line]:
    """The lines of a job, which may stand still at any."""
    key = JobKey(run_id=RUN, run_uid=UID, iteration=iteration, step="evaluate", name=name)
    ended = JobOutcome(
        state=chance.choice([JobState.COMPLETED, JobState.FAILED]),
        metrics=JobMetrics(qpu_seconds=chance.random()),
    )
    lines: list[Line] = [
        Intent(key=key, epoch=epoch, site={"type": "none"}, folder="/f", input_sha256="0"),
        Submitted(key=key, epoch=epoch, job_id=str(iteration), folder=chance.choice([None, "/g"])),
        Holding(key=key, epoch=epoch, held="session", what="device"),
        *chance.choice([[], [Cancelling(key=key, epoch=epoch)]]),
        *chance.choice([[Released(key=key, epoch=epoch, held="session")], [], []][:2]),
        Finished(key=key, epoch=epoch, outcome=ended),
        Collected(key=key, epoch=epoch, unread=chance.choice(["", "it is gone"])),
        Measured(key=key, epoch=epoch, metrics=JobMetrics(qpu_seconds=1.5, cpus=4)),
    ]
    return lines if chance.random() < 0.8 else lines[: chance.randint(1, len(lines))]


def run_to(store: Store, last: int, seed: int, begin: int = 1, epoch: int = 1) -> None:
    """Drivers with a job or two in each iteration; now and then another one goes on."""
    chance, driver = random.Random(seed), opened(store, epoch, begin)
    for iteration in range(begin, last + 1):
        if chance.random() < 0.1:
            epoch += 1
            driver = opened(store, epoch, iteration)
        for name in ("job", "other")[: chance.randint(1, 2)]:
            for line in life(chance, iteration, epoch, name):
                driver.write_blocking(line)


def needed(records: dict[JobKey, JobRecord], start: int) -> dict[JobKey, JobRecord]:
    """Those that a driver that begins with an iteration may ask for."""
    return {
        key: record
        for key, record in records.items()
        if key.iteration >= start or not record.over or record.holding
    }


def costs(records: dict[JobKey, JobRecord], others: Counter[str]) -> float:
    total = Counter(others)
    for record in records.values():
        total.update(record.metrics.costs)
    return float(total["node_hours"])


def assert_same(store: Store, start: int, truth: list[bytes] | None = None) -> None:
    whole = records_of(store.lines(NAME) if truth is None else truth)
    found = read_log(store, NAME, start)
    assert needed(found.records, start) == needed(whole, start)
    assert costs(found.records, found.costs) == pytest.approx(costs(whole, Counter()))


@pytest.fixture(params=["disk", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return DirectoryStore(tmp_path) if request.param == "disk" else MemoryStore()


@pytest.mark.parametrize("seed", first(2, range(12)))
def test_what_is_read_from_the_end_is_what_all_says(store: Store, seed: int) -> None:
    run_to(store, LAST, seed)
    assert any(map(is_carried, store.lines(NAME)))
    for start in (0, 1, LAST // 2, LAST - 10, LAST - 3, LAST, LAST + 1):
        assert_same(store, start)


def test_what_is_read_does_not_grow_with_the_run(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    run_to(store, LAST, 0)
    little = read_log(store, NAME, LAST + 1).read
    run_to(store, 3 * LAST, 0, begin=LAST + 1, epoch=50)
    found = read_log(store, NAME, 3 * LAST + 1)
    assert max(found.read, little) < store.size(NAME) / 3
    assert found.end == store.size(NAME)


def test_a_run_that_steps_back_asks_for_more_and_gets_it(tmp_path: Path) -> None:
    """Else the jobs of the iterations that are done again would be paid again."""
    store = DirectoryStore(tmp_path)
    run_to(store, LAST, 1)
    for start in range(1, LAST, 5):
        found = read_log(store, NAME, start)
        assert found.since <= start
        known = {key.iteration for key in found.records}
        assert known >= set(range(start, LAST + 1))


@pytest.mark.parametrize("seed", first(2, range(12)))
def test_a_line_of_a_driver_that_had_stood_still_is_not_lost_behind_what_is_carried(
    tmp_path: Path, seed: int
) -> None:
    store, chance = DirectoryStore(tmp_path), random.Random(seed)
    stale = opened(store)
    run_to(store, LAST // 2, seed, epoch=2)
    late = life(random.Random(3), LAST // 2, 1, "late")[:2]  # it may be alive
    driver = opened(store, 9, LAST // 2 + 1)
    for iteration in range(LAST // 2 + 1, LAST):
        if iteration == LAST // 2 + 3:
            for line in late:
                stale.write_blocking(line)
        for line in life(chance, iteration, 9):
            driver.write_blocking(line)
    assert any(map(is_carried, store.lines(NAME)[-40:]))
    for start in (1, LAST - 3, LAST):
        assert_same(store, start)
        assert late[0].key in read_log(store, NAME, start).records


def test_an_intent_of_a_driver_that_was_overtaken_takes_back_nothing(store: Store) -> None:
    stale, driver = opened(store), opened(store, 2)
    for line in (done := life(random.Random(1), 1, 2)):
        driver.write_blocking(line)
    before = JobsReader(store, RUN).read()
    stale.write_blocking(life(random.Random(1), 1, 1)[0])  # it woke up just before its line
    assert done[0].key == before[0].key
    assert JobsReader(store, RUN).read() == before
    assert read_log(store, NAME).records[done[0].key] == before[0]


def torn(content: bytes, _: random.Random) -> bytes:
    return content[:-7]


def flipped(content: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(content))
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def without_a_line(content: bytes, chance: random.Random) -> bytes:
    lines = content.splitlines(keepends=True)
    del lines[chance.randrange(len(lines))]
    return b"".join(lines)


@pytest.mark.parametrize("seed", first(2, range(20)))
@pytest.mark.parametrize("damage", [torn, flipped, without_a_line])
def test_damage_loses_no_job_that_all_would_not_lose(
    tmp_path: Path, damage: Callable[[bytes, random.Random], bytes], seed: int
) -> None:
    store, chance = DirectoryStore(tmp_path), random.Random(seed)
    run_to(store, LAST, seed)
    path = tmp_path / NAME
    truth = records_of(store.lines(NAME))
    path.write_bytes(damage(path.read_bytes(), chance))
    left = records_of(store.lines(NAME))
    for start in (1, LAST - 3, LAST):
        found = read_log(store, NAME, start)
        mine = needed(found.records, start)
        for key, record in needed(left, start).items():
            # as all that is left says; or as it was, where that was read before the damage
            assert mine.get(key, truth.get(key)) in (record, truth.get(key))
            assert key in mine or not needed(dict([(key, truth[key])]), start)
        lost = needed(truth, start).keys() - mine.keys()
        assert not lost or not found.whole or damage is not flipped


@pytest.mark.parametrize("spoil", [b'{"kind":"carried",', b'{"kind":"carried","body":1}', b"[]"])
def test_what_cannot_be_relied_on_is_not(tmp_path: Path, spoil: bytes) -> None:
    store = DirectoryStore(tmp_path)
    run_to(store, LAST, 2)
    store.append(NAME, [spoil])
    assert_same(store, LAST)


def test_a_record_is_made_again_by_its_lines() -> None:
    for seed in range(200):
        texts = [line.model_dump_json().encode() for line in life(random.Random(seed), 1, 1)]
        (record,) = records_of(texts).values()
        again = [line.model_dump_json().encode() for line in record.lines()]
        assert list(records_of(again).values()) == [record]


def test_a_reader_that_looks_again_reads_what_is_new(store: Store) -> None:
    reader = JobsReader(store, RUN)
    run_to(store, LAST, 2)
    reader.read()
    run_to(store, LAST, 5)
    assert reader.read() == list(records_of(store.lines(NAME)).values())


def test_a_carried_line_is_no_trouble_to_whoever_reads_all(store: Store) -> None:
    run_to(store, LAST, 6)
    assert read_log(store, NAME).whole
    assert carried.CARRY_BYTES > SMALL_BYTES
