"""Every file operation of a driver goes wrong, in every way: the next driver ends with the same bits.

What `killed` ordeals do to a driver anywhere in its code is done here to each of its operations below
the store: it dies before, after and halfway through it, or the operation fails, once or from there on,
for want of room, of descriptors, or of a disk.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from loop.toys import executions
from ordeals.file_faults import FileFaults
from ordeals.hurt_driver import Nursery
from ordeals.hurt_run import Earlier, HurtRun, Way, go_through, nurseries
from ordeals.kills import EVERY_POINT
from ordeals.paid_toys import PaidSite

# what has gone wrong once: arrays removed that a record named, a line written twice, a disk's error
# taken for damage, a traceback in place of a sentence
ONCE = (
    r"fail once, EIO at (sync folder \S+/(steps|checkpoints)|read \S+\.npz|list)"
    r"|fail after, EIO at write \S+/history\.jsonl"
)
WAYS = (
    Way("from nothing", 0, every=EVERY_POINT),
    Way("going on", 4, (Earlier(3),), always=ONCE, every=EVERY_POINT),
    Way("half a line in the history", 3, (Earlier(3, r"history\.jsonl"),)),
    Way("half a step's record", 3, (Earlier(3, r"/\.\d+\.evaluate\.e\d+\.json\."),)),
)
JOBS = r"/work/|/jobs\.jsonl|\.evaluate\."  # its folder, its ledger, and the record that it ends in
PAID_WAYS = (
    Way("a first job", 1, (Earlier(0),), JOBS, every=EVERY_POINT),
    Way("half an intent", 1, (Earlier(1, r"/jobs\.jsonl", of=-4),), JOBS),
    Way("half an id", 1, (Earlier(1, r"/jobs\.jsonl", of=-3),), JOBS),
    Way("half a result", 1, (Earlier(1, r"/\.result"),), JOBS),
)


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> FileFaults:
    return FileFaults.compiled(tmp_path_factory.mktemp("library"))


@pytest.fixture(scope="module")
def born(faults: FileFaults, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Nursery]]:
    with nurseries(faults, tmp_path_factory.mktemp("nurseries")) as born:
        yield born


@dataclass
class ToyRun(HurtRun):
    """One of an algorithm that does nothing but count.

    Attributes:
        before: for each recorded step, how often it had been executed when its record was found.
    """

    algorithm = "loop.toys:Counting"

    before: Counter[tuple[str, int]] = field(default_factory=Counter[tuple[str, int]])

    @classmethod
    def on(cls, nursery: Nursery, way: Way) -> ToyRun:
        return cls.at(nursery, way, trace=str(nursery.folder / "trace"))

    @property
    def trace(self) -> Path:
        return self.folder / "trace"

    def outside(self) -> Sequence[Path]:
        return (self.trace,)

    def after_the_fault(self) -> None:
        super().after_the_fault()
        counts = executions(self.trace)
        names = self.journal.store.names(f"{self.run_id}/steps")
        recorded = [(name.split(".")[1], int(name.split(".")[0])) for name in names]
        committed = [("update", commit.iteration) for commit in self.journal.history()]
        self.before = Counter({step: counts[step] for step in [*recorded, *committed]})

    def in_the_end(self) -> None:
        super().in_the_end()
        after = executions(self.trace)
        again = {step: n for step, n in self.before.items() if after[step] != n}
        assert again == {}, f"executed again: {again}"
        assert set(after) == {("initialize", 0)} | {
            (hook, k)
            for hook in ("sample", "evaluate", "update", "converged")
            for k in range(1, self.way.limit + 1)
        }


class PaidRun(HurtRun):
    """One whose every iteration is a job that is paid."""

    algorithm = "ordeals.paid_toys:Paying"

    @classmethod
    def on(cls, nursery: Nursery, way: Way) -> PaidRun:
        return cls.at(nursery, way, bill=str(nursery.folder / "bill"))

    @property
    def bill(self) -> Path:
        return self.folder / "bill"

    def outside(self) -> Sequence[Path]:
        return (self.bill,)

    def in_the_end(self) -> None:
        super().in_the_end()
        paid = Counter(key for key, _ in PaidSite(bill=str(self.bill)).paid())
        jobs = self.jobs()
        assert paid == Counter(str(job.key) for job in jobs), f"paid: {paid}"
        known = [(job.key.iteration, job.key.attempt, job.state) for job in jobs]
        assert known == [(k, 0, "COMPLETED") for k in range(1, self.way.limit + 1)], known


@pytest.mark.guarantee("G1", "G23")
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_a_run_whose_driver_is_hurt_ends_with_the_same_bits(born: list[Nursery], way: Way) -> None:
    assert_nothing_went_wrong(ToyRun.on(nursery, way) for nursery in born)


@pytest.mark.parametrize("way", PAID_WAYS, ids=lambda way: way.name)
def test_a_job_whose_driver_is_hurt_is_paid_once(born: list[Nursery], way: Way) -> None:
    assert_nothing_went_wrong(PaidRun.on(nursery, way) for nursery in born)


def assert_nothing_went_wrong(runs: Iterable[HurtRun]) -> None:
    all_of_them = [*runs]
    tried = go_through(all_of_them)
    print(f"{all_of_them[0].way.name}: {tried}")
    assert tried.wrong == [], "\n".join(tried.wrong)
