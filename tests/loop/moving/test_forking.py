"""A fork begins with the state of another run, which is only read; unchanged, it has its bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from qcsc_loop.algorithm import IterativeAlgorithm
from qcsc_loop.errors import InputError, InvalidRunId, RunExists
from qcsc_loop.moving.forking import Fork, fork_run
from qcsc_loop.reports.figure import places_along
from qcsc_loop.reports.looking import pace
from qcsc_loop.reports.view import RunReader, View
from qcsc_loop.rules.stop import MaxIterations
from qcsc_loop.steps.step import current_step
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal
from qcsc_loop.store.records import NO_DRIVER
from qcsc_loop.values.record import State

sampled: list[tuple[str, int]] = []


class Sum(State):
    total: float = 0.0


class Scaled(IterativeAlgorithm[Sum, float, float]):
    """Adds up random numbers, each times a factor."""

    factor: float = 1.0

    async def initialize(self) -> Sum:
        return Sum()

    async def sample(self, state: Sum) -> float:
        step = current_step()
        sampled.append((step.run_id, step.iteration))
        step.spend(shots=10)
        return float(step.rng.random())

    async def evaluate(self, state: Sum, samples: float) -> float:
        return self.factor * samples

    async def update(self, state: Sum, evaluation: float) -> Sum:
        return Sum(total=state.total + evaluation)


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    sampled.clear()
    return DirectoryStore(tmp_path / "runs")


def drive(store: DirectoryStore, run_id: str, iterations: int, **parameters: Any) -> Any:
    run, stop = Scaled(**parameters).run, MaxIterations(iterations)
    return anyio.run(lambda: run(store=store, run_id=run_id, stop=stop))


@pytest.mark.guarantee("G28")
def test_an_unchanged_fork_has_its_parents_bits(store: DirectoryStore) -> None:
    parent = drive(store, "parent", 5)
    before = {p: p.read_bytes() for p in (store.root / "parent").rglob("*") if p.is_file()}

    forked = fork_run(Journal(store, "parent"), Fork(at=2, run_id="fork"))

    assert (forked.run_id, forked.iteration) == ("fork", 2)
    outcome = drive(store, "fork", 5)
    assert outcome.state_sha256 == parent.state_sha256
    assert outcome.resumed_from == 2
    assert outcome.usage == {"shots": 30}  # what its parent has spent is not its own
    after = {p: p.read_bytes() for p in (store.root / "parent").rglob("*") if p.is_file()}
    assert after == before


def test_its_lineage_and_its_parents_curve_are_its_own(store: DirectoryStore) -> None:
    drive(store, "parent", 4)

    fork_run(Journal(store, "parent"), Fork(at=3, run_id="fork"))

    fork, parent = Journal(store, "fork"), Journal(store, "parent")
    lineage = fork.record().forked_from
    assert lineage is not None
    assert (lineage.run_id, lineage.iteration) == ("parent", 3)
    assert lineage.uid == parent.record().uid != fork.record().uid
    assert [c.scalars for c in fork.history()] == [c.scalars for c in parent.history()[:4]]


def test_it_may_have_other_parameters(store: DirectoryStore) -> None:
    drive(store, "parent", 3)

    fork_run(Journal(store, "parent"), Fork(at=1, run_id="fork", changed={"factor": 2.0}))

    totals = [c.scalars["total"] for c in Journal(store, "parent").history()]
    outcome = drive(store, "fork", 3, factor=2.0)
    assert outcome.state.total == pytest.approx(totals[1] + 2 * (totals[3] - totals[1]))


def test_a_replayed_fork_spends_no_shot(store: DirectoryStore) -> None:
    drive(store, "parent", 4)
    sampled.clear()

    asked = Fork(at=1, run_id="fork", changed={"factor": 3.0}, replay=True)
    forked = fork_run(Journal(store, "parent"), asked)

    assert forked.replayed == (2, 3, 4)
    outcome = drive(store, "fork", 4, factor=3.0)
    assert sampled == []
    assert outcome.usage == {}
    totals = [c.scalars["total"] for c in Journal(store, "parent").history()]
    assert outcome.state.total == pytest.approx(totals[1] + 3 * (totals[4] - totals[1]))


def test_beyond_its_parents_samples_a_replayed_fork_samples_itself(store: DirectoryStore) -> None:
    drive(store, "parent", 2)
    fork_run(Journal(store, "parent"), Fork(at=1, run_id="fork", replay=True))
    sampled.clear()

    drive(store, "fork", 4)

    assert sampled == [("fork", 3), ("fork", 4)]


def test_what_is_not_kept_is_said_with_what_is(store: DirectoryStore) -> None:
    drive(store, "parent", 3)

    with pytest.raises(
        InputError, match=r"iteration 9 .* Kept are those of the iterations: 0, 1, 2, 3"
    ):
        fork_run(Journal(store, "parent"), Fork(at=9))


@pytest.mark.parametrize("run_id", ["../x", "_sweeps", ".foo", "", "bad id!", "x\n", 3])
def test_an_id_that_no_run_may_have_is_refused_and_nothing_is_made(
    store: DirectoryStore, run_id: Any
) -> None:
    drive(store, "parent", 1)

    with pytest.raises(InvalidRunId, match="cannot be a run id: use 1 to 100"):
        fork_run(Journal(store, "parent"), Fork(run_id=run_id))

    assert [path.name for path in store.root.iterdir()] == ["parent"]
    assert [path.name for path in store.root.parent.iterdir()] == ["runs"]


def test_an_id_that_is_taken_is_refused_and_nothing_is_changed(store: DirectoryStore) -> None:
    drive(store, "parent", 2)
    drive(store, "taken", 1)
    before = Journal(store, "taken").history()

    with pytest.raises(RunExists):
        fork_run(Journal(store, "parent"), Fork(run_id="taken"))

    assert Journal(store, "taken").history() == before


class TestItsTimeIsItsOwn:
    """As its shots are: what its parent has worked is no part of it, in no view."""

    @pytest.fixture
    def fork(self, store: DirectoryStore) -> View:
        drive(store, "parent", 8)
        fork_run(Journal(store, "parent"), Fork(at=6, run_id="fork"))
        drive(store, "fork", 8)
        return RunReader(store, "fork").look()

    def test_of_its_parents_iterations_no_time_is_known(self, fork: View) -> None:
        assert fork.history.epochs == [NO_DRIVER] * 7 + [1, 1]
        for values in (fork.history.took, *fork.history.seconds.values()):
            assert [value == value for value in values[:7]] == [False] * 7
        assert all(seconds[8] > 0 for seconds in fork.history.seconds.values())

    def test_along_the_time_of_work_they_are_at_its_beginning(self, fork: View) -> None:
        along = places_along(fork, "wall")
        assert list(along[:7]) == [0] * 7
        assert 0 < along[7] < along[8]

    def test_the_pace_is_that_of_its_own_iterations(self, fork: View) -> None:
        assert pace(fork).whole == fork.history.took[8]

    def test_before_it_has_begun_it_has_no_pace(self, store: DirectoryStore) -> None:
        drive(store, "parent", 3)
        fork_run(Journal(store, "parent"), Fork(at=2, run_id="fork"))
        assert pace(RunReader(store, "fork").look()).phases == {}

    def test_so_it_is_where_an_earlier_version_has_copied_them(self, store: DirectoryStore) -> None:
        drive(store, "parent", 3)
        commits = Journal(store, "parent").history()
        fork_run(Journal(store, "parent"), Fork(at=3, run_id="fork"))
        Journal(store, "fork").add_history([commits[3].model_copy(update={"epoch": NO_DRIVER})])
        for view in (RunReader(store, "fork").look(), RunReader(store, "fork").glance()):
            assert all(v != v for values in view.history.seconds.values() for v in values)
