"""A sweep as a call of `sweep` describes it; what is wrong is said with the argument."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from pathlib import PurePath
from typing import Any

from pydantic import BaseModel

from qcsc_loop.algorithm import AnyAlgorithm, IterativeAlgorithm
from qcsc_loop.errors import InvalidParameters, did_you_mean
from qcsc_loop.parameters.compare import flat, to_plain
from qcsc_loop.plain import Json
from qcsc_loop.rules.stop import MaxIterations, StopRule
from qcsc_loop.sweeping.composing import (
    Group,
    compose,
    require_name,
    require_size,
    seeds_of,
    type_name,
    whole,
)
from qcsc_loop.sweeping.plan import AMOUNTS, Choice, Halving, Plan, grid_choices, lay_over

Kinds = dict[type[AnyAlgorithm], list[Choice]]


def plan_of(  # as many as the public call has
    choices: Kinds,
    *,
    name: str,
    seeds: object,
    stop: object,
    at_once: object,
    budget: object,
    iteration: object,
    halving: object,
    baseline: str,
) -> Plan:
    """The plan; arguments are those of `sweep`.

    Raises:
        InvalidParameters: with the argument, and what is valid.
    """
    require_name(name, "name")
    if halving is not None and not isinstance(halving, Halving):
        raise InvalidParameters("halving", [f"{halving!r} is no Halving"], ["Halving(first=2)"])
    bounds = _amounts(iteration, "iteration", products=True)
    groups = [
        Group(
            name=type_name(kind),
            kind=kind,
            parameters={},
            choices=own,
            seeds=seeds_of(seeds, "seeds"),
            stop=_rule(stop),
            iteration=bounds,
            baseline=baseline,
        )
        for kind, own in choices.items()
    ]
    return compose(
        name,
        groups,
        where=lambda *place: ".".join(map(str, place)) or "sweep",
        at_once=_at_once(at_once),
        budget={n: float(v) for n, v in _amounts(budget, "budget", products=False).items()},
        halving=halving,
    )


def choices_of(algorithm: object, grid: object) -> Kinds:
    """Settings by class: what is of another class is compared with nothing here.

    Raises:
        InvalidParameters: they are no algorithms, or no values of parameters.
    """
    if not isinstance(algorithm, Mapping):
        base = to_plain(_instance(algorithm, "sweep"))
        choices = [
            Choice(lay_over(base, choice.parameters), choice.varied, choice.label)
            for choice in grid_choices(_grid(grid))
        ]
        return {type(_instance(algorithm, "sweep")): choices}
    if grid:
        raise InvalidParameters("sweep", ["settings come from a grid or by label"], ["one of them"])
    if not algorithm:
        problem = "a sweep of no members has nothing to run"
        raise InvalidParameters("sweep", [problem], ["1 or more"])
    found: Kinds = {}
    each: Mapping[Any, Any] = algorithm
    for label, value in each.items():
        if not isinstance(label, str) or not label:
            raise InvalidParameters(
                "sweep", [f"{label!r} is no label"], ["a word for each setting"]
            )
        one = _instance(value, f"sweep: {label}")
        parameters = to_plain(one)
        found.setdefault(type(one), []).append(Choice(parameters, flat(parameters), label))
    return found


def _instance(given: object, subject: str) -> AnyAlgorithm:
    """An algorithm, with its parameters; its class or its name is none."""
    if isinstance(given, IterativeAlgorithm):
        found: AnyAlgorithm = given
        return found
    known = isinstance(given, type) and issubclass(given, IterativeAlgorithm)
    name = given.__name__ if isinstance(given, type) else "Algorithm"
    said = f"{name} is a class" if isinstance(given, type) else f"{given!r} is no algorithm"
    cure = (
        f"{name}(...)" if known else "an algorithm with its parameters, such as BitCount(shots=100)"
    )
    raise InvalidParameters(subject, [f"{said}, and what runs is an instance"], [cure])


def _grid(given: object) -> dict[str, list[Any]]:
    """Lists of plain values, by dotted name."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        problem = f"{given!r} does not say which parameter takes which values"
        raise InvalidParameters("grid", [problem], ['{"name": [values]}'])
    each: Mapping[Any, Any] = given
    found = {_name(name): _values(name, values) for name, values in each.items()}
    require_size(math.prod(map(len, found.values())), "grid")
    return found


def _name(given: object) -> str:
    if not isinstance(given, str):
        raise InvalidParameters("grid", [f"{given!r} is no parameter's name"], ["words"])
    return given


def _values(name: str, given: Any) -> list[Any]:
    subject, valid = f"grid.{name}", ["a list of 1 or more values"]
    listed = given.tolist() if hasattr(given, "tolist") else given
    if isinstance(listed, str | bytes | Mapping | set | frozenset) or not isinstance(
        listed, Iterable
    ):
        raise InvalidParameters(subject, [f"{given!r} is no list of values to try"], valid)
    values: Iterable[Any] = listed
    found = [_plain(value) for value in values]
    if not found:
        raise InvalidParameters(subject, ["it has no value to try"], valid)
    try:
        json.dumps(found)
    except (TypeError, ValueError) as error:
        raise InvalidParameters(subject, [str(error)], ["values as JSON has them"]) from error
    return found


def _plain(value: Any) -> Any:
    """A value of Python as JSON has it: of a model its parameters, of an array its numbers."""
    if isinstance(value, BaseModel):
        return json.loads(value.model_dump_json())
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Mapping):
        table: Mapping[Any, Any] = value
        return {name: _plain(each) for name, each in table.items()}
    if isinstance(value, list | tuple):
        several: Sequence[Any] = value
        return [_plain(each) for each in several]
    if isinstance(value, Enum):
        return value.value
    return str(value) if isinstance(value, PurePath) else value


def _rule(given: object) -> StopRule:
    if given is None:
        return MaxIterations(100)
    if not isinstance(given, StopRule):
        number = whole(given)
        cure = "MaxIterations(40)" if number is None else f"MaxIterations({number})"
        raise InvalidParameters("stop", [f"{given!r} is no stop rule"], [cure, "Shots(1e6)"])
    return given


def _at_once(given: object) -> int:
    number = whole(given)
    if number is None or number < 1:
        problem = f"{given!r} members cannot go at once"
        raise InvalidParameters("at_once", [problem], ["a whole number, 1 or more"])
    return number


def _amounts(given: object, subject: str, *, products: bool) -> Json:
    """Amounts by name: numbers, or products of parameters' names where these may stand."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        problem = f"{given!r} does not say of what"
        raise InvalidParameters(subject, [problem], [f'{{"{name}": ...}}' for name in AMOUNTS])
    each: Mapping[Any, Any] = given
    return {
        _amount(name, subject): _bound(value, f"{subject}.{name}", products=products)
        for name, value in each.items()
    }


def _amount(name: object, subject: str) -> str:
    if name not in AMOUNTS:
        problem = f"there is no amount {name!r}{did_you_mean(str(name), AMOUNTS)}"
        raise InvalidParameters(subject, [problem], AMOUNTS)
    return str(name)


def _bound(given: Any, subject: str, *, products: bool) -> float | str:
    if products and isinstance(given, str):
        return given
    try:
        number = math.nan if isinstance(given, bool | str) else float(given)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not 0 < number < math.inf:
        problem = f"{given!r} is no finite number above 0"
        product = ['a product of parameters such as "2 * shots"'] if products else []
        raise InvalidParameters(subject, [problem], ["a number above 0", *product])
    return number
