"""Functions over ranks, in jobs of their own and in a warm one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpc.warm import function_toys as uncalled  # noqa: TID251  # the folder of these tests
from hpc.warm.conftest import Hooks, WarmHook  # noqa: TID251  # as above
from qcsc_hpc.functions import run_function
from qcsc_hpc.machine import LocalMachine, Machine
from qcsc_loop.concurrency.loading import load_file
from qcsc_loop.errors import BadFunction, JobFailed, JobInputChanged
from qcsc_loop.steps.step import stepping

pytestmark = pytest.mark.anyio

TOYS = Path(__file__).with_name("function_toys.py")


@pytest.fixture(params=["job", "warm"])
def machine(request: pytest.FixtureRequest) -> Machine:
    return LocalMachine(ranks=2, placement=request.param)


async def called(hook: WarmHook, function: Callable[..., Any], *arguments: Any, **how: Any) -> Any:
    hook.iteration += 1
    with stepping(hook.step):
        return await run_function(function, *arguments, on=hook.machine, **how)


def toys() -> Any:
    """The module as ranks find it, too."""
    import function_toys  # type: ignore[import-not-found]  # on the path by the fixture `warm`

    return function_toys


async def test_a_function_is_called_on_all_ranks(machine: Machine, warm: Hooks) -> None:
    left, right = np.arange(2000.0), np.linspace(0, 1, 2000)
    async with warm(machine) as hook:
        found = await called(hook, toys().dot, left, right, 0.5)
        assert found == pytest.approx(0.5 * float(left @ right))
        assert await called(hook, toys().sizes) == {"ranks": 2}
        assert await called(hook, toys().sizes, ranks=1) == {"ranks": 1}
        assert len(hook.warm_jobs) == (machine.placement == "warm")


async def test_both_placements_give_the_same_bits(warm: Hooks, tmp_path: Path) -> None:
    left, right = np.random.default_rng(1).random((2, 5000))
    found = []
    for placement in ("job", "warm"):
        at = LocalMachine(ranks=2, placement=placement)
        async with warm(at, tmp_path / placement) as hook:
            found.append(await called(hook, toys().dot, left, right, 0.1))
    assert found[0].tobytes() == found[1].tobytes()


async def test_what_was_done_is_not_done_again(machine: Machine, warm: Hooks) -> None:
    async with warm(machine) as hook:
        for _ in range(2):
            hook.iteration = 1
            assert await called(hook, toys().sizes) == {"ranks": 2}
        assert len([job for job in hook.records if job.key.step == "evaluate"]) == 1


async def test_other_arguments_for_the_same_step_are_refused(machine: Machine, warm: Hooks) -> None:
    one = np.ones(3)
    async with warm(machine) as hook:
        await called(hook, toys().dot, one, one, 1.0)
        hook.iteration -= 1
        with pytest.raises(JobInputChanged):
            await called(hook, toys().dot, one, one, 2.0)


async def test_an_exception_fails_the_job_and_says_which(machine: Machine, warm: Hooks) -> None:
    async with warm(machine) as hook:
        with pytest.raises(JobFailed, match="so and so"):
            await called(hook, toys().fails, "so and so")
        assert await called(hook, toys().sizes) == {"ranks": 2}


async def test_a_function_of_an_algorithms_file_is_found(machine: Machine, warm: Hooks) -> None:
    async with warm(machine) as hook:
        assert await called(hook, load_file(TOYS).sizes) == {"ranks": 2}


async def test_a_result_of_another_type_is_refused(machine: Machine, warm: Hooks) -> None:
    async with warm(machine) as hook:
        with pytest.raises(JobFailed, match="should be a valid integer"):
            await called(hook, toys().returns_another_type, 1)


async def test_unsafe_pickle_sends_what_has_no_name(machine: Machine, warm: Hooks) -> None:
    number = 3
    async with warm(machine) as hook:
        found = await called(hook, lambda text: text * number, "ab", unsafe_pickle=True)
        assert found == "ababab"


@pytest.mark.parametrize(
    ("function", "arguments", "why"),
    [
        (lambda: 1, [], "it is defined in another function|another thing has this name"),
        (uncalled.unannotated, [1], "value: an annotation is missing"),
        (uncalled.starred, [1], "values: only plain positional parameters"),
        (uncalled.fails, [1], r"argument 0: Input should be a valid string"),
        (uncalled.fails, [], r"argument 0: Field required"),
        (uncalled.fails, ["a", "b"], "argument : Tuple should have at most 1 item"),
    ],
)
async def test_what_ranks_cannot_be_sent_is_refused(
    warm: Hooks, function: Callable[..., Any], arguments: list[Any], why: str
) -> None:
    async with warm(LocalMachine()) as hook:
        with pytest.raises(BadFunction, match=why):
            await called(hook, function, *arguments)
        assert hook.records == []
