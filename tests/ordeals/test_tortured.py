"""Every write boundary of a run on this machine, with every fault that a disk or a kill can be.

`make torture` goes on where this ends: other stacks, servers, two disks, clocks, by chance.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ordeals.kills import EVERY_POINT, KILLS, NIGHTLY, choose, kills
from qcsc_loop.testing.boundary import LOG
from torture.faults import FAULTS
from torture.matrix import GROUNDS, drawn, every_point
from torture.point import Ground, Point
from torture.table import table
from torture.torturer import Torturer
from torture.trial import Result

JOBS = Ground("local", "directory", "job")
SERVICE = Ground("service", "directory", "job")


@pytest.fixture(scope="module")
def torturer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Torturer]:
    if shutil.which("gcc") is None and shutil.which("cc") is None:
        pytest.skip("its clocks are shifted by a library in C: apt-get install gcc")
    with Torturer(tmp_path_factory.mktemp("torture")) as torturer:
        yield torturer


def tried(torturer: Torturer, points: list[Point], most: int) -> list[Result]:
    """Of so many points, spread over all."""
    chosen = choose(points, min(len(points), most))
    print(f"{len(chosen)} of {len(points)} points")
    return [torturer.result(point) for point in chosen]


def assert_nothing_went_wrong(results: list[Result]) -> None:
    wrong = [f"{result.point}: {result.wrong}" for result in results if result.wrong]
    assert wrong == [], "\n".join(wrong)
    assert all(result.same_bits and result.went_on and not result.extra for result in results)


@pytest.mark.guarantee("G1")
@pytest.mark.parametrize("ground", [JOBS, SERVICE], ids=str)
def test_killed_at_every_boundary_it_goes_on(torturer: Torturer, ground: Ground) -> None:
    boundaries = torturer.boundaries(ground)
    assert len(boundaries) > 100
    points = [Point(ground, "driver killed", boundary) for boundary in boundaries]
    # at every one of one stack in CI, of the other, whose runs pay a service, by night
    all_from = EVERY_POINT if ground == JOBS else NIGHTLY
    most = len(points) if all_from <= KILLS else KILLS
    assert_nothing_went_wrong(tried(torturer, points, most))


def test_a_warm_job_that_a_killed_driver_left_ends_with_the_run(torturer: Torturer) -> None:
    """The next driver has no call to make, and ends it all the same."""
    ground = Ground("pbs", "directory", "warm")
    assert_nothing_went_wrong(
        [torturer.result(Point(ground, "driver killed", "2/checkpoint/durable"))]
    )


@pytest.mark.parametrize(
    "fault",
    [
        fault.name
        for fault in FAULTS.values()
        if any(
            fault.fits(SERVICE, Point(SERVICE, fault.name, f"1/checkpoint/{stage}"))
            for stage in LOG
        )
    ],
)
def test_whatever_happens_at_a_boundary_a_paid_job_is_paid_once(
    torturer: Torturer, fault: str
) -> None:
    all_of_them = every_point(SERVICE, torturer.boundaries(SERVICE))
    points = [point for point in all_of_them if point.fault == fault]
    assert_nothing_went_wrong(tried(torturer, points, kills(1 / 4)))


def test_the_same_seed_draws_the_same_points() -> None:
    def boundaries(_ground: Ground) -> list[str]:
        return ["1/sample/written", "1/checkpoint/durable", "2/checkpoint/durable"]

    def some(seed: int) -> list[str]:
        points = drawn(seed, [*GROUNDS], boundaries)
        return [str(next(points)) for _ in range(20)]

    assert some(3) == some(3) != some(4)
    assert [str(Point.read(name)) for name in some(3)] == some(3)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_point_is_read_from_its_name(fault: str) -> None:
    point = Point(JOBS, fault, "1/checkpoint/named#2")
    assert Point.read(str(point)) == point
    assert (point.what, point.stage, point.iteration) == ("1/checkpoint", "named", 1)


def test_a_point_that_there_is_not_is_named() -> None:
    with pytest.raises(ValueError, match=r"begins with service\|local"):
        Point.read("cloud/directory/job/driver killed/1/x/y")


def test_what_goes_wrong_is_seen(torturer: Torturer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that forgets its jobs has one paid twice."""
    place = torturer.place(SERVICE)
    assert place.unhurt.states()
    parameters = place.site.parameters(SERVICE, Path())
    monkeypatch.setattr(place.site, "parameters", lambda *_: {**parameters, "forgetful": True})
    result = torturer.result(Point(SERVICE, "driver killed", "1/submit/after"))
    assert (result.extra, result.same_bits, result.kills) == (1, True, 1)
    assert result.wrong == "1 jobs more were accepted than there is work"


def test_what_became_of_points_is_a_table() -> None:
    good = Result("local/directory/job/driver killed/1/x/y", 1, True, 0, True, 0.25, seconds=8.0)
    bad = Result("ibm/directory/job/disk full/1/x/y", 0, False, 1, False, 0.0, "it cannot go on")
    page = table([good, bad], seed=3)
    assert "`make torture SEED=3 POINTS=2`, 8 s of points" in page
    assert "| driver killed | 1 | 1 | 1 of 1 | 0 | 0 | 0.25 |" in page
    assert "| ibm/directory/job | 1 | 0 | 0 of 1 | 1 | 1 | 0.00 |" in page
    assert page.count("| all | 2 | 1 | 1 of 2 | 1 | 1 | 0.25 |") == 2
    assert Result(**json.loads(bad.to_line())) == bad
