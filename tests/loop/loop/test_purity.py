"""Hooks that change what they are given are named, and their objects are their own."""

from __future__ import annotations

import ctypes
import dataclasses
import re
from collections import deque
from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import Any, Unpack

import anyio
import numpy as np
import pytest
from pydantic import BaseModel

from qcsc_loop.algorithm import IterativeAlgorithm
from qcsc_loop.errors import HookFailed, ImpureHook, WrongHookType
from qcsc_loop.loop.options import RunOptions
from qcsc_loop.loop.outcome import Outcome
from qcsc_loop.rules.retry import Retry
from qcsc_loop.rules.stop import MaxIterations
from qcsc_loop.steps.step import current_step
from qcsc_loop.store.memory import MemoryStore
from qcsc_loop.values.record import NDArray, Record, State

RUN = "impure"
Hook = Callable[..., Awaitable[Any]]


class Inner(BaseModel):
    numbers: list[int] = []


@dataclasses.dataclass
class Plain:
    number: int = 0


class Bag(State):
    """All kinds of parts that can be changed in place."""

    items: list[int] = []
    table: dict[str, list[int]] = {}
    inner: Inner = Inner()
    plain: Plain = Plain()
    queue: deque[int] = deque()
    loose: dict[str, Any] = {}
    large: NDArray = np.arange(1000.0)


class Draw(Record):
    shots: list[int] = [1]


class Bags(IterativeAlgorithm[Bag, Draw, Draw]):
    """Adds its iteration's number to a list, without changing anything in place."""

    weights: tuple[int, ...] | list[int] = (1,)

    async def initialize(self) -> Bag:
        return Bag(table={"a": [1]}, loose={"deep": [{"x": 1}]})

    async def sample(self, state: Bag) -> Draw:
        return Draw(shots=[len(state.items)])

    async def evaluate(self, state: Bag, samples: Draw) -> Draw:
        return samples

    async def update(self, state: Bag, evaluation: Draw) -> Bag:
        return Bag(items=[*state.items, *evaluation.shots], table=state.table, loose=state.loose)


def drive(algorithm: Bags, limit: int = 2, **options: Unpack[RunOptions]) -> Outcome[Bag]:
    given: RunOptions = {"run_id": RUN, "stop": MaxIterations(limit), "store": MemoryStore()}
    given.update(options)
    return anyio.run(lambda: algorithm.run(**given))


