"""The hooks that an algorithm writes, and the types of what they hand on."""

from __future__ import annotations

import inspect
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from qcsc_loop.errors import BadAlgorithm
from qcsc_loop.parameters.forms import in_short
from qcsc_loop.values.arrays import refuse_plain_arrays
from qcsc_loop.values.codec import Codec
from qcsc_loop.values.record import State

S = TypeVar("S", bound=State)
M = TypeVar("M")
E = TypeVar("E")

HOOKS = ("initialize", "sample", "evaluate", "update", "converged")
# what each is called with, in this order
_ARGUMENTS = {
    "initialize": (),
    "sample": ("state",),
    "evaluate": ("state", "samples"),
    "update": ("state", "evaluation"),
    "converged": ("previous", "current"),
    "tables": ("state",),
}
_AWAITABLE = re.compile("Awaitable|Coroutine|Future|Task|Any")

Table = Sequence[Mapping[str, object]]
"""Rows for people: one mapping a row, the same keys in each, in the order of the columns."""


class Hooks(BaseModel, ABC, Generic[S, M, E]):
    """What the loop calls: a frozen pydantic model whose fields are the run's parameters.

    The contract of a hook:

    * It is `async` and returns what its class declares. States, samples and evaluations are
      anything pydantic reads and writes exactly; annotate arrays as `NDArray`.
    * It depends on its arguments, the parameters and `current_step().rng` alone, and never writes
      to `self`, nor to its arguments: that is what makes a resumed run the same run. Each call gets
      objects of its own, and what it changes in them is an error.
    * It may be called again with the same arguments, after a crash or an error. Once it has
      returned, its result is kept and it is not called again for that iteration.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        ser_json_inf_nan="strings",
        json_schema_extra=in_short,
        coerce_numbers_to_str=True,  # `--set label=12` for a text
    )

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        refuse_plain_arrays(cls)

    @abstractmethod
    async def initialize(self) -> S:
        """The state before the first iteration."""

    @abstractmethod
    async def sample(self, state: S) -> M:
        """The quantum part: samples for this state."""

    @abstractmethod
    async def evaluate(self, state: S, samples: M) -> E:
        """The classical heavy part: what the samples say."""

    @abstractmethod
    async def update(self, state: S, evaluation: E) -> S:
        """The next state."""

    async def converged(self, previous: S, current: S) -> bool:
        """Whether the run may end; by default it ends only by its stop rules."""
        return False

    def tables(self, state: S) -> Mapping[str, Table]:
        """Results for people, by artifact key (lower case, digits, dashes); published at the end."""
        return {}


AnyHooks = Hooks[Any, Any, Any]


@dataclass(frozen=True)
class HookTypes(Generic[S, M, E]):
    """How the values of an algorithm's three types are checked and stored."""

    state: Codec[S]
    samples: Codec[M]
    evaluation: Codec[E]


def hook_types(algorithm: type[Hooks[S, M, E]]) -> HookTypes[S, M, E]:
    """The three types a subclass declared in its base, wherever in its ancestry.

    Raises:
        BadAlgorithm: it did not declare them, or its state is no `State`.
        EncodingError: one of them has no exact stored form.
    """
    _require_hooks(algorithm)
    types = _bound(algorithm)
    if types is None:
        raise BadAlgorithm(
            algorithm.__name__,
            f"it must say its types: class {algorithm.__name__}"
            "(IterativeAlgorithm[MyState, MySamples, MyEvaluation])",
        )
    state = types[0]
    if not (isinstance(state, type) and issubclass(state, State)):
        raise BadAlgorithm(
            algorithm.__name__,
            f"its state type {_named(state)} must be a subclass of qcsc_loop.State",
        )
    return HookTypes(*(Codec(declared) for declared in types))


def _require_hooks(algorithm: type[BaseModel]) -> None:
    """Refuses a class that lacks a hook, or has one that cannot be awaited."""
    if missing := sorted(getattr(algorithm, "__abstractmethods__", ())):
        raise BadAlgorithm(
            algorithm.__name__,
            f"it has no {' and no '.join(missing)}: write `async def {missing[0]}`",
        )
    for name in HOOKS:
        hook = getattr(algorithm, name)
        plain = inspect.isfunction(hook) and not hasattr(hook, "__wrapped__")
        if plain and not inspect.iscoroutinefunction(hook) and _says_what_it_returns(hook):
            raise not_async(algorithm, name)
    for name, arguments in _ARGUMENTS.items():
        _require_arguments(algorithm, name, arguments)


def _require_arguments(algorithm: type, name: str, arguments: Sequence[str]) -> None:
    """Refuses a hook that cannot be called as the loop will, before anything is paid for it."""
    hook = inspect.getattr_static(algorithm, name)
    if not inspect.isfunction(hook):  # what it then asks for is its own affair
        return
    signature = inspect.signature(hook, follow_wrapped=False)
    try:
        signature.bind(algorithm, *arguments)
    except TypeError:
        where = place_of(algorithm, name)
        definition = "def" if name == "tables" else "async def"
        raise BadAlgorithm(
            algorithm.__name__,
            f"its hook {name}{f', at {where},' if where else ''} takes "
            f"({', '.join(signature.parameters)}): write "
            f"`{definition} {name}({', '.join(('self', *arguments))})`",
        ) from None


def _says_what_it_returns(hook: Callable[..., object]) -> bool:
    """Whether by its annotation it returns a value, rather than something that gives one."""
    returns = getattr(hook, "__annotations__", {}).get("return", inspect.Signature.empty)
    words = returns if isinstance(returns, str) else repr(returns)
    return returns is not inspect.Signature.empty and not _AWAITABLE.search(words)


def not_async(algorithm: type, hook: str) -> BadAlgorithm:
    """The refusal of a hook that is none that can be awaited."""
    where = place_of(algorithm, hook)
    return BadAlgorithm(
        algorithm.__name__,
        f"its hook {hook}{f', at {where},' if where else ''} is not async: write `async def {hook}`",
    )


def place_of(algorithm: type, hook: str) -> str:
    """Where a hook is written, `file.py:12`; empty: that is not known."""
    code = getattr(inspect.unwrap(getattr(algorithm, hook)), "__code__", None)
    return "" if code is None else f"{PurePath(code.co_filename).name}:{code.co_firstlineno}"


def _named(declared: object) -> str:
    """A type by its plain name, and the file and line that it is written at, if it is a file's."""
    if not isinstance(declared, type):
        return str(declared)
    try:
        file, (_, line) = inspect.getsourcefile(declared), inspect.getsourcelines(declared)
    except (OSError, TypeError):  # of Python itself, or its source is not there
        return declared.__name__
    return f"{declared.__name__}, at {PurePath(file or '').name}:{line},"


def _bound(algorithm: type[BaseModel]) -> tuple[Any, ...] | None:
    """The arguments of Hooks[...], followed through partly bound generics."""
    environment: dict[Any, Any] = {}
    for base in algorithm.__mro__:
        # Any: pydantic keeps a generic's origin and arguments in a plain dictionary
        generic: Any = base.__dict__.get("__pydantic_generic_metadata__")
        if not generic or not generic["origin"]:
            continue
        arguments = [environment.get(a, a) for a in generic["args"]]
        parameters = generic["origin"].__pydantic_generic_metadata__["parameters"]
        environment.update(zip(parameters, arguments, strict=False))
    types = tuple(environment.get(parameter, parameter) for parameter in (S, M, E))
    return None if any(isinstance(kind, TypeVar) for kind in types) else types
