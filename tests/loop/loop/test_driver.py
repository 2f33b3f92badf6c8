"""The loop from the outside: what a run computes, keeps and repeats, in one process."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Generic, TypeVar, Unpack

import anyio
import numpy as np
import pytest

from loop.toys import (
    HOOKS,
    Counting,
    Draw,
    Tally,
    Trap,
    executions,
    numbers_after,
)
from qcsc_loop.algorithm import IterativeAlgorithm
from qcsc_loop.errors import (
    BadAlgorithm,
    HookFailed,
    InvalidParameters,
    InvalidRunId,
    LeaseLost,
    NoGoodCheckpoint,
    ParametersChanged,
    RunLocked,
    StoreError,
    WrongHookType,
)
from qcsc_loop.events import Event, Trouble
from qcsc_loop.loop.events import (
    IterationCommitted,
    PhaseStarted,
    RunStarted,
    RunStopped,
    StepRetried,
    StepReused,
    StepStarted,
)
from qcsc_loop.loop.hooks import E, M, S
from qcsc_loop.loop.options import Call, RunOptions
from qcsc_loop.loop.outcome import Outcome
from qcsc_loop.parameters.operational import OPERATIONAL
from qcsc_loop.rules.reason import Reason
from qcsc_loop.rules.retry import Retry
from qcsc_loop.rules.stop import Converged, MaxIterations, Plateau, WallTime
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal
from qcsc_loop.store.memory import MemoryStore
from qcsc_loop.store.records import EndRecord
from qcsc_loop.store.store import Store
from qcsc_loop.values.chart import Chart
from qcsc_loop.values.document import Document
from qcsc_loop.values.record import State
from waiting import line_count, until_async

T = TypeVar("T")
RUN = "toy-run"
SEED = 7
LIMIT = 5


@pytest.fixture
def disk(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "store")


@pytest.fixture
def trace(tmp_path: Path) -> str:
    return str(tmp_path / "trace")


def drive(
    algorithm: IterativeAlgorithm[S, M, E], limit: int = LIMIT, **options: Unpack[RunOptions]
) -> Outcome[S]:
    """Drives the run to the limit, with all iterations kept where nothing else is said."""
    given: RunOptions = {"run_id": RUN, "seed": SEED, "stop": MaxIterations(limit), "keep": None}
    given.update(options)
    return anyio.run(lambda: algorithm.run(**given))


def uninterrupted(limit: int = LIMIT, seed: int = SEED) -> str:
    """The hash that any history of interruptions must end with."""
    return drive(Counting(), limit, store=MemoryStore(), seed=seed).state_sha256


def last_end(store: Store) -> EndRecord:
    journal = Journal(store, RUN)
    end = journal.end(journal.newest_epoch())
    assert end is not None
    return end


def troubles(events: Sequence[Event]) -> list[str]:
    return [event.message for event in events if isinstance(event, Trouble)]


def recorded_steps(store: Store) -> set[tuple[str, int]]:
    names = store.names(f"{RUN}/steps")
    return {(name.split(".")[1], int(name.split(".")[0])) for name in names}


def kept_iterations(store: Store) -> list[int]:
    return [int(name.split(".")[0]) for name in Journal(store, RUN).checkpoints()][::-1]


# what a run computes


def test_hooks_are_called_in_their_order(store: Store, trace: str) -> None:
    drive(Counting(trace=trace), 2, store=store)
    assert Path(trace).read_text().splitlines() == [
        "initialize 0",
        *(f"{hook} 1" for hook in HOOKS),
        *(f"{hook} 2" for hook in HOOKS),
    ]


def test_the_final_state_is_the_one_computed_by_hand(store: Store) -> None:
    state = drive(Counting(), 4, store=store).state
    assert (state.count, state.squares) == (4, 1 + 4 + 9 + 16)


@pytest.mark.guarantee("G4")
def test_the_random_numbers_derive_from_seed_iteration_and_step_alone(store: Store) -> None:
    state = drive(Counting(), 3, store=store).state
    np.testing.assert_array_equal(state.numbers, numbers_after(3, seed=SEED))


def test_the_same_seed_gives_the_same_bits_in_every_store(store: Store) -> None:
    assert drive(Counting(), store=store).state_sha256 == uninterrupted()


def test_another_seed_gives_other_bits(store: Store) -> None:
    assert drive(Counting(), store=store, seed=SEED + 1).state_sha256 != uninterrupted()


def test_the_outcome_carries_the_headline_numbers_of_the_state(store: Store) -> None:
    assert drive(Counting(), 3, store=store).scalars == {"count": 3.0, "squares": 14.0}


def test_events_tell_the_run_in_order(store: Store) -> None:
    events: list[Event] = []
    drive(Counting(), 1, store=store, observers=[events.append])
    assert [type(event) for event in events] == [
        RunStarted,
        StepStarted,
        PhaseStarted,
        IterationCommitted,
        *[StepStarted] * 4,
        PhaseStarted,
        IterationCommitted,
        RunStopped,
    ]


def test_twenty_megabytes_pass_through_every_step_and_a_resume(disk: DirectoryStore) -> None:
    toy = Counting(width=20_000_000 // 8)
    drive(toy, 1, store=disk)
    state = drive(toy, 2, store=disk).state
    np.testing.assert_array_equal(state.numbers, numbers_after(2, seed=SEED, width=toy.width))


# when it stops


def test_max_iterations_stops_at_its_limit(store: Store) -> None:
    outcome = drive(Counting(), 3, store=store)
    assert (outcome.reason, outcome.iteration) == (Reason.MAX_ITERATIONS, 3)


def test_zero_iterations_give_the_initial_state(store: Store, trace: str) -> None:
    outcome = drive(Counting(trace=trace), 0, store=store)
    assert outcome.iteration == 0
    assert executions(trace) == {("initialize", 0): 1}


def test_converged_stops_when_the_algorithm_says_so(store: Store) -> None:
    outcome = drive(Counting(goal=3), 10, store=store)
    assert (outcome.reason, outcome.iteration) == (Reason.CONVERGED, 3)


def test_converged_three_times_in_a_row_needs_three(store: Store) -> None:
    rule = Converged(times=3) | MaxIterations(10)
    outcome = drive(Counting(goal=2), store=store, stop=rule)
    assert (outcome.reason, outcome.iteration) == (Reason.CONVERGED, 4)


def test_converged_three_times_in_a_row_counts_those_before_a_resume(store: Store) -> None:
    drive(Counting(goal=2), store=store, stop=Converged(times=9) | MaxIterations(3))
    rule = Converged(times=3) | MaxIterations(10)
    outcome = drive(Counting(goal=2), store=store, stop=rule)
    assert (outcome.reason, outcome.iteration) == (Reason.CONVERGED, 4)


def test_a_plateau_stops_the_run(store: Store) -> None:
    # squares grow by k**2: within 2 iterations by at most 25 up to iteration 4 (9 + 16)
    rule = Plateau(2, 25.0, scalar="squares") | MaxIterations(10)
    outcome = drive(Counting(), store=store, stop=rule)
    assert (outcome.reason, outcome.iteration) == (Reason.PLATEAU, 2)


def test_no_plateau_while_the_scalar_moves_more(store: Store) -> None:
    rule = Plateau(2, 4.9, scalar="squares") | MaxIterations(4)
    assert drive(Counting(), store=store, stop=rule).reason is Reason.MAX_ITERATIONS


def test_wall_time_stops_before_the_next_iteration(store: Store) -> None:
    outcome = drive(Counting(), store=store, stop=WallTime(1e-9))
    assert (outcome.reason, outcome.iteration) == (Reason.WALL_TIME, 0)


@pytest.mark.guarantee("G3")
def test_a_run_stopped_by_wall_time_goes_on_when_resumed(store: Store) -> None:
    drive(Counting(), store=store, stop=WallTime(1e-9))
    assert drive(Counting(), store=store).state_sha256 == uninterrupted()


def test_a_rule_of_two_needs_both(store: Store) -> None:
    outcome = drive(Counting(goal=1), store=store, stop=Converged() & MaxIterations(4))
    assert outcome.iteration == 4


# going on


def test_a_higher_limit_continues_to_the_same_bits(store: Store) -> None:
    drive(Counting(), 2, store=store)
    assert drive(Counting(), LIMIT, store=store).state_sha256 == uninterrupted()


def test_a_resume_says_from_where(store: Store) -> None:
    drive(Counting(), 2, store=store)
    assert drive(Counting(), 3, store=store).resumed_from == 2


def test_a_new_run_was_resumed_from_nowhere(store: Store) -> None:
    assert drive(Counting(), 1, store=store).resumed_from is None


def test_a_finished_run_computes_nothing_when_resumed(store: Store, trace: str) -> None:
    drive(Counting(trace=trace), 2, store=store)
    before = executions(trace)
    drive(Counting(trace=trace), 2, store=store)
    assert executions(trace) == before


def test_a_resume_takes_the_limit_of_the_run_when_none_is_given(store: Store) -> None:
    drive(Counting(), 2, store=store)
    outcome = anyio.run(lambda: Counting().run(store=store, run_id=RUN))
    assert (outcome.iteration, outcome.reason) == (2, Reason.MAX_ITERATIONS)


def test_an_interrupted_iteration_is_one_line_in_the_history(store: Store) -> None:
    for limit in (2, 3, 4):
        drive(Counting(), limit, store=store)
    assert [commit.iteration for commit in Journal(store, RUN).history()] == [0, 1, 2, 3, 4]


# cancelled

Canceller = Callable[[Counting, Store, str, list[Event]], None]


def by_scope(toy: Counting, store: Store, hook: str, events: list[Event]) -> None:
    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(partial(_run, toy, store, events))
            await until_async(lambda: executions(toy.trace)[hook, 3], f"{hook} is executed")
            group.cancel_scope.cancel()

    anyio.run(main)


def by_task(toy: Counting, store: Store, hook: str, events: list[Event]) -> None:
    async def main() -> None:
        task = asyncio.create_task(_run(toy, store, events))
        await until_async(lambda: executions(toy.trace)[hook, 3], f"{hook} is executed")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


async def _run(toy: Counting, store: Store, events: list[Event]) -> None:
    await toy.run(
        store=store,
        run_id=RUN,
        seed=SEED,
        stop=MaxIterations(LIMIT),
        keep=None,
        observers=[events.append],
    )


cancellers = pytest.mark.parametrize("cancel", [by_scope, by_task])
hooks = pytest.mark.parametrize("hook", HOOKS)


def hanging(trace: str, hook: str) -> Counting:
    return Counting(trace=trace, trap=Trap(hook=hook, iteration=3, does="hang"))


@pytest.mark.guarantee("G3")
@cancellers
@hooks
def test_a_cancelled_run_resumes_to_the_same_bits(
    store: Store, trace: str, hook: str, cancel: Canceller
) -> None:
    cancel(hanging(trace, hook), store, hook, [])
    assert drive(Counting(trace=trace), store=store).state_sha256 == uninterrupted()


@cancellers
@hooks
def test_no_recorded_step_of_a_cancelled_run_is_executed_again(
    store: Store, trace: str, hook: str, cancel: Canceller
) -> None:
    cancel(hanging(trace, hook), store, hook, [])
    recorded = recorded_steps(store)
    assert recorded >= {("sample", 1), ("evaluate", 1), ("sample", 2), ("evaluate", 2)}
    drive(Counting(trace=trace), store=store)
    assert {executions(trace)[step] for step in recorded} == {1}


@cancellers
@pytest.mark.parametrize(
    ("hook", "finished"),
    [("evaluate", {"sample"}), ("update", {"sample", "evaluate"})],
)
def test_the_steps_before_the_cancelled_one_are_reused(
    store: Store, trace: str, hook: str, finished: set[str], cancel: Canceller
) -> None:
    cancel(hanging(trace, hook), store, hook, [])
    events: list[Event] = []
    drive(Counting(trace=trace), store=store, observers=[events.append])
    assert {event.step for event in events if isinstance(event, StepReused)} == finished


@cancellers
@hooks
def test_a_cancelled_run_is_recorded_as_interrupted(
    store: Store, trace: str, hook: str, cancel: Canceller
) -> None:
    cancel(hanging(trace, hook), store, hook, [])
    end = last_end(store)
    assert (end.reason, end.iteration) == (Reason.INTERRUPTED, 2)


@cancellers
def test_observers_hear_of_the_interruption(store: Store, trace: str, cancel: Canceller) -> None:
    events: list[Event] = []
    cancel(hanging(trace, "sample"), store, "sample", events)
    last = events[-1]
    assert isinstance(last, RunStopped)
    assert last.end.reason is Reason.INTERRUPTED


def test_a_run_cancelled_in_its_first_hook_can_be_started_again(store: Store) -> None:
    toy = Counting(trap=Trap(hook="initialize", iteration=0, does="cancel"))
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(_run(toy, store, []))
    assert drive(Counting(), store=store).state_sha256 == uninterrupted()


@pytest.mark.parametrize("hook", ["sample", "evaluate"])
def test_a_result_returned_just_when_the_cancellation_arrives_is_recorded(
    store: Store, trace: str, hook: str
) -> None:
    toy = Counting(trace=trace, trap=Trap(hook=hook, iteration=3, does="cancel"))
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(_run(toy, store, []))
    assert (hook, 3) in recorded_steps(store)


@hooks
def test_a_run_cancelled_just_when_a_hook_returns_resumes_to_the_same_bits(
    store: Store, trace: str, hook: str
) -> None:
    toy = Counting(trace=trace, trap=Trap(hook=hook, iteration=3, does="cancel"))
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(_run(toy, store, []))
    assert drive(Counting(trace=trace), store=store).state_sha256 == uninterrupted()


class Gated(MemoryStore):
    """A store that stands still before it writes a name with `at` in it, until it is let through."""

    def __init__(self, at: str) -> None:
        super().__init__()
        self.at, self.reached, self.let_through = at, threading.Event(), threading.Event()

    def write(self, name: str, document: Document) -> None:
        self._wait(name)
        super().write(name, document)

    def create(self, name: str, document: Document) -> bool:
        self._wait(name)
        return super().create(name, document)

    def _wait(self, name: str) -> None:
        if self.at in name and not self.let_through.is_set():
            self.reached.set()
            assert self.let_through.wait(30)


def cancelled_while_writing(store: Gated) -> None:
    async def main() -> None:
        task = asyncio.create_task(_run(Counting(), store, []))
        await until_async(store.reached.is_set, f"{store.at} is being written")
        task.cancel()
        # one turn, so that the cancellation has arrived before the write goes on
        await asyncio.sleep(0)
        store.let_through.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


@pytest.mark.parametrize("at", ["steps/00000003.sample", "steps/00000003.evaluate"])
def test_a_step_being_written_when_the_cancellation_arrives_is_written(at: str) -> None:
    store = Gated(at)
    cancelled_while_writing(store)
    assert any(name.startswith(Path(at).name) for name in store.names(f"{RUN}/steps"))


def test_a_checkpoint_being_written_when_the_cancellation_arrives_is_committed() -> None:
    store = Gated("checkpoints/00000003")
    cancelled_while_writing(store)
    assert [commit.iteration for commit in Journal(store, RUN).history()] == [0, 1, 2, 3]


def test_the_end_record_of_a_cancelled_run_counts_the_iteration_that_was_being_committed() -> None:
    store = Gated("checkpoints/00000003")
    cancelled_while_writing(store)
    assert last_end(store).iteration == 3


def test_a_run_cancelled_while_it_is_opened_is_free_for_the_next_driver() -> None:
    store = Gated("epochs/0001")
    cancelled_while_writing(store)
    assert drive(Counting(), store=store).state_sha256 == uninterrupted()


class NoEnd(MemoryStore):
    """A store whose disk is full when the end record comes."""

    def write(self, name: str, document: Document) -> None:
        if name.endswith("-end"):
            raise StoreError("write", name, "No space left on device")
        super().write(name, document)


def test_a_cancellation_stays_one_when_the_end_cannot_be_written() -> None:
    toy = Counting(trap=Trap(hook="sample", iteration=3, does="cancel"))
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(_run(toy, NoEnd(), []))


def test_a_failure_of_a_hook_is_told_even_when_the_end_cannot_be_written() -> None:
    with pytest.raises(HookFailed):
        drive(failing("sample"), store=NoEnd())


# failing hooks


def failing(hook: str, trace: str = "") -> Counting:
    return Counting(trace=trace, trap=Trap(hook=hook, iteration=3, does="raise"))


def failed(store: Store, hook: str, trace: str = "") -> HookFailed:
    with pytest.raises(HookFailed) as caught:
        drive(failing(hook, trace), store=store)
    return caught.value


@hooks
def test_a_failing_hook_is_one_line_with_hook_iteration_error_and_text(
    store: Store, hook: str
) -> None:
    message = str(failed(store, hook))
    assert message.startswith(f"Counting.{hook} raised ValueError in iteration 3 at toys.py:")
    assert ": the toy was told to fail. " in message
    assert "\n" not in message


def test_a_failing_hook_names_the_line_that_raised(store: Store) -> None:
    where = str(failed(store, "sample")).partition("toys.py:")[2].partition(":")[0]
    source = (Path(__file__).parents[1] / "toys.py").read_text().splitlines()
    assert "raise ValueError" in source[int(where) - 1]


class Inheriting(Counting):
    """Its hooks stand in another file than itself."""


def test_a_failing_inherited_hook_names_the_line_that_raised(store: Store) -> None:
    toy = Inheriting(trap=Trap(hook="sample", iteration=3, does="raise"))
    with pytest.raises(HookFailed, match=r"at toys\.py:\d+: the toy"):
        drive(toy, store=store)


def test_the_cause_of_a_failing_hook_is_kept(store: Store) -> None:
    assert isinstance(failed(store, "sample").__cause__, ValueError)


def test_a_failing_hook_ends_the_run_as_failed_with_the_traceback(store: Store) -> None:
    message = str(failed(store, "evaluate"))
    end = last_end(store)
    assert (end.reason, end.iteration) == (Reason.FAILED, 2)
    assert message.startswith(
        f"{end.error}. Finished steps are kept; the traceback: qcsc-loop show"
    )
    assert end.because.startswith("ValueError at toys.py:")
    assert "in evaluate" in end.traceback
    assert "ValueError: the toy was\ntold to fail" in end.traceback


@pytest.mark.guarantee("G3")
@hooks
def test_a_run_resumed_after_a_failure_has_the_same_bits(store: Store, hook: str) -> None:
    failed(store, hook)
    assert drive(Counting(), store=store).state_sha256 == uninterrupted()


@pytest.mark.guarantee("G2")
@pytest.mark.parametrize("hook", ["evaluate", "update", "converged"])
def test_a_run_resumed_after_a_failure_does_not_sample_again(
    store: Store, trace: str, hook: str
) -> None:
    failed(store, hook, trace)
    drive(Counting(trace=trace), store=store)
    assert executions(trace)["sample", 3] == 1


def test_a_group_of_errors_is_a_failing_hook_too(store: Store) -> None:
    class Grouped(Counting):
        async def sample(self, state: Tally) -> Draw:
            async with anyio.create_task_group() as group:
                group.start_soon(self.fail)
            raise AssertionError("unreachable")

        async def fail(self) -> None:
            raise ValueError("in a task")

    with pytest.raises(HookFailed, match=r"raised ValueError in iteration 1 .*: in a task"):
        drive(Grouped(), store=store)


def test_a_wrong_return_type_names_the_declared_and_the_returned_one(store: Store) -> None:
    class Wrong(Counting):
        async def sample(self, state: Tally) -> Draw:
            return "numbers"  # type: ignore[return-value]

    with pytest.raises(WrongHookType, match=r"^Wrong\.sample must return Draw, but returned str"):
        drive(Wrong(), store=store)


def test_a_dictionary_is_not_taken_for_the_record_it_describes(store: Store) -> None:
    class Loose(Counting):
        async def sample(self, state: Tally) -> Draw:
            return {"numbers": np.zeros(self.width)}  # type: ignore[return-value]

    with pytest.raises(WrongHookType, match=r"^Loose\.sample must return Draw, but returned dict"):
        drive(Loose(), store=store)


def test_a_hook_that_forgets_its_return_is_told_so(store: Store) -> None:
    class Forgetful(Counting):
        async def update(self, state: Tally, evaluation: Draw) -> Tally:
            return None  # type: ignore[return-value]

    with pytest.raises(WrongHookType, match="must return Tally, but returned NoneType"):
        drive(Forgetful(), store=store)


def test_converged_must_return_a_bool_and_not_what_counts_as_one(store: Store) -> None:
    class Truthy(Counting):
        async def converged(self, previous: Tally, current: Tally) -> bool:
            return "no"  # type: ignore[return-value]

    with pytest.raises(WrongHookType, match="must return bool, but returned str"):
        drive(Truthy(), store=store)


@pytest.mark.guarantee("G4")
def test_a_transient_error_is_retried_with_the_same_random_numbers(store: Store) -> None:
    toy = Counting(trap=Trap(hook="sample", iteration=3, does="transient"))
    outcome = drive(toy, store=store, retry=Retry(times=1, delay=0))
    assert outcome.state_sha256 == uninterrupted()


def test_observers_hear_of_a_retry(store: Store) -> None:
    events: list[Event] = []
    toy = Counting(trap=Trap(hook="evaluate", iteration=3, does="transient"))
    drive(toy, store=store, retry=Retry(times=1, delay=0), observers=[events.append])
    retried = [event for event in events if isinstance(event, StepRetried)]
    assert retried == [StepRetried(3, "evaluate", "OSError: the toy was told to fail once", 0)]


def test_a_transient_error_stops_the_run_where_no_retry_is_set(store: Store) -> None:
    toy = Counting(trap=Trap(hook="sample", iteration=3, does="transient"))
    with pytest.raises(HookFailed, match="OSError"):
        drive(toy, store=store)


def test_an_error_that_is_not_transient_is_not_retried(store: Store, trace: str) -> None:
    with pytest.raises(HookFailed):
        drive(failing("sample", trace), store=store, retry=Retry(times=3, delay=0))
    assert executions(trace)["sample", 3] == 1


# damaged records


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def delete(path: Path) -> None:
    path.unlink()


damages = pytest.mark.parametrize("damage", [truncate, flip, empty, delete])
Damage = Callable[[Path], None]


def file_of(document: Path, suffix: str) -> Path:
    """The one file of a document that ends so; its arrays' file has a name of its own."""
    (path,) = document.parent.glob(f"{document.name}*{suffix}")
    return path