WAYS: dict[str, Callable[[Any], None]] = {
    "items": lambda state: state.items.append(7),
    "table.a.0": lambda state: state.table["a"].__setitem__(0, 7),
    "table.b": lambda state: state.table.__setitem__("b", [7]),
    "table.a": lambda state: state.table.pop("a"),
    "inner.numbers": lambda state: state.inner.numbers.append(7),
    "plain.number": lambda state: setattr(state.plain, "number", 7),
    "queue": lambda state: state.queue.append(7),
    "loose.deep.0.x": lambda state: state.loose["deep"][0].__setitem__("x", 7),
    "large": lambda state: state.__dict__.__setitem__("large", np.zeros(1000)),
    "loose": lambda state: state.loose.__setitem__("y", object()),
}
GIVEN = {
    "sample": ["state"],
    "evaluate": ["state"],
    "update": ["state"],
    "converged": ["previous", "current"],
}


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize(
    ("hook", "argument"), [(hook, name) for hook, names in GIVEN.items() for name in names]
)
def test_a_hook_that_changes_its_state_is_named_with_the_field(hook: str, argument: str) -> None:
    for field, change in WAYS.items():
        algorithm = impure(hook, argument, change)
        with pytest.raises(ImpureHook) as caught:
            drive(algorithm)
        assert re.match(
            rf"Impure\.{hook} \(test_purity\.py:\d+\) changed {argument}\.{re.escape(field)} in "
            "iteration 1, which it was given to read",
            str(caught.value),
        )


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize(
    ("hook", "argument"), [(hook, name) for hook, names in GIVEN.items() for name in names]
)
def test_so_is_one_whose_library_writes_where_numpy_would_not(hook: str, argument: str) -> None:
    def write(state: Bag) -> None:
        assert not state.large.flags.writeable
        ctypes.memset(state.large.ctypes.data, 1, state.large.nbytes // 2)

    with pytest.raises(ImpureHook, match=rf"Impure\.{hook} \(.*\) changed {argument}\.large in"):
        drive(impure(hook, argument, write))


@pytest.mark.parametrize(("hook", "argument"), [("evaluate", "samples"), ("update", "evaluation")])
def test_so_is_one_that_changes_what_another_hook_returned(hook: str, argument: str) -> None:
    with pytest.raises(ImpureHook, match=rf"Impure\.{hook} \(.*\) changed {argument}\.shots\.0 in"):
        drive(impure(hook, argument, lambda draw: draw.shots.__setitem__(0, 7)))


@pytest.mark.guarantee("G6")
def test_so_is_one_that_changes_a_parameter() -> None:
    class Impure(Bags):
        async def sample(self, state: Bag) -> Draw:
            assert isinstance(self.weights, list)
            self.weights.append(7)
            return await super().sample(state)

    with pytest.raises(ImpureHook, match=r"Impure\.sample \(.*\) changed the parameter weights in"):
        drive(Impure(weights=[1]))


class Remembers(Bags):
    """Writes to itself, in a way that pydantic lets through."""

    way: str
    _declared: int = 0

    @cached_property
    def total(self) -> int:
        return sum(self.weights)

    async def sample(self, state: Bag) -> Draw:
        if self.way == "private":
            self._calls = 1
        elif self.way == "declared":
            self._declared += 1
        elif self.way == "forced":
            object.__setattr__(self, "calls", 1)
        assert self.total == 1
        return await super().sample(state)


@pytest.mark.parametrize(
    ("way", "attribute"),
    [("private", "_calls"), ("declared", "_declared"), ("forced", "calls")],
)
def test_so_is_one_that_writes_to_self_by_whatever_name(way: str, attribute: str) -> None:
    said = rf"Remembers\.sample \(.*\) changed self\.{attribute} in iteration 1, which a resumed"
    with pytest.raises(ImpureHook, match=said):
        drive(Remembers(way=way))


def test_what_follows_from_the_parameters_may_be_found_once() -> None:
    assert drive(Remembers(way="none")).iteration


def impure(hook: str, argument: str, change: Callable[[Any], None]) -> Bags:
    """One of whose hooks changes one of its arguments."""
    order = {"previous": 0, "current": 1, "state": 0, "samples": 1, "evaluation": 1}
    honest: Hook = getattr(Bags, hook)

    async def changing(self: Bags, *arguments: Any) -> Any:
        returned = await honest(self, *arguments)
        change(arguments[order[argument]])
        return returned

    kind: type[Bags] = type("Impure", (Bags,), {hook: changing, "__module__": __name__})
    return kind()


def test_it_is_not_tried_again() -> None:
    calls: list[int] = []

    class Impure(Bags):
        async def sample(self, state: Bag) -> Draw:
            calls.append(current_step().attempt)
            state.items.append(7)
            return Draw()

    with pytest.raises(ImpureHook):
        drive(Impure(), retry=Retry(times=3, on=("Exception",), delay=0))
    assert calls == [0]


def test_a_retry_gets_objects_of_its_own() -> None:
    seen: list[int] = []

    class Failing(Bags):
        async def evaluate(self, state: Bag, samples: Draw) -> Draw:
            seen.append(len(state.items) + len(samples.shots))
            state.items.append(7)
            samples.shots.append(7)
            if current_step().attempt < 2:
                raise OSError("once more")
            return Draw(shots=samples.shots[:1])

    retry = Retry(times=2, delay=0)
    outcome = drive(Failing(), 1, retry=retry, check_hooks=False)
    assert seen == [1, 1, 1]
    assert outcome.state.items == [0]


def test_unchecked_it_changes_nothing_for_other_hooks_either() -> None:
    algorithm = impure("sample", "state", lambda state: state.items.append(7))
    outcome = drive(algorithm, check_hooks=False)
    assert outcome.state_sha256 == drive(Bags()).state_sha256


def test_the_environment_may_say_that_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QCSC_LOOP_CHECK_HOOKS", "false")
    drive(impure("sample", "state", lambda state: state.items.append(7)))


def test_what_a_hook_keeps_and_changes_later_is_its_own() -> None:
    kept: list[Bag] = []

    class Keeping(Bags):
        async def update(self, state: Bag, evaluation: Draw) -> Bag:
            for earlier in kept:
                earlier.items.append(7)
            new = await super().update(state, evaluation)
            kept.extend([state, new])
            return new

    assert drive(Keeping(), 4).state_sha256 == drive(Bags(), 4).state_sha256


# what else the algorithm's own code gets wrong


class Scalars(Bag):
    def scalars(self) -> dict[str, float]:
        raise ZeroDivisionError("no shots")


class WrongScalars(Bag):
    def scalars(self) -> dict[str, float]:
        return {"energy": "low"}  # type: ignore[dict-item]  # that is its fault


class NumpyScalars(Bag):
    def scalars(self) -> dict[str, float]:
        return {"energy": np.float32(0.5), "count": np.int64(2)}  # type: ignore[dict-item]


def starting_with(state: type[Bag]) -> Any:
    class Started(IterativeAlgorithm[state, Draw, Draw]):  # type: ignore[valid-type]
        async def initialize(self) -> Any:
            return state()

        async def sample(self, state: Any) -> Draw:
            return Draw()

        async def evaluate(self, state: Any, samples: Draw) -> Draw:
            return samples

        async def update(self, state: Any, evaluation: Draw) -> Any:
            return state

    return Started()


def test_scalars_that_raise_are_named_with_their_line() -> None:
    with pytest.raises(
        HookFailed, match=r"Scalars\.scalars raised ZeroDivisionError .* at test_purity\.py:\d+: no"
    ):
        drive(starting_with(Scalars))


def test_scalars_that_are_no_numbers_are_named() -> None:
    with pytest.raises(
        WrongHookType, match=r"WrongScalars\.scalars must return dict\[str, float\], .*energy"
    ):
        drive(starting_with(WrongScalars))


def test_scalars_may_be_numpys() -> None:
    outcome = drive(starting_with(NumpyScalars), 1)
    assert outcome.scalars == {"energy": 0.5, "count": 2.0}


def test_converged_may_return_a_numpy_bool() -> None:
    class Done(Bags):
        async def converged(self, previous: Bag, current: Bag) -> bool:
            return np.bool_(True)  # type: ignore[return-value]  # what `<` of arrays gives

    assert drive(Done(), 5).iteration == 1


def test_a_hook_that_gives_pydantic_a_wrong_value_is_named_with_its_own_line() -> None:
    class Wrong(Bags):
        async def sample(self, state: Bag) -> Draw:
            return Draw.model_validate({"shots": "many"})

    with pytest.raises(HookFailed, match=r"Wrong\.sample raised ValidationError .* at test_purity"):
        drive(Wrong())
