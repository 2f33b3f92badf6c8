"""What a hook learns from `current_step()`: numbers of its own, a folder of its own."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import anyio
import numpy as np
import pytest
from anyio import to_thread

from other_process import printed_by
from qcsc_loop.steps.step import STANDALONE, Step, current_step, labelled, loop_running, stepping

SAMPLE = Step(run_id="run", run_seed=7, iteration=3, name="sample")


def numbers(step: Step) -> list[float]:
    return [float(x) for x in replace(step).rng.random(4)]


# random numbers

NUMBERS_OF_A_STEP = """
from qcsc_loop.steps.step import Step
step = Step(run_seed=7, iteration=3, name="sample", label="walker-2")
print([x.hex() for x in step.rng.random(4).tolist()], step.seed)
"""


def test_a_step_draws_the_same_numbers_in_another_process() -> None:
    step = replace(SAMPLE, label="walker-2")

    there = printed_by(NUMBERS_OF_A_STEP, PYTHONHASHSEED="1")

    assert there == f"{[x.hex() for x in numbers(step)]} {step.seed}"


def test_the_numbers_of_a_step_are_what_they_have_always_been() -> None:
    assert numbers(SAMPLE)[0].hex() == "0x1.eacd99c5b1ddfp-1"
    assert replace(SAMPLE).seed == 1817399491


OTHERS = [
    replace(SAMPLE, run_seed=8),
    replace(SAMPLE, iteration=4),
    replace(SAMPLE, name="evaluate"),
    replace(SAMPLE, label="a"),
    replace(SAMPLE, name="samplea"),
]


@pytest.mark.parametrize("other", OTHERS, ids=["seed", "iteration", "step", "label", "name"])
def test_the_numbers_differ_if_one_thing_differs(other: Step) -> None:
    assert numbers(other) != numbers(SAMPLE)
    assert other.seed != SAMPLE.seed


def test_name_and_label_are_told_apart() -> None:
    assert numbers(Step(name="a", label="b")) != numbers(Step(name="ab", label=""))


@pytest.mark.parametrize(
    "same", [replace(SAMPLE, attempt=2), replace(SAMPLE, run_id="other")], ids=["attempt", "run"]
)
def test_the_numbers_do_not_depend_on_attempt_or_run_id(same: Step) -> None:
    assert numbers(same) == numbers(SAMPLE)
    assert same.seed == SAMPLE.seed


def test_steps_with_large_seeds_differ() -> None:
    seeds = [0, 1, 2**32, 2**32 + 1, 2**64, 2**128]

    assert len({numbers(replace(SAMPLE, run_seed=seed))[0] for seed in seeds}) == len(seeds)


def test_no_two_of_many_steps_share_their_first_number() -> None:
    steps = [
        Step(run_seed=seed, iteration=k, name=name, label=label)
        for seed in range(4)
        for k in range(50)
        for name in ("sample", "evaluate")
        for label in ("", "0", "1")
    ]

    assert len({numbers(step)[0] for step in steps}) == len(steps)


def test_a_step_has_one_generator_that_goes_on() -> None:
    step = replace(SAMPLE)

    assert [step.rng.random(), step.rng.random()] == np.array(numbers(SAMPLE))[:2].tolist()


def test_the_seed_does_not_depend_on_what_was_drawn() -> None:
    fresh, drawn = replace(SAMPLE), replace(SAMPLE)
    drawn.rng.random(100)

    assert drawn.seed == fresh.seed


def test_the_numbers_do_not_depend_on_whether_the_seed_was_asked_for() -> None:
    asked = replace(SAMPLE)
    assert asked.seed == asked.seed

    assert asked.rng.random() == numbers(SAMPLE)[0]


def test_the_seed_fits_into_32_bits() -> None:
    seeds = [replace(SAMPLE, iteration=k).seed for k in range(200)]

    assert all(0 <= seed < 2**32 for seed in seeds)
    assert max(seeds) > 2**31


# parts of a step


def test_a_labelled_part_has_numbers_of_its_own() -> None:
    with stepping(replace(SAMPLE)), labelled("walker-2") as part:
        assert part.rng.random() == numbers(replace(SAMPLE, label="walker-2"))[0]


def test_a_labelled_part_is_the_current_step_until_it_ends() -> None:
    with stepping(replace(SAMPLE)) as whole:
        with labelled("a") as part:
            assert current_step() is part
        assert current_step() is whole


def test_a_labelled_part_does_not_disturb_the_numbers_of_the_whole() -> None:
    with stepping(replace(SAMPLE)) as whole:
        with labelled("a") as part:
            part.rng.random(100)
        assert whole.rng.random() == numbers(SAMPLE)[0]


def test_a_labelled_part_keeps_everything_else_of_its_step() -> None:
    with stepping(replace(SAMPLE, attempt=2)), labelled("a") as part:
        assert (part.run_id, part.run_seed) == ("run", 7)
        assert (part.iteration, part.name, part.attempt) == (3, "sample", 2)


def test_nested_labels_add_up() -> None:
    with stepping(replace(SAMPLE)), labelled("batch-1"), labelled("walker-2") as part:
        assert part.label == "batch-1/walker-2"


def test_nested_parts_with_the_same_last_label_have_different_numbers() -> None:
    with stepping(replace(SAMPLE)):
        with labelled("a"), labelled("x") as first:
            pass
        with labelled("b"), labelled("x") as second:
            pass

    assert numbers(first) != numbers(second)


async def draw_in_parts(order: list[str]) -> dict[str, float]:
    drawn: dict[str, float] = {}
    turns = {label: anyio.Event() for label in order}
    turns[order[0]].set()

    async def part(label: str) -> None:
        with labelled(label):
            await turns[label].wait()
            drawn[label] = current_step().rng.random()
        following = order.index(label) + 1
        if following < len(order):
            turns[order[following]].set()

    with stepping(replace(SAMPLE)):
        async with anyio.create_task_group() as group:
            for label in sorted(order):
                group.start_soon(part, label)
    return drawn


def test_concurrent_parts_draw_the_same_numbers_in_any_order() -> None:
    forwards = anyio.run(draw_in_parts, ["a", "b", "c"])
    backwards = anyio.run(draw_in_parts, ["c", "b", "a"])

    assert forwards == backwards


# folders


def test_a_step_asks_for_its_folder_once(tmp_path: Path) -> None:
    asked: list[Path] = []

    def make() -> Path:
        asked.append(tmp_path)
        return tmp_path

    step = Step(make_folder=make)

    assert (step.work_dir, step.work_dir, asked) == (tmp_path, tmp_path, [tmp_path])


def test_a_step_that_wants_no_folder_makes_none() -> None:
    asked: list[Path] = []

    def make() -> Path:
        asked.append(Path())
        return Path()

    with stepping(Step(make_folder=make)) as step, labelled("a") as part:
        part.rng.random()
        step.rng.random()

    assert asked == []


def test_a_labelled_part_has_a_folder_of_its_own_below_its_steps(tmp_path: Path) -> None:
    with stepping(replace(SAMPLE, make_folder=lambda: tmp_path)), labelled("a") as part:
        assert part.work_dir == tmp_path / "a"
        assert part.work_dir.is_dir()


def test_nested_parts_have_nested_folders(tmp_path: Path) -> None:
    with (
        stepping(replace(SAMPLE, make_folder=lambda: tmp_path)),
        labelled("a"),
        labelled("b") as part,
    ):
        assert part.work_dir == tmp_path / "a" / "b"
        assert part.work_dir.is_dir()


def test_a_part_that_is_executed_again_finds_its_files(tmp_path: Path) -> None:
    with stepping(replace(SAMPLE, make_folder=lambda: tmp_path)):
        with labelled("a") as first:
            (first.work_dir / "partial").touch()
        with labelled("a") as second:
            assert (second.work_dir / "partial").exists()


@pytest.mark.parametrize("label", ["", ".", "..", "../evaluate", "/elsewhere", "a/../.."])
def test_a_label_that_is_no_folder_below_the_steps_is_refused(label: str, tmp_path: Path) -> None:
    step = replace(SAMPLE, make_folder=lambda: tmp_path)

    with stepping(step), pytest.raises(ValueError, match="label"), labelled(label):
        pass


# which step it is


def test_outside_a_loop_there_is_a_stand_alone_step() -> None:
    step = current_step()

    assert (step.run_id, step.iteration, step.label) == (STANDALONE, 0, "")


def test_a_stand_alone_step_has_a_temporary_folder() -> None:
    folder = current_step().work_dir

    assert folder.is_dir()
    folder.rmdir()


def test_a_step_ends_with_its_block() -> None:
    with stepping(SAMPLE):
        assert current_step() is SAMPLE

    assert current_step() is not SAMPLE


def test_a_step_ends_with_its_block_also_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), stepping(SAMPLE):
        raise ZeroDivisionError

    assert current_step() is not SAMPLE


async def seen_in_a_task() -> Step:
    seen: list[Step] = []

    async def look() -> None:
        seen.append(current_step())

    with stepping(SAMPLE):
        async with anyio.create_task_group() as group:
            group.start_soon(look)
    return seen[0]


async def seen_in_an_anyio_thread() -> Step:
    with stepping(SAMPLE):
        return await to_thread.run_sync(current_step)


async def seen_in_an_asyncio_thread() -> Step:
    with stepping(SAMPLE):
        return await asyncio.to_thread(current_step)


async def seen_in_an_executor_with_the_context() -> Step:
    with stepping(SAMPLE), ThreadPoolExecutor(1) as executor:
        return executor.submit(contextvars.copy_context().run, current_step).result()


@pytest.mark.parametrize(
    "look",
    [
        seen_in_a_task,
        seen_in_an_anyio_thread,
        seen_in_an_asyncio_thread,
        seen_in_an_executor_with_the_context,
    ],
)
def test_the_step_is_seen_wherever_the_context_is_carried(look: object) -> None:
    with loop_running():
        assert anyio.run(look) is SAMPLE  # type: ignore[arg-type]  # one of the functions above


def test_a_bare_thread_is_refused_while_a_loop_runs() -> None:
    with loop_running(), stepping(SAMPLE), ThreadPoolExecutor(1) as executor:
        seen = executor.submit(current_step)

    with pytest.raises(RuntimeError, match=r"Use anyio\.to_thread\.run_sync"):
        seen.result()


def test_a_bare_thread_is_refused_as_long_as_one_of_two_loops_runs() -> None:
    with loop_running(), ThreadPoolExecutor(1) as executor:
        with loop_running():
            pass
        with pytest.raises(RuntimeError):
            executor.submit(current_step).result()


def test_a_bare_thread_sees_a_stand_alone_step_outside_a_loop() -> None:
    with ThreadPoolExecutor(1) as executor:
        assert executor.submit(current_step).result().run_id == STANDALONE


def test_a_bare_thread_sees_a_stand_alone_step_after_a_loop_that_failed() -> None:
    with pytest.raises(ZeroDivisionError), loop_running():
        raise ZeroDivisionError
    with ThreadPoolExecutor(1) as executor:
        assert executor.submit(current_step).result().run_id == STANDALONE


# messages


def test_a_steps_messages_say_where_they_come_from(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        SAMPLE.logger.info("energy %.1f", -1.5)

    (record,) = caplog.records
    assert record.getMessage() == "energy -1.5"
    assert vars(record).items() >= {"run_id": "run", "iteration": 3, "step": "sample"}.items()
