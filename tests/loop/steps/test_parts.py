"""Walkers and batches side by side: each on its own, and none of them done twice in a run.

Run as `python -m loop.steps.test_parts STORE TRACE FOLDER` it drives a run whose process kills itself
in the middle of one part.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import anyio
import numpy as np
import pytest
from anyio import to_thread
from anyio.lowlevel import checkpoint

from loop.toys import environment
from qcsc_loop.algorithm import IterativeAlgorithm
from qcsc_loop.errors import HookFailed, JobFailed, SamplingFailed, WorkerDied
from qcsc_loop.jobs.ledger import Ledger
from qcsc_loop.loop.outcome import Outcome
from qcsc_loop.parameters.operational import OPERATIONAL
from qcsc_loop.rules.retry import Retry
from qcsc_loop.rules.stop import MaxIterations
from qcsc_loop.steps.parts import run_parts
from qcsc_loop.steps.step import Step, current_step, stepping
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.memory import MemoryStore
from qcsc_loop.values.arrays import NDArray
from qcsc_loop.values.record import Record, State
from waiting import until_async

LABELS = ("walker-0", "walker-1", "walker-2")
WIDTH = 200  # more than stands in the JSON itself: an .npz each
SEED = 7


class Found(Record):
    """What a part gives."""

    label: str
    numbers: NDArray


Part = Callable[[], Awaitable[Found]]


def step_of(
    folder: Path, *, epoch: int = 1, run_id: str = "run", usage: Counter[str] | None = None
) -> Step:
    return Step(
        run_id=run_id,
        run_seed=SEED,
        iteration=3,
        name="evaluate",
        make_folder=lambda: folder,
        ledger=Ledger("run", "uid", MemoryStore(), epoch=epoch),
        usage=Counter() if usage is None else usage,
    )


def numbers_of(label: str) -> list[float]:
    """What the part of that label draws."""
    step = Step(run_seed=SEED, iteration=3, name="evaluate", label=label)
    return [float(x) for x in step.rng.standard_normal(WIDTH)]


class Work:
    """Parts that count their calls, and fail where they are told to.

    Attributes:
        calls: by label.
        errors: what the next call of a label raises, after it has spent 10 shots.
    """

    def __init__(self, *labels: str) -> None:
        self.labels = labels or LABELS
        self.calls: Counter[str] = Counter()
        self.errors: dict[str, Exception] = {}

    @property
    def parts(self) -> dict[str, Part]:
        return {label: partial(self._done, label) for label in self.labels}

    async def _done(self, label: str) -> Found:
        step = current_step()
        self.calls[label] += 1
        step.spend(shots=10)
        found = Found(label=step.label, numbers=step.rng.standard_normal(WIDTH))
        await checkpoint()
        if label in self.errors:
            raise self.errors.pop(label)
        return found


def run(folder: Path, parts: Mapping[str, Part], **options: Any) -> dict[str, Found | None]:
    """One call of the step; `epoch`, `run_id` and `usage` are the step's."""
    own = {name: options.pop(name) for name in ("epoch", "run_id", "usage") if name in options}

    async def called() -> dict[str, Found | None]:
        with stepping(step_of(folder, **own)):
            return await run_parts(parts, Found, **{"limit": 2, **options})

    return anyio.run(called)


def job_failed(why: str = "FAILED") -> JobFailed:
    return JobFailed(
        job="sqd", state=why, job_id="1", site="slurm", exit_code=1, reason="", tail="", folder="/"
    )


def bits(results: Mapping[str, Found | None]) -> dict[str, list[float] | None]:
    return {
        label: None if found is None else found.numbers.tolist() for label, found in results.items()
    }


EXPECTED = {label: numbers_of(label) for label in LABELS}


# each part on its own


@pytest.mark.parametrize("order", [*itertools.permutations(LABELS)], ids="-".join)
def test_results_are_in_the_order_given_whoever_ends_first(
    order: tuple[str, ...], tmp_path: Path
) -> None:
    ended: list[str] = []

    async def one(label: str) -> Found:
        while len(ended) < order.index(label):
            await checkpoint()
        ended.append(label)
        return Found(label=label, numbers=current_step().rng.standard_normal(WIDTH))

    results = run(tmp_path, {label: partial(one, label) for label in LABELS}, limit=3)

    assert ended == list(order)
    assert list(results) == list(LABELS)
    assert bits(results) == EXPECTED


