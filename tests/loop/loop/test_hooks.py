"""Which hooks a class may have."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from loop.toys import Counting
from qcsc_loop.errors import BadAlgorithm, EncodingError
from qcsc_loop.loop.hooks import hook_types


def with_shots(hook: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(hook)
    async def called(*arguments: Any) -> Any:
        return await hook(*arguments, 3)

    return called


async def alone(self: Any) -> Any: ...


async def by_name(self: Any, state: Any, *, shots: int) -> Any: ...


async def crowded(self: Any, state: Any, samples: Any, shots: int) -> Any: ...


async def nobodys() -> Any: ...


def results(self: Any) -> Any: ...


@pytest.mark.parametrize(
    ("name", "hook", "said"),
    [
        ("initialize", nobodys, "takes (): write `async def initialize(self)`"),
        ("sample", alone, "takes (self): write `async def sample(self, state)`"),
        (
            "sample",
            by_name,
            "takes (self, state, shots): write `async def sample(self, state)`",
        ),
        (
            "evaluate",
            crowded,
            "takes (self, state, samples, shots): write `async def evaluate(self, state, samples)`",
        ),
        (
            "update",
            crowded,
            "takes (self, state, samples, shots): write `async def update(self, state, evaluation)`",
        ),
        ("converged", alone, "takes (self): write `async def converged(self, previous, current)`"),
        ("tables", results, "takes (self): write `def tables(self, state)`"),
    ],
)
def test_a_hook_that_cannot_be_called_is_refused_by_what_to_write(
    name: str, hook: Callable[..., Any], said: str
) -> None:
    kind = type("Mine", (Counting,), {name: hook, "__module__": __name__})
    with pytest.raises(BadAlgorithm) as refused:
        hook_types(kind)
    where = f"test_hooks.py:{hook.__code__.co_firstlineno}"
    assert str(refused.value) == f"Mine cannot run: its hook {name}, at {where}, {said}"


def test_a_hook_may_have_more_of_its_own() -> None:
    class Free(Counting):
        async def sample(self, state: Any, shots: int = 3) -> Any: ...

        @staticmethod
        async def evaluate(*whatever: Any, **more: Any) -> Any: ...

        @with_shots
        async def update(self, state: Any, evaluation: Any, shots: int) -> Any: ...

    assert hook_types(Free).state is not None


def test_a_parameter_that_is_numpys_own_array_is_named() -> None:
    with pytest.raises(
        EncodingError, match=r"^Own\.weights cannot be stored: use qcsc_loop\.NDArray"
    ):
        type(
            "Own", (Counting,), {"__annotations__": {"weights": np.ndarray}, "__module__": __name__}
        )
