"""Files of a run in each other's places, and a bit that flipped: nothing is taken for another."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from loop.toys import Counting, Tally
from qcsc_loop.errors import DamagedDocument
from qcsc_loop.events import Event, Trouble
from qcsc_loop.loop.outcome import Outcome
from qcsc_loop.rules.stop import MaxIterations, Plateau
from qcsc_loop.store.checksum import add_checksum, is_intact
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal
from qcsc_loop.store.recovery import last_good
from qcsc_loop.values.codec import Codec

TALLY = Codec[Tally](Tally)


def drive(store: DirectoryStore, limit: int, run_id: str = "run", **options: Any) -> Outcome[Tally]:
    rule = {"stop": MaxIterations(limit)} | options
    return anyio.run(partial(Counting(width=3).run, store=store, run_id=run_id, **rule))


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    store = DirectoryStore(tmp_path / "store")
    drive(store, 3)
    return store


def swap(one: Path, other: Path) -> None:
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)


@pytest.mark.guarantee("G22")
def test_steps_in_each_others_places_are_no_records_of_each_other(store: DirectoryStore) -> None:
    steps = store.root / "run" / "steps"
    swap(steps / "00000003.sample.e0001.json", steps / "00000003.evaluate.e0001.json")
    (store.root / "run" / "checkpoints" / "00000003.e0001.json").unlink()

    with pytest.raises(DamagedDocument, match="it is that of evaluate in iteration 3"):
        Journal(store, "run").step(3, "sample")
    whole = drive(DirectoryStore(store.root.with_name("whole")), 3)
    assert drive(store, 3).state == whole.state


def test_checkpoints_in_each_others_places_are_passed_over(store: DirectoryStore) -> None:
    kept = store.root / "run" / "checkpoints"
    swap(kept / "00000002.e0001.json", kept / "00000003.e0001.json")

    found = last_good(Journal(store, "run"), TALLY)
    assert found is not None
    assert found.commit.iteration == 1
    assert "it is that of iteration 2" in found.loss


def test_the_state_of_another_run_is_not_gone_on_with(store: DirectoryStore) -> None:
    drive(store, 3, "other", seed=1)
    name = Path("checkpoints", "00000003.e0001.json")
    swap(store.root / "run" / name, store.root / "other" / name)

    found = last_good(Journal(store, "run"), TALLY)
    assert found is not None
    assert found.commit.iteration == 2
    assert "its state is not the one that the history has" in found.loss


def test_drivers_records_in_each_others_places_are_damaged(store: DirectoryStore) -> None:
    drive(store, 4)
    epochs = store.root / "run" / "epochs"
    swap(epochs / "0001.json", epochs / "0002.json")

    with pytest.raises(DamagedDocument, match="it is the record of driver 1"):
        Journal(store, "run").epoch(2)


class TestHistory:
    """What it says is what stop rules see: a bit that flipped is not another number."""

    def hurt(self, store: DirectoryStore, iteration: int) -> None:
        log = store.root / "run" / "history.jsonl"
        lines = log.read_bytes().splitlines()
        old, new = b'"count":%d.0' % iteration, b'"count":%d.0' % (iteration ^ 1)
        assert old in lines[iteration]
        lines[iteration] = lines[iteration].replace(old, new)
        log.write_bytes(b"\n".join(lines) + b"\n")

    def test_a_damaged_line_is_taken_from_its_checkpoint(self, store: DirectoryStore) -> None:
        self.hurt(store, 2)

        found = last_good(Journal(store, "run"), TALLY, recent=4)
        assert found is not None
        assert [known.scalars["count"] for known in found.recent] == [0, 1, 2, 3]
        assert found.loss == ""

    def test_one_whose_checkpoint_is_pruned_is_told(self, store: DirectoryStore) -> None:
        drive(store, 4, keep=2)
        for lost in (store.root / "run/checkpoints").glob("00000001.*"):
            lost.unlink()
        self.hurt(store, 1)
        told: list[Event] = []

        outcome = drive(store, 5, stop=Plateau(4, 9.0) | MaxIterations(5), observers=[told.append])

        (trouble,) = [event.message for event in told if isinstance(event, Trouble)]
        assert trouble.startswith("what iterations said is lost from the history (1)")
        assert outcome.iteration == 5  # no plateau of which an iteration is not known


@pytest.mark.parametrize("bit", range(8))
def test_a_checksum_tells_every_flipped_bit_but_those_of_its_own_name(bit: int) -> None:
    line = add_checksum(b'{"iteration":12,"scalars":{"energy":-1.25}}')
    name = range(line.index(b',"checksum"'), line.index(b'"checksum":"') + 12)
    for at in range(len(line)):
        hurt = bytearray(line)
        hurt[at] ^= 1 << bit
        assert not is_intact(bytes(hurt)) or at in name


def test_a_line_of_an_older_version_is_believed() -> None:
    assert is_intact(b'{"iteration":12,"scalars":{"energy":-1.25}}')