@pytest.mark.parametrize("limit", [1, 2, 3, 8])
def test_how_many_run_at_a_time_does_not_change_the_bits(limit: int, tmp_path: Path) -> None:
    assert bits(run(tmp_path, Work().parts, limit=limit)) == EXPECTED


def test_a_part_knows_its_label_and_no_other_parts_numbers(tmp_path: Path) -> None:
    results = run(tmp_path, Work().parts)

    assert [found.label for found in results.values() if found] == list(LABELS)
    assert len({tuple(found.numbers) for found in results.values() if found}) == 3


def test_a_part_has_a_folder_of_its_own_in_the_steps(tmp_path: Path) -> None:
    async def one() -> Found:
        folder = current_step().work_dir
        (folder / "mine").write_text("")
        return Found(label=str(folder), numbers=np.zeros(1))

    results = run(tmp_path, dict.fromkeys(LABELS, one))

    assert [found.label for found in results.values() if found] == [
        str(tmp_path / label) for label in LABELS
    ]


def test_parts_do_not_disturb_the_numbers_of_their_step(tmp_path: Path) -> None:
    async def called() -> float:
        with stepping(step_of(tmp_path)) as step:
            await run_parts(Work().parts, Found, limit=2)
            return float(step.rng.random())

    assert anyio.run(called) == float(step_of(tmp_path).rng.random())


@pytest.mark.parametrize("limit", [1, 2, 4])
def test_no_more_parts_run_at_a_time_than_the_limit(limit: int, tmp_path: Path) -> None:
    at_once: list[int] = []
    running = 0

    async def one() -> Found:
        nonlocal running
        running += 1
        at_once.append(running)
        await until_async(lambda: len(at_once) >= limit, "as many run as may")
        for _ in range(20):  # time for one more, if there were no limit
            await to_thread.run_sync(int)
        running -= 1
        return Found(label="", numbers=np.zeros(1))

    run(tmp_path, {f"part-{i}": one for i in range(6)}, limit=limit)

    assert max(at_once) == limit


def test_no_parts_are_no_results(tmp_path: Path) -> None:
    assert run(tmp_path, {}) == {}


def test_a_result_is_what_a_later_driver_reads(tmp_path: Path) -> None:
    (first,) = run(tmp_path, Work("a").parts).values()
    (later,) = run(tmp_path, Work("a").parts, epoch=2).values()

    assert first is not None and later is not None
    assert (first.label, first.numbers.tobytes()) == (later.label, later.numbers.tobytes())
    assert not first.numbers.flags.writeable and not later.numbers.flags.writeable


# what is done is not done again


def test_a_part_that_returned_is_not_called_again_when_another_failed(tmp_path: Path) -> None:
    work = Work()
    work.errors["walker-1"] = job_failed()
    with pytest.raises(JobFailed):
        run(tmp_path, work.parts)

    assert bits(run(tmp_path, work.parts)) == EXPECTED
    assert work.calls == {"walker-0": 1, "walker-1": 2, "walker-2": 1}


def test_a_part_that_returned_is_not_called_again_by_the_next_driver(tmp_path: Path) -> None:
    run(tmp_path, Work().parts, epoch=1)
    work = Work()

    assert bits(run(tmp_path, work.parts, epoch=2)) == EXPECTED
    assert not work.calls


def test_only_the_parts_that_are_asked_for_are_given(tmp_path: Path) -> None:
    run(tmp_path, Work(*LABELS).parts)
    work = Work("walker-2", "walker-3")

    assert list(run(tmp_path, work.parts)) == ["walker-2", "walker-3"]
    assert work.calls == {"walker-3": 1}


def test_parts_of_parts_are_kept_on_their_own(tmp_path: Path) -> None:
    work = Work("batch-0", "batch-1")
    work.errors["batch-1"] = job_failed()

    async def walker() -> Found:
        inner = await run_parts(work.parts, Found, limit=1)
        numbers = [found.numbers for found in inner.values() if found]
        return Found(label="", numbers=np.concatenate(numbers))

    walkers = {"walker-0": walker, "walker-1": walker}
    with pytest.raises(JobFailed):
        run(tmp_path, walkers, limit=1)
    assert work.calls == {"batch-0": 2, "batch-1": 2}

    results = run(tmp_path, walkers, limit=1)

    assert work.calls == {"batch-0": 2, "batch-1": 3}
    assert bits(results) == {
        label: numbers_of(f"{label}/batch-0") + numbers_of(f"{label}/batch-1")
        for label in ("walker-0", "walker-1")
    }