def checkpoint(disk: DirectoryStore, iteration: int, suffix: str) -> Path:
    return file_of(disk.root / RUN / "checkpoints" / f"{iteration:08d}.e0001", suffix)


@damages
@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_a_damaged_newest_checkpoint_is_stepped_past_to_the_same_bits(
    disk: DirectoryStore, suffix: str, damage: Damage
) -> None:
    drive(Counting(), 3, store=disk)
    damage(checkpoint(disk, 3, suffix))
    outcome = drive(Counting(), store=disk)
    assert (outcome.resumed_from, outcome.state_sha256) == (2, uninterrupted())


@damages
@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_a_damaged_newest_checkpoint_is_reported(
    disk: DirectoryStore, suffix: str, damage: Damage
) -> None:
    drive(Counting(), 3, store=disk)
    damage(checkpoint(disk, 3, suffix))
    events: list[Event] = []
    drive(Counting(), store=disk, observers=[events.append])
    (message,) = troubles(events)
    assert message.endswith("Going on from iteration 2")


def test_steps_before_a_damaged_checkpoint_are_not_executed_again(
    disk: DirectoryStore, trace: str
) -> None:
    drive(Counting(trace=trace), 3, store=disk)
    truncate(checkpoint(disk, 3, ".json"))
    drive(Counting(trace=trace), store=disk)
    assert executions(trace)["sample", 3] == executions(trace)["evaluate", 3] == 1


