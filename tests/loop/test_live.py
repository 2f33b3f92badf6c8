"""What a driver leaves for people who look on: what it does, its warnings, how it is looked at."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import ClassVar

import anyio
import pytest

from qcsc_loop.algorithm import IterativeAlgorithm
from qcsc_loop.events import Event, Trouble
from qcsc_loop.loop.events import PhaseStarted
from qcsc_loop.loop.live import shown_live
from qcsc_loop.parameters.compare import to_plain
from qcsc_loop.reports.status import RunStatus
from qcsc_loop.reports.view import RunReader
from qcsc_loop.rules.going_on import limits_of
from qcsc_loop.rules.retry import Retry
from qcsc_loop.rules.stop import Converged, MaxIterations, Shots
from qcsc_loop.steps.parts import run_parts
from qcsc_loop.steps.step import current_step
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal
from qcsc_loop.store.live import LiveRecord, SideFiles
from qcsc_loop.values.chart import Chart
from qcsc_loop.values.record import State
from waiting import until


class Energy(State):
    chart: ClassVar[Chart] = Chart(
        headline="energy", better="lower", unit="hartree", beside=("step",), references="known"
    )

    step: float
    energy: float

    @property
    def known(self) -> dict[str, float]:
        return {"FCI": -1.5, "CCSD": float("nan")}


class Falling(IterativeAlgorithm[Energy, int, int]):
    """Falls, and rises once it is past its fourth iteration."""

    fails_once_at: int = -1

    async def initialize(self) -> Energy:
        return Energy(step=0, energy=0.0)

    async def sample(self, state: Energy) -> int:
        current_step().logger.info("sampling\x1b[2J")
        if current_step().iteration == self.fails_once_at and not current_step().attempt:
            raise ConnectionError("the line is down")
        return 1

    async def evaluate(self, state: Energy, samples: int) -> int:
        parts = {name: partial_result for name in ("a", "b")}
        return len(await run_parts(parts, int, limit=1))

    async def update(self, state: Energy, evaluation: int) -> Energy:
        step = state.step + 1
        return Energy(step=step, energy=-step if step <= 4 else 0.5)


async def partial_result() -> int:
    return 1


def drive(store: DirectoryStore, iterations: int = 6, **options: object) -> None:
    algorithm = Falling(fails_once_at=2)
    retry = Retry(times=1, delay=0)
    run = algorithm.run
    anyio.run(
        lambda: run(
            store=store,
            run_id="falling",
            stop=MaxIterations(iterations),
            retry=retry,
            **options,  # type: ignore[arg-type]
        )
    )


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "runs")


def test_a_reader_sees_headline_best_and_reference(store: DirectoryStore) -> None:
    drive(store)

    view = RunReader(store, "falling").look()

    assert (view.status, view.iteration, view.headline) == (RunStatus.LIMIT, 6, 0.5)
    assert view.best is not None
    assert (view.best.iteration, view.best.value) == (4, -4.0)
    assert view.reference == ("FCI", -1.5)  # a method that is not known is no reference
    assert view.chart.beside == ("step",)
    assert list(view.values) == [0.0, -1.0, -2.0, -3.0, -4.0, 0.5, 0.5]


def test_a_warning_is_told_to_logging_to_the_runs_log_and_to_who_looks_on(
    store: DirectoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="qcsc_loop"):
        drive(store)

    reader = RunReader(store, "falling")
    live = reader.look().live
    said = "sample of iteration 2 failed (ConnectionError: the line is down); again in 0 s"
    assert live is not None
    assert (live.warnings, live.warned) == ((said,), 1)
    assert [line.text for line in reader.log() if line.level == "warning"] == [said]
    assert f"falling: {said}" in [record.getMessage() for record in caplog.records]


def test_what_hooks_log_is_in_the_runs_log_with_its_place(store: DirectoryStore) -> None:
    drive(store, iterations=1)

    (line,) = [line for line in RunReader(store, "falling").log() if line.kind == "hook"]
    assert (line.iteration, line.step, line.level) == (1, "sample", "info")
    assert line.text == "sampling\\x1b[2J"


def test_what_a_driver_is_doing_can_be_read_while_it_does_it(store: DirectoryStore) -> None:
    files, seen = SideFiles(store, "falling"), list[int]()

    def look(event: Event) -> None:
        if isinstance(event, PhaseStarted) and event.iteration == 1:
            until(
                lambda: (live := files.live()) and live.phase == event.doing, "its phase is there"
            )
            seen.append(event.iteration)

    drive(store, iterations=1, observers=[look])

    assert seen == [1]


@pytest.mark.parametrize("name", ["live.json", "chart.json", "log.jsonl"])
def test_what_cannot_be_left_hurts_no_run(store: DirectoryStore, name: str) -> None:
    (store.root / "falling" / name).mkdir(parents=True)

    drive(store, iterations=2)

    view = RunReader(store, "falling").look()
    assert (view.status, view.iteration) == (RunStatus.LIMIT, 2)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"epoch": "x"}', b"\xff\xfe"])
def test_what_is_damaged_there_is_passed_over(store: DirectoryStore, content: bytes) -> None:
    drive(store, iterations=2)
    for name in ("live.json", "chart.json", "log.jsonl"):
        (store.root / "falling" / name).write_bytes(content)

    reader = RunReader(store, "falling")
    view = reader.look()

    assert (view.live, view.iteration, view.chart.headline) == (None, 2, "step")
    assert reader.log() == []


def test_a_chart_that_names_no_scalar_is_a_warning_once(store: DirectoryStore) -> None:
    class Wrong(Energy):
        chart: ClassVar[Chart] = Chart(headline="enrgy", references="nothing")

    class Mistaken(IterativeAlgorithm[Wrong, int, int]):
        async def initialize(self) -> Wrong:
            return Wrong(step=0, energy=0)

        async def sample(self, state: Wrong) -> int:
            return 1

        async def evaluate(self, state: Wrong, samples: int) -> int:
            return 1

        async def update(self, state: Wrong, evaluation: int) -> Wrong:
            return Wrong(step=1, energy=1)

    told: list[str] = []

    def observe(event: Event) -> None:
        if isinstance(event, Trouble):
            told.append(event.message)

    run = Mistaken().run
    anyio.run(lambda: run(store=store, run_id="wrong", stop=MaxIterations(2), observers=[observe]))

    assert told == [
        "chart.headline: 'enrgy' is no scalar of the state; its scalars: step, energy",
        "chart.references: 'nothing' is no mapping of name to number: AttributeError: 'Wrong' object "
        "has no attribute 'nothing'",
    ]
    assert RunReader(store, "wrong").look().chart.headline == "step"


def test_a_reader_takes_new_lines_and_leaves_half_ones(store: DirectoryStore) -> None:
    drive(store, iterations=2)
    reader = RunReader(store, "falling")
    history = store.root / "falling" / "history.jsonl"
    lines = history.read_bytes().splitlines(keepends=True)
    history.write_bytes(b"".join(lines[:2]) + lines[2][:20])
    assert list(reader.look().history.iterations) == [0, 1]

    with history.open("ab") as log:
        log.write(lines[2][20:])

    assert list(reader.look().history.iterations) == [0, 1, 2]


def test_of_a_repeated_iteration_the_newest_drivers_counts(store: DirectoryStore) -> None:
    drive(store, iterations=2)
    history = store.root / "falling" / "history.jsonl"
    again = history.read_bytes().splitlines()[1].replace(b'"epoch":1', b'"epoch":2')
    with history.open("ab") as log:
        log.write(again.replace(b'"energy":-1.0', b'"energy":-9.0') + b"\n")

    view = RunReader(store, "falling").look()

    assert list(view.history.iterations) == [0, 1]  # the new driver has not come further yet
    assert list(view.values) == [0.0, -9.0]


def test_the_bounds_of_a_rule_are_those_that_each_end_the_run() -> None:
    rule = MaxIterations(7) | Shots(1000) | Converged()

    assert limits_of(to_plain(rule)) == {"iterations": 7, "shots": 1000}
    assert limits_of(to_plain(MaxIterations(7) & Shots(1000))) == {}


def test_the_last_lines_of_a_log_are_read_over_its_two_files(store: DirectoryStore) -> None:
    drive(store, iterations=2)
    reader, folder = RunReader(store, "falling"), store.root / "falling"
    (folder / "log.jsonl").rename(folder / "log.1.jsonl")
    drive(store, iterations=4)
    whole = reader.log()
    assert len(whole) > 3
    for count in (0, 1, 3, len(whole), len(whole) + 9):
        assert reader.log(count) == whole[max(0, len(whole) - count) :]


def test_a_driver_that_was_superseded_says_no_more(store: DirectoryStore) -> None:
    drive(store, iterations=1)
    files = SideFiles(store, "falling")
    files.write_live(LiveRecord(epoch=2))  # the first thing that the other one does
    before = files.live(), list(files.log())

    with shown_live(Journal(store, "falling"), 1) as live:
        live(Trouble("too late"))

    assert (files.live(), list(files.log())) == before


def test_a_resume_that_commits_nothing_says_how_the_run_is_looked_at(tmp_path: Path) -> None:
    """Its driver was killed in the second before it did."""
    store = DirectoryStore(tmp_path)

    async def drive() -> None:
        await Falling().run(store=store, run_id="falling", stop=MaxIterations(2))

    anyio.run(drive)
    chart = RunReader(store, "falling").look().chart
    (tmp_path / "falling" / "chart.json").unlink()
    anyio.run(drive)
    assert RunReader(store, "falling").look().chart == chart
    assert chart.references["FCI"] == -1.5
