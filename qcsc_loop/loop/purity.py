"""Hooks change nothing they are given: each call has objects of its own, and is looked at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import Any, TypeVar

from anyio import to_thread

from qcsc_loop.errors import ImpureHook
from qcsc_loop.loop.hooks import AnyHooks, place_of
from qcsc_loop.values.kept import Kept, first_difference

T = TypeVar("T")

_NOTHING = object()
LARGE_BYTES = 1 << 16  # of a document: reading it takes longer than going to a thread


class Purity:
    """Of the hooks of one algorithm.

    Args:
        check: whether what a hook was given is looked at; it gets objects of its own in any case.
    """

    def __init__(self, algorithm: AnyHooks, *, run_id: str, check: bool) -> None:
        self._algorithm, self._run_id, self._check = algorithm, run_id, check
        self._parameters = algorithm.model_dump_json() if check else ""
        self._own = own_attributes(algorithm) if check else {}

    async def given(self, arguments: Mapping[str, Kept[Any]]) -> Mapping[str, Any]:
        """The arguments for one call."""
        if self._check:
            for kept in arguments.values():
                await _read(kept, kept.seal)
        return {name: await _read(kept, kept.fresh) for name, kept in arguments.items()}

    async def refuse_changes(
        self, hook: str, iteration: int, kept: Mapping[str, Kept[Any]], given: Mapping[str, Any]
    ) -> None:
        """Raises ImpureHook if a call has changed an argument, a parameter, or self otherwise."""
        if not self._check:
            return
        for argument, value in given.items():
            part = await _read(kept[argument], partial(kept[argument].changed_part, value))
            if part is not None:
                what = f"{argument}.{part}".rstrip(".")
                raise self._impure(hook, iteration, what)
        now = self._algorithm.model_dump_json(warnings=False)
        if now != self._parameters:
            part = first_difference(self._parameters, now)
            raise self._impure(hook, iteration, f"the parameter {part}")
        own = own_attributes(self._algorithm)
        for attribute in sorted(own.keys() | self._own.keys()):
            if own.get(attribute, _NOTHING) is not self._own.get(attribute, _NOTHING):
                raise self._impure(hook, iteration, f"self.{attribute}")

    def _impure(self, hook: str, iteration: int, changed: str) -> ImpureHook:
        kind = type(self._algorithm)
        where = place_of(kind, hook)
        return ImpureHook(kind.__name__, hook, iteration, changed, where, run_id=self._run_id)


def own_attributes(algorithm: AnyHooks) -> dict[str, object]:
    """What an algorithm has besides parameters: pydantic takes any name that begins with "_".

    Without what was found once and for all of the parameters (`cached_property`).
    """
    kind = type(algorithm)
    every = vars(algorithm) | (algorithm.__pydantic_private__ or {})
    return {
        name: value
        for name, value in every.items()
        if name not in kind.model_fields
        and not isinstance(getattr(kind, name, None), cached_property)
    }


async def _read(kept: Kept[Any], function: Callable[[], T]) -> T:
    if kept.document.nbytes < LARGE_BYTES:
        return function()
    return await to_thread.run_sync(function)
