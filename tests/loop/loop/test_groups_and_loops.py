"""Errors of a hook's own task groups; and event loops other than asyncio's."""

from __future__ import annotations

import sys

import anyio
import pytest

from loop.toys import Counting, Draw, Tally
from qcsc_loop import Retry, run_parts
from qcsc_loop.errors import HookFailed, LeaseLost, WrongEventLoop
from qcsc_loop.rules.stop import MaxIterations
from qcsc_loop.store.memory import MemoryStore


class Grouped(Counting):
    """Its `sample` starts tasks that raise these."""

    async def sample(self, state: Tally) -> Draw:
        async def fail(error: Exception) -> None:
            raise error

        async with anyio.create_task_group() as group:
            for error in self.errors():
                group.start_soon(fail, error)
        return await super().sample(state)

    def errors(self) -> list[Exception]:
        raise NotImplementedError


class One(Grouped):
    def errors(self) -> list[Exception]:
        return [ValueError("the detector is off")]


class Two(Grouped):
    def errors(self) -> list[Exception]:
        return [ValueError("the detector is off"), KeyError("lid")]


class Lost(Grouped):
    def errors(self) -> list[Exception]:
        return [ValueError("it hung"), LeaseLost("run", 1, 2)]


def drive(algorithm: Counting, retry: Retry | None = None) -> None:
    async def run() -> None:
        await algorithm.run(
            store=MemoryStore(), stop=MaxIterations(1), retry=retry or Retry(times=0)
        )

    anyio.run(run)


def test_the_one_error_of_a_task_group_is_named_with_its_line() -> None:
    with pytest.raises(HookFailed) as raised:
        drive(One())
    assert "sample raised ValueError in iteration 1 at test_groups_and_loops.py:" in str(
        raised.value
    )
    assert "the detector is off" in str(raised.value)


class Leaves(Counting):
    """One of the parts of its `sample` would end the process."""

    async def sample(self, state: Tally) -> Draw:
        async def leave() -> int:
            sys.exit("no licence")

        await run_parts({"walker": leave}, int, limit=1)
        return await super().sample(state)


def test_a_part_that_would_end_the_process_fails_its_hook() -> None:
    with pytest.raises(HookFailed, match=r"SystemExit in iteration 1 at .*: no licence\."):
        drive(Leaves())


def test_of_several_each_is_named() -> None:
    with pytest.raises(HookFailed) as raised:
        drive(Two())
    assert "ValueError: the detector is off; KeyError: 'lid'" in str(raised.value)


def test_a_lease_that_is_lost_in_a_task_group_is_lost() -> None:
    with pytest.raises(LeaseLost):
        drive(Lost())


def test_a_group_is_retried_if_each_of_its_errors_is() -> None:
    retry = Retry(times=1, on=("ValueError", "KeyError"))
    both = ExceptionGroup("two", [ValueError(), ExceptionGroup("one", [KeyError()])])
    assert retry.wait("sample", both, 0) == 1.0
    assert Retry(times=1, on=("ValueError",)).wait("sample", both, 0) is None
    assert Retry(times=1).wait("sample", ExceptionGroup("one", [OSError()]), 0) == 1.0


def test_another_loop_than_asyncios_is_refused_in_a_sentence() -> None:
    store = MemoryStore()
    run = Counting().run(store=store)
    with pytest.raises(WrongEventLoop, match="driven in asyncio's event loop"):
        run.send(None)  # as trio would; a test needs no trio for it
    assert store.names("") == []


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("../up", "leads out"),
        ("", "is empty"),
        ("é" * 150, "in at most 200 bytes: 'éééééééééééééééééééé'... has 300"),
        ("half\udce9", "cannot be written"),
        ("x.job", "cannot end in"),
    ],
)
def test_a_bad_label_is_refused_before_any_part_runs(label: str, words: str) -> None:
    done: list[str] = []

    async def part() -> int:
        done.append("part")
        return 1

    async def parts() -> None:
        await run_parts({"good": part, label: part}, int, limit=2)

    with pytest.raises(ValueError, match=words):
        anyio.run(parts)
    assert done == []