def cut(folder: Path) -> None:
    record = folder / "part.json"
    record.write_bytes(record.read_bytes()[:-40])


def empty(folder: Path) -> None:
    (folder / "part.json").write_bytes(b"")


def other_json(folder: Path) -> None:
    (folder / "part.json").write_text('{"label": "walker-1", "numbers": []}')


def flip(folder: Path) -> None:
    (arrays,) = folder.glob("part.*.npz")
    content = bytearray(arrays.read_bytes())
    content[len(content) // 2] ^= 1  # in the numbers
    arrays.write_bytes(content)


def lose(folder: Path) -> None:
    (arrays,) = folder.glob("part.*.npz")
    arrays.unlink()


def swap(folder: Path) -> None:
    (arrays,), (others,) = folder.glob("part.*.npz"), (folder.parent / "walker-2").glob("*.npz")
    arrays.write_bytes(others.read_bytes())


def take_anothers(folder: Path) -> None:
    """The whole record of another part, which verifies."""
    for file in folder.iterdir():
        file.unlink()
    for file in (folder.parent / "walker-2").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())


@pytest.mark.parametrize("damage", [cut, empty, other_json, flip, lose, swap, take_anothers])
def test_a_part_whose_record_is_damaged_is_done_again(
    damage: Callable[[Path], None], tmp_path: Path
) -> None:
    run(tmp_path, Work().parts)
    damage(tmp_path / "walker-1")
    work, usage = Work(), Counter[str]()

    assert bits(run(tmp_path, work.parts, epoch=2, usage=usage)) == EXPECTED
    assert (work.calls, usage) == ({"walker-1": 1}, {"shots": 30})
    assert bits(run(tmp_path, Work().parts, epoch=3)) == EXPECTED
    assert len(list((tmp_path / "walker-1").glob("*.npz"))) == 1


def test_a_record_of_another_type_is_done_again(tmp_path: Path) -> None:
    class Other(Record):
        value: int

    async def other() -> Other:
        return Other(value=1)

    async def called() -> None:
        with stepping(step_of(tmp_path)):
            await run_parts({"walker-0": other}, Other, limit=1)

    anyio.run(called)
    work = Work("walker-0")
    run(tmp_path, work.parts)

    assert work.calls == {"walker-0": 1}


def test_a_step_outside_a_run_keeps_nothing(tmp_path: Path) -> None:
    work = Work()
    for _ in range(2):
        run(tmp_path, work.parts, run_id=Step().run_id)

    assert set(work.calls.values()) == {2}
    assert list(tmp_path.rglob("*")) == []


# what it costs


def test_the_parts_costs_are_the_steps(tmp_path: Path) -> None:
    usage = Counter[str]()
    run(tmp_path, Work().parts, usage=usage)

    assert usage == {"shots": 30}


def test_a_failed_part_costs_as_well(tmp_path: Path) -> None:
    work, usage = Work(), Counter[str]()
    work.errors["walker-0"] = job_failed()
    run(tmp_path, work.parts, retries=1, usage=usage)

    assert usage == {"shots": 40}


def test_a_kept_part_is_not_counted_again_by_the_driver_that_paid_for_it(tmp_path: Path) -> None:
    usage = Counter[str]()
    for _ in range(3):
        run(tmp_path, Work().parts, epoch=1, usage=usage)

    assert usage == {"shots": 30}


def test_a_kept_part_is_counted_once_by_each_later_driver(tmp_path: Path) -> None:
    run(tmp_path, Work().parts, epoch=1)
    for epoch in (2, 3):
        usage = Counter[str]()
        for _ in range(3):
            run(tmp_path, Work().parts, epoch=epoch, usage=usage)

        assert usage == {"shots": 30}


def test_all_that_a_kept_parts_attempts_cost_is_counted_by_the_next_driver(tmp_path: Path) -> None:
    work, usage = Work("a"), Counter[str]()
    work.errors["a"] = job_failed()
    run(tmp_path, work.parts, retries=1)
    run(tmp_path, work.parts, epoch=2, usage=usage)

    assert usage == {"shots": 20}