def test_a_run_that_stepped_past_a_damaged_checkpoint_resumes_from_its_new_one(
    disk: DirectoryStore,
) -> None:
    drive(Counting(), 3, store=disk)
    truncate(checkpoint(disk, 3, ".json"))
    drive(Counting(), 3, store=disk)
    events: list[Event] = []
    assert drive(Counting(), 3, store=disk, observers=[events.append]).resumed_from == 3
    assert troubles(events) == []


def all_damaged(disk: DirectoryStore, damage: Damage) -> None:
    drive(Counting(), 2, store=disk)
    for path in (disk.root / RUN / "checkpoints").glob("*.json"):
        damage(path)


@damages
def test_a_run_without_a_good_checkpoint_is_refused(disk: DirectoryStore, damage: Damage) -> None:
    all_damaged(disk, damage)
    with pytest.raises(NoGoodCheckpoint, match=f"run '{RUN}' has no checkpoint that verifies"):
        drive(Counting(), store=disk)


@damages
def test_a_run_without_a_good_checkpoint_is_not_computed_again(
    disk: DirectoryStore, trace: str, damage: Damage
) -> None:
    all_damaged(disk, damage)
    with pytest.raises(NoGoodCheckpoint):
        drive(Counting(trace=trace), store=disk)
    assert executions(trace) == {}


