"""Many who ask at the same time are one question, and no answer is older than its question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import anyio
import anyio.lowlevel
import pytest

from qcsc_hpc.sites.together import Together

pytestmark = pytest.mark.anyio


class Oracle:
    """Says how many questions it has been asked; a question lasts until it may answer."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.may_answer = anyio.Event()

    async def answer(self, items: Sequence[str]) -> Mapping[str, int]:
        self.asked.append([*items])
        number = len(self.asked)
        await self.may_answer.wait()
        return dict.fromkeys(items, number)


async def test_who_asks_at_the_same_time_shares_a_question() -> None:
    oracle, found = Oracle(), dict[str, int]()
    together, oracle_says = Together(oracle.answer), oracle.may_answer

    async def ask(item: str) -> None:
        found[item] = await together.ask(item)

    async with anyio.create_task_group() as group:
        for item in "abca":
            group.start_soon(ask, item)
        oracle_says.set()
    assert oracle.asked == [["a", "b", "c"]]
    assert found == {"a": 1, "b": 1, "c": 1}


async def test_who_asks_while_it_is_being_asked_has_the_next_answer() -> None:
    oracle, found = Oracle(), dict[str, int]()
    together = Together(oracle.answer)

    async def ask(name: str, item: str) -> None:
        found[name] = await together.ask(item)

    async with anyio.create_task_group() as group:
        group.start_soon(ask, "early", "a")
        while not oracle.asked:  # noqa: ASYNC110  # until the question is on its way
            await anyio.sleep(0.001)
        group.start_soon(ask, "late", "a")
        await anyio.lowlevel.checkpoint()
        oracle.may_answer.set()
    assert found == {"early": 1, "late": 2}


async def test_one_who_goes_away_leaves_the_answer_to_the_others() -> None:
    oracle, found = Oracle(), dict[str, int]()
    together = Together(oracle.answer)

    async def ask(item: str) -> None:
        found[item] = await together.ask(item)

    async with anyio.create_task_group() as group:
        with anyio.move_on_after(0):
            await together.ask("gone")
        group.start_soon(ask, "stays")
        oracle.may_answer.set()
    assert found["stays"] >= 1


async def test_what_goes_wrong_all_who_have_asked_are_told() -> None:
    async def fails(_items: Sequence[str]) -> Mapping[str, int]:
        raise OSError("nobody is there")

    together = Together(fails)
    for _ in range(2):
        with pytest.raises(OSError, match="nobody is there"):
            await together.ask("a")