def test_what_parts_of_parts_cost_is_counted_once(tmp_path: Path) -> None:
    async def walker() -> Found:
        await run_parts(Work("batch-0", "batch-1").parts, Found, limit=1)
        return Found(label="", numbers=np.zeros(1))

    for epoch in (1, 1, 2):
        usage = Counter[str]()
        run(tmp_path, {"walker-0": walker}, epoch=epoch, usage=usage)
        assert usage == ({"shots": 20} if epoch == 2 or not (tmp_path / "seen").exists() else {})
        (tmp_path / "seen").touch()


# failures


FORGIVEN: list[Exception] = [job_failed(), SamplingFailed("aer", "x"), WorkerDied("f", -9)]


@pytest.mark.parametrize("error", FORGIVEN, ids=lambda error: type(error).__name__)
def test_a_part_that_failed_is_done_again_at_once_with_the_same_numbers(
    error: Exception, tmp_path: Path
) -> None:
    work = Work()
    work.errors["walker-1"] = error

    assert bits(run(tmp_path, work.parts, retries=1)) == EXPECTED
    assert work.calls == {"walker-0": 1, "walker-1": 2, "walker-2": 1}


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_a_part_that_fails_every_time_is_done_again_as_often_as_allowed(
    retries: int, tmp_path: Path
) -> None:
    calls: list[int] = []

    async def fail() -> Found:
        calls.append(len(calls))
        raise job_failed(f"FAILED {len(calls)}")

    with pytest.raises(JobFailed, match=f"FAILED {retries + 1}"):
        run(tmp_path, {"a": fail}, retries=retries)
    assert len(calls) == retries + 1


def test_each_attempt_asks_for_the_same_jobs(tmp_path: Path) -> None:
    asked: list[int] = []

    async def fail_once() -> Found:
        step = current_step()
        asked.append(step.calls["job"])
        step.calls["job"] += 1
        if len(asked) == 1:
            raise job_failed()
        return Found(label="", numbers=np.zeros(1))

    run(tmp_path, {"a": fail_once}, retries=1)

    assert asked == [0, 0]


def test_an_error_that_is_not_forgiven_is_not_retried(tmp_path: Path) -> None:
    work = Work("a")
    work.errors["a"] = ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError, match="a bug"):
        run(tmp_path, work.parts, retries=5)
    assert work.calls == {"a": 1}


def test_what_is_forgiven_can_be_chosen(tmp_path: Path) -> None:
    work = Work()
    work.errors["walker-0"] = ConnectionError("the line is down")
    results = run(tmp_path, work.parts, quorum=2, forgiven=(OSError,))

    assert bits(results) == EXPECTED | {"walker-0": None}


@pytest.mark.parametrize("failing", LABELS)
def test_a_failed_part_stops_no_other_and_the_others_are_kept(failing: str, tmp_path: Path) -> None:
    work = Work()
    work.errors[failing] = job_failed()
    with pytest.raises(JobFailed):
        run(tmp_path, work.parts, limit=1)

    assert set(work.calls) == set(LABELS)
    kept = {path.parent.name for path in tmp_path.glob("*/part.json")}
    assert kept == set(LABELS) - {failing}


def test_of_several_errors_the_first_parts_is_raised(tmp_path: Path) -> None:
    later_has_failed = anyio.Event()

    async def first() -> Found:
        await later_has_failed.wait()
        raise job_failed("the first part's")

    async def later() -> Found:
        later_has_failed.set()
        raise job_failed("the later part's")

    with pytest.raises(JobFailed, match="the first part's"):
        run(tmp_path, {"a": first, "b": later})


