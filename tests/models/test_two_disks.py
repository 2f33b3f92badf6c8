"""Two drivers on a disk each that hear of each other late: what a server has of them is one run."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path

import anyio
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from models.stepped import HOLDER_OF_A_CLAIM, created, elsewhere
from models.two_disks import SETTINGS, Disk, Rows, lineage

pytestmark = pytest.mark.guarantee("G26")


class TwoDisks(RuleBasedStateMachine):
    """The product's journals, artifacts and restore, in steps that come in any order."""

    def __init__(self) -> None:
        super().__init__()
        self._patch, self._folder = pytest.MonkeyPatch(), tempfile.TemporaryDirectory()
        root = Path(self._folder.name)
        self._patch.setattr(*HOLDER_OF_A_CLAIM, elsewhere)
        self._patch.setenv("QCSC_LOOP_KEY_FILE", str(root / "key"))
        self._rows, self._root, self._fresh = Rows(), root, 0
        created(root / "0", SETTINGS)
        self._disks = [Disk(root / str(number), self._rows) for number in range(2)]

    def _does(self, step: Callable[[], Coroutine[None, None, None]]) -> None:
        anyio.run(step)

    @rule(number=st.integers(0, 1))
    def a_driver_takes_over(self, number: int) -> None:
        self._does(self._disks[number].begin)

    @rule(number=st.integers(0, 1))
    def it_is_announced(self, number: int) -> None:
        self._does(self._disks[number].announce)

    @rule(number=st.integers(0, 1), iterations=st.integers(1, 3))
    def it_commits(self, number: int, iterations: int) -> None:
        for _ in range(iterations):
            self._does(self._disks[number].commit)

    @rule(number=st.integers(0, 1), commits=st.integers(1, 4))
    def it_publishes(self, number: int, commits: int) -> None:
        for _ in range(commits):
            self._does(self._disks[number].publish)

    @rule(number=st.integers(0, 1))
    def it_gives_a_sign_of_life(self, number: int) -> None:
        self._does(self._disks[number].beat)

    @rule(number=st.integers(0, 1))
    def it_dies(self, number: int) -> None:
        self._disks[number].die()

    @invariant()
    def whoever_takes_it_from_the_server_has_one_run(self) -> None:
        self._fresh += 1
        other = Disk(self._root / f"fresh{self._fresh}", self._rows)
        self._does(other.brings)
        assert lineage(other.journal) == ""

    @invariant()
    def so_has_each_disk(self) -> None:
        for disk in self._disks:
            assert lineage(disk.journal) == ""

    def teardown(self) -> None:
        for disk in self._disks:
            disk.die()
        self._patch.undo()
        self._folder.cleanup()


TestTwoDisks = TwoDisks.TestCase
TestTwoDisks.settings = settings(stateful_step_count=20)


@pytest.mark.parametrize("heard", [False, True], ids=["unheard", "heard"])
def test_what_a_driver_publishes_late_is_not_gone_on_from(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, heard: bool
) -> None:
    """It had committed three iterations and published one, from which another disk's went on."""

    async def publishes(disk: Disk, commits: int) -> None:
        for _ in range(commits):
            await disk.publish()

    async def happens() -> Disk:
        await late.begin()
        await late.announce()
        for _ in range(3):
            await late.commit()
        await publishes(late, 2)
        await newer.begin()
        await newer.announce()
        await newer.commit()
        await publishes(newer, 1)
        if heard:
            await late.beat()
        await publishes(late, 2)
        await third.brings()
        return third

    monkeypatch.setattr(*HOLDER_OF_A_CLAIM, elsewhere)
    monkeypatch.setenv("QCSC_LOOP_KEY_FILE", str(tmp_path / "key"))
    created(tmp_path / "late", SETTINGS)
    rows = Rows()
    late, newer, third = (Disk(tmp_path / name, rows) for name in ("late", "newer", "third"))
    try:
        anyio.run(happens)
    finally:
        late.die()
        newer.die()
    assert [(line.iteration, line.epoch) for line in third.journal.history()] == [
        (0, 0),
        (1, 1),
        (2, 2),
    ]
    assert third.journal.checkpoints() == ["00000002.e0002"]
    assert lineage(third.journal) == ""