def interrupted_in_evaluate(disk: DirectoryStore, trace: str) -> None:
    with pytest.raises(HookFailed):
        drive(failing("evaluate", trace), store=disk)


def sample_record(disk: DirectoryStore, suffix: str) -> Path:
    return file_of(disk.root / RUN / "steps" / "00000003.sample.e0001", suffix)


@damages
@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_a_damaged_step_record_is_computed_again_to_the_same_bits(
    disk: DirectoryStore, trace: str, suffix: str, damage: Damage
) -> None:
    interrupted_in_evaluate(disk, trace)
    damage(sample_record(disk, suffix))
    outcome = drive(Counting(trace=trace), store=disk)
    assert outcome.state_sha256 == uninterrupted()
    assert executions(trace)["sample", 3] == 2


@pytest.mark.parametrize("damage", [truncate, flip, empty])
@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_a_damaged_step_record_is_reported(
    disk: DirectoryStore, trace: str, suffix: str, damage: Damage
) -> None:
    interrupted_in_evaluate(disk, trace)
    damage(sample_record(disk, suffix))
    events: list[Event] = []
    drive(Counting(trace=trace), store=disk, observers=[events.append])
    (message,) = troubles(events)
    assert message.startswith("the record of sample in iteration 3 is lost: ")


def test_a_step_record_that_lost_its_arrays_is_reported(disk: DirectoryStore, trace: str) -> None:
    interrupted_in_evaluate(disk, trace)
    delete(sample_record(disk, ".npz"))
    events: list[Event] = []
    drive(Counting(trace=trace), store=disk, observers=[events.append])
    assert len(troubles(events)) == 1


