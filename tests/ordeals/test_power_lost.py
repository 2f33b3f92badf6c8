"""A machine loses its power at a write boundary of a run: what its disk then has, it goes on from.

The disk is an image on a loop device that is copied as it is, so that what was in memory is lost: the
driver's files and its jobs' alike. `torture/power.py` says more.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ordeals.kills import choose, kills
from torture.faults import FAULTS
from torture.point import Ground, Point
from torture.power import MKFS, disk, why_no_disk
from torture.torturer import Torturer

GROUNDS = (Ground("local", "directory", "job"), Ground("service", "directory", "job"))
FAULT = {
    "ext4": "power lost on ext4",
    "ext4, data late": "power lost on ext4, data late",
    "xfs": "power lost on xfs",
    "btrfs": "power lost on btrfs",
}
# a result was there by its record, and empty; a folder was gone whose intent was there
ONCE = {
    "local": ("1/job.finished/durable", "1/evaluate/written"),
    "service": ("1/job.intent/durable", "1/submit/after"),
}


@pytest.fixture(scope="module")
def torturer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Torturer]:
    with Torturer(tmp_path_factory.mktemp("power")) as torturer:
        yield torturer


@pytest.fixture(params=FAULT)
def fault(request: pytest.FixtureRequest) -> str:
    name: str = FAULT[request.param]
    if (why := why_no_disk(str(request.param).partition(",")[0])) is not None:
        pytest.skip(why)
    return name


@pytest.mark.guarantee("G24")
@pytest.mark.parametrize("ground", GROUNDS, ids=str)
def test_a_run_whose_machine_loses_its_power_ends_with_the_same_bits(
    torturer: Torturer, ground: Ground, fault: str
) -> None:
    boundaries = torturer.boundaries(ground)
    chosen = dict.fromkeys([*ONCE[ground.stack], *choose(boundaries, kills(1 / 6))])
    results = [torturer.result(Point(ground, fault, boundary)) for boundary in chosen]
    assert [result for result in results if result.wrong] == []
    assert {result.kills for result in results} == {1}


@pytest.mark.parametrize("kind", MKFS)
def test_what_was_not_synced_is_lost_with_the_power(tmp_path: Path, kind: str) -> None:
    """Else nothing would have been tried above."""
    if (why := why_no_disk(kind)) is not None:
        pytest.skip(why)
    with disk(tmp_path / "disk", kind, "defaults") as there:
        (there.folder / "lost").write_text("in memory")
        there.cut()
        assert not (there.folder / "lost").exists()


def test_each_kind_of_disk_is_among_the_faults() -> None:
    assert {name for name in FAULTS if name.startswith("power lost")} == {*FAULT.values()}