def test_enough_parts_are_enough(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    work = Work()
    work.errors["walker-1"] = job_failed()
    with caplog.at_level(logging.WARNING):
        results = run(tmp_path, work.parts, quorum=2)

    assert bits(results) == EXPECTED | {"walker-1": None}
    (record,) = caplog.records
    assert record.getMessage().startswith("walker-1 failed and is left out: sqd (slurm job 1)")


@pytest.mark.parametrize("quorum", [3, None])
def test_too_few_parts_are_an_error(quorum: int | None, tmp_path: Path) -> None:
    work = Work()
    work.errors["walker-1"] = job_failed()

    with pytest.raises(JobFailed):
        run(tmp_path, work.parts, quorum=quorum)


def test_a_quorum_does_not_hide_what_is_not_forgiven(tmp_path: Path) -> None:
    work = Work()
    work.errors = {"walker-0": job_failed(), "walker-2": ZeroDivisionError("a bug")}

    with pytest.raises(ZeroDivisionError, match="a bug"):
        run(tmp_path, work.parts, quorum=1)


def test_a_part_that_was_left_out_is_done_when_the_step_comes_again(tmp_path: Path) -> None:
    work = Work()
    work.errors["walker-1"] = job_failed()
    run(tmp_path, work.parts, quorum=2)

    assert bits(run(tmp_path, work.parts, quorum=2)) == EXPECTED
    assert work.calls["walker-1"] == 2


# cancellation


def cancelled(parts: Callable[[anyio.CancelScope], Mapping[str, Part]], folder: Path) -> bool:
    """Whether the step was ended by the scope that its parts were given."""

    async def called() -> bool:
        with anyio.CancelScope() as scope, stepping(step_of(folder)):
            await run_parts(parts(scope), Found, limit=2)
        return scope.cancelled_caught

    return anyio.run(called)


def test_a_cancellation_ends_all_parts_and_keeps_what_was_done(tmp_path: Path) -> None:
    work, ended = Work("done"), list[str]()

    async def hang(label: str) -> Found:
        try:
            await anyio.sleep_forever()
            raise AssertionError
        finally:
            ended.append(label)

    async def cancel(scope: anyio.CancelScope) -> Found:
        await until_async((tmp_path / "done" / "part.json").exists, "the first part is kept")
        scope.cancel()
        return await hang("cancel")

    assert cancelled(
        lambda scope: {**work.parts, "hang": partial(hang, "hang"), "c": partial(cancel, scope)},
        tmp_path,
    )
    assert sorted(ended) == ["cancel", "hang"]
    assert [path.parent.name for path in tmp_path.glob("*/part.json")] == ["done"]


def test_what_a_part_returned_while_it_was_being_cancelled_is_kept(tmp_path: Path) -> None:
    work = Work("a")

    async def cancel_and_return(scope: anyio.CancelScope) -> Found:
        found = await work.parts["a"]()
        scope.cancel()
        return found

    assert cancelled(lambda scope: {"a": partial(cancel_and_return, scope)}, tmp_path)
    assert bits(run(tmp_path, work.parts)) == {"a": numbers_of("a")}
    assert work.calls == {"a": 1}


def test_a_part_that_waits_for_its_turn_is_cancelled_before_it_begins(tmp_path: Path) -> None:
    work = Work("waits")

    async def cancel(scope: anyio.CancelScope) -> Found:
        scope.cancel()
        await anyio.sleep_forever()
        raise AssertionError

    assert cancelled(
        lambda scope: {"a": partial(cancel, scope), "b": partial(cancel, scope), **work.parts},
        tmp_path,
    )
    assert not work.calls


# in a run


class Sum(State):
    """The sum of what all parts of all iterations drew."""

    total: NDArray


class Parted(IterativeAlgorithm[Sum, Found, list[Found | None]]):
    """Evaluates in parts, of which `walker-1` of the second iteration may fail.

    Attributes:
        trace: a file that gets a line for each call of a part, and of `sample`.
        failing: a folder; each file in it, `0`, `1`, …, is taken away by a failure.
        kills: whether a failure is the death of the driver.
    """

    trace: Annotated[str, OPERATIONAL] = ""
    failing: Annotated[str, OPERATIONAL] = ""
    kills: Annotated[bool, OPERATIONAL] = False

    async def initialize(self) -> Sum:
        return Sum(total=np.zeros(WIDTH))

    async def sample(self, state: Sum) -> Found:
        self._note("sample")
        return Found(label="", numbers=current_step().rng.standard_normal(WIDTH))

    async def evaluate(self, state: Sum, samples: Found) -> list[Found | None]:
        calls = {label: partial(self._part, label) for label in LABELS}
        return list((await run_parts(calls, Found, limit=1)).values())

    async def update(self, state: Sum, evaluation: list[Found | None]) -> Sum:
        return Sum(total=state.total + sum(found.numbers for found in evaluation if found))

    async def _part(self, label: str) -> Found:
        step = current_step()
        self._note(label)
        fault = min(Path(self.failing).iterdir(), default=None) if self.failing else None
        if (step.iteration, label) == (2, "walker-1") and fault is not None:
            fault.unlink()
            if self.kills:
                os.kill(os.getpid(), signal.SIGKILL)
            raise ConnectionError("the line is down")
        step.spend(shots=10)
        return Found(label=label, numbers=step.rng.standard_normal(WIDTH))

    def _note(self, what: str) -> None:
        with Path(self.trace or os.devnull).open("a") as file:
            file.write(f"{what} {current_step().iteration}\n")


def driven(store: Path, algorithm: Parted, **options: Any) -> Outcome[Sum]:
    async def drive() -> Outcome[Sum]:
        return await algorithm.run(
            store=DirectoryStore(store),
            run_id="parted",
            seed=SEED,
            stop=MaxIterations(3),
            **options,
        )

    return anyio.run(drive)


def failures(folder: Path, number: int) -> str:
    folder.mkdir()
    for i in range(number):
        (folder / str(i)).touch()
    return str(folder)


def calls_of_second_iteration(trace: Path) -> dict[str, int]:
    lines = trace.read_text().splitlines()
    return Counter(line.split()[0] for line in lines if line.endswith(" 2"))


UNDISTURBED = {"shots": 90}
RETRIED = Retry(times=1, delay=0)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> str:
    outcome = driven(tmp_path_factory.mktemp("undisturbed"), Parted())
    assert outcome.usage == UNDISTURBED
    return outcome.state_sha256


def test_a_retried_step_does_not_repeat_the_parts_that_returned(
    tmp_path: Path, undisturbed: str
) -> None:
    trace, failing = tmp_path / "trace", failures(tmp_path / "failing", 1)
    outcome = driven(tmp_path / "store", Parted(trace=str(trace), failing=failing), retry=RETRIED)

    assert calls_of_second_iteration(trace) == {
        "sample": 1,
        "walker-0": 1,
        "walker-1": 2,
        "walker-2": 1,
    }
    assert (outcome.state_sha256, outcome.usage) == (undisturbed, UNDISTURBED)


def test_a_resumed_run_does_not_repeat_the_parts_that_returned(
    tmp_path: Path, undisturbed: str
) -> None:
    trace, failing = tmp_path / "trace", failures(tmp_path / "failing", 1)
    algorithm = Parted(trace=str(trace), failing=failing)
    with pytest.raises(HookFailed, match="the line is down"):
        driven(tmp_path / "store", algorithm)
    outcome = driven(tmp_path / "store", algorithm)

    assert calls_of_second_iteration(trace) == {
        "sample": 1,
        "walker-0": 1,
        "walker-1": 2,
        "walker-2": 1,
    }
    assert (outcome.state_sha256, outcome.usage) == (undisturbed, UNDISTURBED)


def test_a_resumed_run_whose_step_is_retried_counts_its_parts_once(
    tmp_path: Path, undisturbed: str
) -> None:
    trace, failing = tmp_path / "trace", failures(tmp_path / "failing", 2)
    algorithm = Parted(trace=str(trace), failing=failing)
    with pytest.raises(HookFailed):
        driven(tmp_path / "store", algorithm)
    outcome = driven(tmp_path / "store", algorithm, retry=RETRIED)

    assert calls_of_second_iteration(trace)["walker-0"] == 1
    assert (outcome.state_sha256, outcome.usage) == (undisturbed, UNDISTURBED)


def test_a_run_whose_driver_was_killed_in_a_part_does_not_repeat_those_that_returned(
    tmp_path: Path, undisturbed: str
) -> None:
    trace, failing = tmp_path / "trace", failures(tmp_path / "failing", 1)
    command = [
        sys.executable,
        "-m",
        "loop.steps.test_parts",
        str(tmp_path / "store"),
        str(trace),
        failing,
    ]
    killed = subprocess.run(command, env=environment(), check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    outcome = driven(tmp_path / "store", Parted(trace=str(trace)))

    assert calls_of_second_iteration(trace) == {
        "sample": 1,
        "walker-0": 1,
        "walker-1": 2,
        "walker-2": 1,
    }
    assert (outcome.state_sha256, outcome.usage) == (undisturbed, UNDISTURBED)


def test_a_parts_record_is_readable_by_people(tmp_path: Path) -> None:
    driven(tmp_path, Parted())
    (record,) = tmp_path.glob("parted/work/00000002-evaluate/walker-1/part.json")

    document = json.loads(record.read_text())
    assert document["value"]["label"] == "walker-1"
    part = "2 evaluate walker-1"
    assert document["meta"] == {"epoch": 1, "usage": {"shots": 10}, "part": part}


if __name__ == "__main__":
    driven(Path(sys.argv[1]), Parted(trace=sys.argv[2], failing=sys.argv[3], kills=True))