# asking for something else


def test_changed_parameters_are_refused_with_the_difference(store: Store) -> None:
    drive(Counting(factor=1.0), 2, store=store)
    with pytest.raises(ParametersChanged) as caught:
        drive(Counting(factor=2.0, width=3), store=store)
    assert caught.value.differences == {"factor": (1.0, 2.0), "width": (200, 3)}
    assert "factor: 1.0 -> 2.0; width: 200 -> 3" in str(caught.value)


def test_changed_operational_parameters_are_accepted(store: Store, trace: str) -> None:
    drive(Counting(goal=0), 2, store=store)
    outcome = drive(Counting(goal=4, trace=trace), store=store)
    assert (outcome.reason, outcome.iteration) == (Reason.CONVERGED, 4)


def test_a_changed_seed_is_refused(store: Store) -> None:
    drive(Counting(), 2, store=store)
    with pytest.raises(ParametersChanged) as caught:
        drive(Counting(), store=store, seed=SEED + 1)
    assert caught.value.differences == {"seed": (SEED, SEED + 1)}


def test_a_seed_left_out_is_the_run_s_own(store: Store) -> None:
    drive(Counting(), 2, store=store)
    stop = MaxIterations(LIMIT)
    outcome = anyio.run(lambda: Counting().run(store=store, run_id=RUN, stop=stop))
    assert outcome.state_sha256 == uninterrupted()


