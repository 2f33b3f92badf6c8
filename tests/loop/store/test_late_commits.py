"""Commits of drivers that stood still: however late, they do not count for what was gone on from.

What the model of two drivers found (tests/models/test_two_drivers.py), each as an example.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from models.stepped import (
    CODEC,
    HOLDER_OF_A_CLAIM,
    LEASE_SECONDS,
    SETTINGS,
    Made,
    counting,
    created,
    elsewhere,
)
from qcsc_loop.rules.reason import Reason
from qcsc_loop.store.journal import Journal, Lease
from qcsc_loop.store.records import Commit, EndRecord
from qcsc_loop.store.recovery import last_good
from qcsc_loop.values.document import Document


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Journal:
    """Of a run whose drivers are on other hosts, of which nobody knows whether they live."""
    monkeypatch.setattr(*HOLDER_OF_A_CLAIM, elsewhere)
    return created(tmp_path / "store")


@pytest.fixture
def leases(journal: Journal) -> Iterator[list[Lease]]:
    """Three drivers of it, each of which has taken it from the one before."""
    taken = [journal.claim(SETTINGS, {}, LEASE_SECONDS, take_over=True) for _ in range(3)]
    yield taken
    for lease in taken:
        lease.release(None)


def made(lease: Lease, state: list[int]) -> tuple[Commit, Document]:
    document = CODEC.encode(Made(by=state))
    facts = {"iteration": len(state) - 1, "epoch": lease.epoch, "state_sha256": document.sha256}
    return Commit.model_validate(facts), document


def commit_late(lease: Lease, state: list[int]) -> None:
    """What a driver does that stood still after it had looked for a newer one."""
    commit, document = made(lease, state)
    lease.journal.add_checkpoint(commit, document)
    lease.journal.add_history([commit])


def gone_on_from(lease: Lease) -> list[int]:
    found = last_good(lease.journal, CODEC)
    assert found is not None
    lease.settle(found.commit)
    return found.state.by


@pytest.mark.guarantee("G19")
def test_the_commit_that_was_gone_on_from_counts(leases: list[Lease], journal: Journal) -> None:
    first, second, third = leases
    commit_late(first, [0, 1])
    assert gone_on_from(third) == [0, 1]
    third.commit(*made(third, [0, 1, 3]))
    commit_late(second, [0, 2])

    assert [line.state for line in counting(journal).values()] == [(0,), (0, 1), (0, 1, 3)]
    (newest,) = (name for name in journal.checkpoints() if name.startswith("00000002"))
    journal.store.remove(f"run-1/checkpoints/{newest}")
    fourth = journal.claim(SETTINGS, {}, LEASE_SECONDS, take_over=True)
    assert gone_on_from(fourth) == [0, 1]  # not the late one, of a newer driver as it is
    fourth.release(None)


def test_a_checkpoint_without_a_line_has_one_before_it_is_gone_on_from(
    leases: list[Lease], journal: Journal
) -> None:
    first, _, third = leases
    third.journal.add_checkpoint(*made(third, [0, 3]))  # and was killed before its line
    commit_late(first, [0, 1])
    fourth = journal.claim(SETTINGS, {}, LEASE_SECONDS, take_over=True)
    assert gone_on_from(fourth) == [0, 3]
    assert counting(journal)[1].state == (0, 3)
    fourth.release(None)


def test_drivers_that_have_ended_can_write_nothing_late(tmp_path: Path) -> None:
    journal = created(tmp_path / "store")
    for _ in range(3):
        lease = journal.claim(SETTINGS, {}, LEASE_SECONDS)
        gone_on_from(lease)
        lease.release(EndRecord(epoch=lease.epoch, reason=Reason.INTERRUPTED, iteration=0))

    assert len(journal.store.lines("run-1/history.jsonl")) == 1