def test_another_algorithm_is_refused(store: Store) -> None:
    drive(Counting(), 2, store=store)
    with pytest.raises(ParametersChanged) as caught:
        drive(Inheriting(), store=store)
    assert caught.value.differences == {"algorithm": ("Counting", "Inheriting")}


def test_a_refused_resume_leaves_the_run_as_it_was(store: Store) -> None:
    drive(Counting(), 2, store=store)
    with pytest.raises(ParametersChanged):
        drive(Counting(factor=2.0), store=store)
    assert Journal(store, RUN).newest_epoch() == 1
    assert drive(Counting(), store=store).state_sha256 == uninterrupted()


@pytest.mark.parametrize(
    "run_id", ["", "-a", "A", "a b", "a/b", "../a", "ä", "a\n", ".", "a" * 101, "a.b", "a_b"]
)
def test_an_unusable_run_id_is_refused(store: Store, run_id: str) -> None:
    with pytest.raises(InvalidRunId, match="cannot be a run id"):
        drive(Counting(), store=store, run_id=run_id)


def test_an_unusable_run_id_leaves_nothing_behind(disk: DirectoryStore) -> None:
    with pytest.raises(InvalidRunId):
        drive(Counting(), store=disk, run_id="../escaped")
    assert not disk.root.exists()
    assert not (disk.root.parent / "escaped").exists()


@pytest.mark.parametrize("keep", [-1, 0, 1])
def test_fewer_than_two_kept_iterations_are_refused(store: Store, keep: int) -> None:
    with pytest.raises(InvalidParameters, match=r"keep: .*greater than or equal to 2"):
        drive(Counting(), store=store, keep=keep)


def test_fewer_than_two_kept_iterations_are_refused_on_resume(store: Store) -> None:
    drive(Counting(), 2, store=store)
    with pytest.raises(InvalidParameters, match="keep"):
        drive(Counting(), store=store, keep=1)


def test_a_negative_seed_is_refused(store: Store) -> None:
    with pytest.raises(InvalidParameters, match="seed"):
        drive(Counting(), store=store, seed=-1)


def test_a_lease_of_no_length_is_refused(store: Store) -> None:
    with pytest.raises(InvalidParameters, match="lease_seconds"):
        drive(Counting(), 1, store=store, lease_seconds=0)


# what is kept


LANDMARKS = [0, 1, 2, 4, 8]


def test_the_last_iterations_and_a_few_early_ones_keep_their_state(store: Store) -> None:
    drive(Counting(), 12, store=store, keep=2)
    assert sorted(kept_iterations(store)) == [*LANDMARKS, 11, 12]


def test_only_the_last_iterations_keep_their_steps(store: Store) -> None:
    drive(Counting(), 6, store=store, keep=2)
    assert {k for _, k in recorded_steps(store)} == {5, 6}


def test_only_the_last_iterations_keep_their_work_folders(disk: DirectoryStore) -> None:
    class Untidy(Counting):
        async def sample(self, state: Tally) -> Draw:
            from qcsc_loop.steps.step import current_step

            (current_step().work_dir / "note").write_text("kept for a while")
            return await super().sample(state)

    drive(Untidy(), 6, store=disk, keep=2)
    folders = sorted(path.name for path in (disk.root / RUN / "work").iterdir())
    assert folders == ["00000005-sample", "00000006-sample"]


def test_all_iterations_keep_their_scalars(store: Store) -> None:
    drive(Counting(), 6, store=store, keep=2)
    history = Journal(store, RUN).history()
    assert [commit.scalars["squares"] for commit in history] == [0, 1, 5, 14, 30, 55, 91]


def test_a_pruned_run_resumes_to_the_same_bits(store: Store) -> None:
    drive(Counting(), 4, store=store, keep=2)
    assert drive(Counting(), LIMIT, store=store, keep=2).state_sha256 == uninterrupted()


def test_a_resume_with_fewer_kept_iterations_prunes_those_of_earlier_drivers(store: Store) -> None:
    drive(Counting(), 6, store=store, keep=None)
    drive(Counting(), 7, store=store, keep=2)
    assert sorted(kept_iterations(store)) == [0, 1, 2, 4, 6, 7]


class Best(Tally):
    """Its headline is best in iteration 3, where it is the third of five."""

    chart: ClassVar[Chart] = Chart(headline="distance", better="lower")

    def scalars(self) -> dict[str, float]:
        return {"distance": abs(self.count - 3.0)}


class Approaching(IterativeAlgorithm[Best, Draw, Draw]):
    """Counts; every state has as many numbers as it is told."""

    width: int = 2

    async def initialize(self) -> Best:
        return Best(numbers=np.zeros(self.width))

    async def sample(self, state: Best) -> Draw:
        return Draw(numbers=state.numbers)

    async def evaluate(self, state: Best, samples: Draw) -> Draw:
        return samples

    async def update(self, state: Best, evaluation: Draw) -> Best:
        return Best(count=state.count + 1, numbers=evaluation.numbers)


def test_the_best_state_is_kept_over_drivers(store: Store) -> None:
    drive(Approaching(), 8, store=store, keep=2)
    drive(Approaching(), 12, store=store, keep=2)
    assert sorted(kept_iterations(store)) == [0, 1, 2, 3, 4, 8, 11, 12]
    newest = Journal(store, RUN).commits.newest()
    assert newest is not None
    assert newest.best == (3, 0.0)


def test_of_large_states_the_best_one_alone_is_kept_beside_the_last(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qcsc_loop.store.landmarks.LARGE_BYTES", 7999)
    drive(Approaching(width=1000), 8, store=store, keep=2)
    assert sorted(kept_iterations(store)) == [3, 7, 8]


def test_a_landmark_of_long_ago_is_no_place_to_go_on_from(disk: DirectoryStore) -> None:
    drive(Counting(), 30, store=disk, keep=2)
    for last in (29, 30):
        (disk.root / RUN / "checkpoints" / f"{last:08d}.e0001.json").write_text("{}")
    assert sorted(kept_iterations(disk)) == [*LANDMARKS, 16, 29, 30]
    (disk.root / RUN / "checkpoints" / "00000016.e0001.json").unlink()
    with pytest.raises(NoGoodCheckpoint, match=r"checkpoint 00000030.*00000029"):
        drive(Counting(), 31, store=disk, keep=2)


# what is put around


def test_around_sees_each_step_and_each_iteration_once(store: Store) -> None:
    seen: list[tuple[str, int]] = []

    async def around(step: str, iteration: int, call: Call[T]) -> T:
        seen.append((step, iteration))
        return await call()

    drive(Counting(), 2, store=store, around=around)
    assert seen == [
        ("initialize", 0),
        ("iteration", 1),
        *((hook, 1) for hook in HOOKS),
        ("iteration", 2),
        *((hook, 2) for hook in HOOKS),
    ]


def test_around_sees_no_step_that_is_taken_from_a_record(store: Store) -> None:
    failed(store, "evaluate")
    seen: list[tuple[str, int]] = []

    async def around(step: str, iteration: int, call: Call[T]) -> T:
        seen.append((step, iteration))
        return await call()

    drive(Counting(), 3, store=store, around=around)
    assert seen == [("iteration", 3), *((hook, 3) for hook in HOOKS if hook != "sample")]


# one driver


def test_a_second_loop_on_the_same_run_is_refused(store: Store, trace: str) -> None:
    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(partial(_run, hanging(trace, "sample"), store, []))
            await until_async(lambda: executions(trace)["sample", 3], "the first one is at work")
            with pytest.raises(RunLocked):
                await _run(Counting(), store, [])
            group.cancel_scope.cancel()

    anyio.run(main)


def test_a_refused_second_loop_does_not_disturb_the_first(store: Store, trace: str) -> None:
    test_a_second_loop_on_the_same_run_is_refused(store, trace)
    assert drive(Counting(), store=store).state_sha256 == uninterrupted()


def test_a_driver_that_lost_its_lease_writes_nothing_more(store: Store, trace: str) -> None:
    class Overtaken(Counting):
        async def sample(self, state: Tally) -> Draw:
            if state.count == 2:
                journal = Journal(store, RUN)
                record = journal.epochs()[-1].model_copy(update={"epoch": 2})
                body = record.model_dump_json().encode()
                store.create(f"{RUN}/epochs/0002", Document(body))
            return await super().sample(state)

    with pytest.raises(LeaseLost, match=r"epoch 1.*epoch 2"):
        drive(Overtaken(), store=store)
    assert recorded_steps(store) == {(hook, k) for hook in ("sample", "evaluate") for k in (1, 2)}
    assert Journal(store, RUN).end(1) is None


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError("work/00000003-sample"),
        StoreError("write", "the steps", "no such file"),
        ExceptionGroup("unhandled errors in a TaskGroup", [OSError("gone")]),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("retries", [0, 3])
def test_what_a_superseded_driver_comes_upon_is_no_fault_of_disk_or_hook(
    store: Store, error: Exception, retries: int
) -> None:
    """A newer driver sweeps and prunes what this one is writing and reading."""

    class Overtaken(Counting):
        async def sample(self, state: Tally) -> Draw:
            if state.count == 2:
                journal = Journal(store, RUN)
                record = journal.epochs()[-1].model_copy(update={"epoch": 2})
                body = record.model_dump_json().encode()
                store.create(f"{RUN}/epochs/0002", Document(body))
                raise error
            return await super().sample(state)

    retry = Retry(times=retries, on=("Exception",), delay=600.0)
    with pytest.raises(LeaseLost, match=r"^superseded: this driver \(epoch 1\)"):
        drive(Overtaken(), store=store, retry=retry)
    assert Journal(store, RUN).end(1) is None


def test_two_runs_in_one_store_and_one_process_do_not_meet(store: Store) -> None:
    hashes: dict[str, str] = {}

    async def one(run_id: str, seed: int) -> None:
        stop = MaxIterations(LIMIT)
        outcome = await Counting().run(store=store, run_id=run_id, seed=seed, stop=stop)
        hashes[run_id] = outcome.state_sha256

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(one, "first", 1)
            group.start_soon(one, "second", 2)

    anyio.run(main)
    assert hashes == {"first": uninterrupted(seed=1), "second": uninterrupted(seed=2)}


# the values hooks see


class Seen(State):
    """Remembers as what type the hooks saw each other's values."""

    types: tuple[str, ...] = ()
    note: Any = None  # the point: a tuple in it becomes a list in JSON


class Noting(IterativeAlgorithm[Seen, dict[str, Any], str]):
    """Hands tuples from hook to hook where the declared types do not say so."""

    fails: Annotated[bool, OPERATIONAL] = False

    async def initialize(self) -> Seen:
        return Seen(note=(0,))

    async def sample(self, state: Seen) -> dict[str, Any]:
        return {"pair": (1, 2), "state": type(state.note).__name__}

    async def evaluate(self, state: Seen, samples: dict[str, Any]) -> str:
        if self.fails and len(state.types) == 1:
            raise ValueError("told to fail")
        return f"{type(samples['pair']).__name__} {samples['state']}"

    async def update(self, state: Seen, evaluation: str) -> Seen:
        return Seen(types=(*state.types, evaluation), note=(len(state.types),))


def test_hooks_see_a_value_as_it_is_stored(store: Store) -> None:
    state = drive(Noting(), 2, store=store).state
    assert state.types == ("list list", "list list")


def test_hooks_see_the_same_value_in_an_interrupted_run(store: Store) -> None:
    with pytest.raises(HookFailed):
        drive(Noting(fails=True), 3, store=store)
    whole = drive(Noting(), 3, store=MemoryStore())
    assert drive(Noting(), 3, store=store).state_sha256 == whole.state_sha256


# what an algorithm must be


def test_an_algorithm_without_types_is_refused(store: Store) -> None:
    class Untyped(IterativeAlgorithm):  # type: ignore[type-arg]
        async def initialize(self) -> Tally:
            return Tally(numbers=np.zeros(1))

        async def sample(self, state: Tally) -> float:
            return 0.0

        async def evaluate(self, state: Tally, samples: float) -> float:
            return 0.0

        async def update(self, state: Tally, evaluation: float) -> Tally:
            return state

    with pytest.raises(BadAlgorithm, match="Untyped cannot run: it must say its types"):
        drive(Untyped(), store=store)


def test_an_algorithm_whose_state_is_no_state_is_refused(store: Store) -> None:
    class Stateless(IterativeAlgorithm[float, float, float]):  # type: ignore[type-var]
        async def initialize(self) -> float:
            return 0.0

        async def sample(self, state: float) -> float:
            return 0.0

        async def evaluate(self, state: float, samples: float) -> float:
            return 0.0

        async def update(self, state: float, evaluation: float) -> float:
            return 0.0

    with pytest.raises(BadAlgorithm, match=r"must be a subclass of qcsc_loop\.State"):
        drive(Stateless(), store=store)  # type: ignore[type-var]


Sampled = TypeVar("Sampled")


class Half(IterativeAlgorithm[Tally, Sampled, float], Generic[Sampled]):
    """Binds two of the three types."""

    async def initialize(self) -> Tally:
        return Tally(numbers=np.zeros(1))

    async def evaluate(self, state: Tally, samples: Sampled) -> float:
        return 1.0

    async def update(self, state: Tally, evaluation: float) -> Tally:
        return Tally(count=state.count + 1, numbers=state.numbers + evaluation)


class Whole(Half[str]):
    """Binds the third."""

    async def sample(self, state: Tally) -> str:
        return "sampled"


def test_a_subclass_of_a_partly_bound_generic_runs(store: Store) -> None:
    assert drive(Whole(), 3, store=store).state.count == 3


def test_a_subclass_of_a_partly_bound_generic_is_checked_by_its_own_type(store: Store) -> None:
    class Wrong(Half[str]):
        async def sample(self, state: Tally) -> str:
            return 1.0  # type: ignore[return-value]

    with pytest.raises(WrongHookType, match="must return str, but returned float"):
        drive(Wrong(), store=store)


def test_a_partly_bound_generic_with_a_missing_type_is_refused(store: Store) -> None:
    class Unbound(Half[Sampled], Generic[Sampled]):
        async def sample(self, state: Tally) -> Sampled:
            raise NotImplementedError

    with pytest.raises(BadAlgorithm, match="it must say its types"):
        drive(Unbound[Any].__mro__[1](), store=store)


def test_an_algorithm_with_a_missing_hook_cannot_be_made() -> None:
    with pytest.raises(TypeError, match=r"abstract method '?sample"):
        Half[str]()  # type: ignore[abstract]


def test_parameters_cannot_be_changed_by_a_hook(store: Store) -> None:
    class Writing(Counting):
        async def sample(self, state: Tally) -> Draw:
            self.factor = 2.0  # type: ignore[misc]
            return await super().sample(state)

    with pytest.raises(HookFailed, match="frozen"):
        drive(Writing(), store=store)


def test_an_unknown_parameter_is_refused() -> None:
    with pytest.raises(ValueError, match="widht"):
        Counting(widht=3)  # type: ignore[call-arg]


def test_two_runs_without_an_id_are_two_runs(store: Store) -> None:
    first = anyio.run(lambda: Counting().run(store=store, stop=MaxIterations(1)))
    second = anyio.run(lambda: Counting().run(store=store, stop=MaxIterations(1)))
    assert first.run_id != second.run_id
    assert first.state_sha256 == second.state_sha256


def test_a_run_copied_to_another_folder_goes_on_there(disk: DirectoryStore, tmp_path: Path) -> None:
    drive(Counting(), 2, store=disk)
    shutil.copytree(disk.root, tmp_path / "elsewhere")
    elsewhere = DirectoryStore(tmp_path / "elsewhere")
    assert drive(Counting(), store=elsewhere).state_sha256 == uninterrupted()


def test_the_trace_has_one_line_per_execution(trace: str) -> None:
    drive(Counting(trace=trace), 2, store=MemoryStore())
    assert line_count(Path(trace)) == sum(executions(trace).values()) == 1 + 2 * len(HOOKS)
