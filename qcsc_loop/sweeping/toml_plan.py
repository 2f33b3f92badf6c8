"""A sweep as a TOML file describes it; what is wrong is said with its line."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from qcsc_loop.catalog import AlgorithmType, find_algorithm
from qcsc_loop.errors import InvalidParameters, UnknownAlgorithm, did_you_mean
from qcsc_loop.plain import Json
from qcsc_loop.rules.limits import Limits
from qcsc_loop.rules.stop import MaxIterations
from qcsc_loop.sweeping.composing import (
    NAMES,
    SEEDS,
    Group,
    Where,
    compose,
    require_size,
    seeds_of,
    type_name,
)
from qcsc_loop.sweeping.plan import (
    AMOUNTS,
    AT_ONCE,
    Amounts,
    Bounds,
    Choice,
    Halving,
    Plan,
    grid_choices,
    list_choices,
)
from qcsc_loop.sweeping.toml_lines import line_of


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class GroupTable(_Table):
    """Runs of one algorithm: a grid or a list of settings, each with every seed.

    Attributes:
        algorithm: a known name, file.py:Class or module:Class.
        parameters: of all members.
        grid: dotted name to its values; every combination is a setting.
        members: a list of settings instead; `label` names one.
        seeds: how many, from 0, or which.
        stop: each member's own limits, as options of `run`.
        iteration: what an iteration costs at most, instead of the budget's.
        deployment: FLOW/NAME, whose flow runs drive the members.
        baseline: the setting with which the others are compared.
    """

    algorithm: str = ""
    parameters: dict[str, Any] = {}
    grid: dict[str, list[Any]] = {}
    members: list[dict[str, Any]] = []
    seeds: Any = 1  # `seeds_of` says what it is, here and in Python
    stop: Limits = Limits()
    iteration: Bounds = Bounds()
    deployment: str = ""
    baseline: str = ""


class NamedGroup(GroupTable):
    """One of several groups."""

    name: str = Field(default="", max_length=40)


class BudgetTable(Amounts):
    """Of all members together.

    Attributes:
        shots, qpu_seconds, node_hours: of all members together; empty: not bounded.
        iteration: what an iteration of a member costs at most.
    """

    iteration: Bounds = Bounds()


class SweepTable(GroupTable):
    """The whole file: one group, or several under `[[group]]`.

    Attributes:
        name: the sweep's; by default the file's.
        at_once: how many members go at once.
        budget: of all members together.
        halving: stops settings that can no longer win; empty: none is stopped.
        group: several groups, each with keys as those of the file.
    """

    name: str | None = None
    at_once: int = Field(default=AT_ONCE, ge=1, strict=True)
    budget: BudgetTable = BudgetTable()
    halving: Halving | None = None
    group: list[NamedGroup] = []


def read_plan(path: Path, *, name: str | None = None) -> Plan:
    """The sweep that a file describes.

    Args:
        name: instead of the file's own.

    Raises:
        InvalidParameters: with the key, its line and what is valid.
        UnknownAlgorithm: there is none of that name.
    """
    text = _read(path)
    where = _where(path, text)
    try:
        given = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InvalidParameters(str(path), [f"this is not TOML: {error}"], []) from error
    _refuse_truths(given, where)
    try:
        table = SweepTable.model_validate(given)
    except ValidationError as error:
        raise _refusal(error, where) from error
    _refuse_halves(table, given, where)
    groups = [_group(each, table, path, where, place) for each, place in _groups(table)]
    return compose(
        next((each for each in (name, table.name) if each is not None), _name_of(path)),
        groups,
        where=where,
        at_once=table.at_once,
        budget=table.budget.known(),
        halving=table.halving,
        source=str(path.absolute()),
    )


def _read(path: Path) -> str:
    try:
        # editors of other systems begin a file with a mark of its encoding
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidParameters(str(path), [f"this is not TOML: {error}"], []) from error
    except OSError as error:
        why = f"it cannot be read: {error.strerror or error}"
        raise InvalidParameters(str(path), [why], []) from error


def _where(path: Path, text: str) -> Where:
    def where(*place: str | int) -> str:
        parts = [str(part) for part in place if isinstance(part, str)]
        line = line_of(text, place) if place else None
        said = f"{path}, line {line}" if line is not None else str(path)
        return f"{said}: {'.'.join(parts)}" if parts else said

    return where


def _name_of(path: Path) -> str:
    """The file's name as a sweep's; empty: none can be made of it."""
    return re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-")[:32].strip("-")


def _refusal(error: ValidationError, where: Where) -> InvalidParameters:
    """The first problem, as a sentence; an unknown key first: what is missing may be meant by it."""
    problems = error.errors(include_url=False)
    problem = next((one for one in problems if one["type"] == "extra_forbidden"), problems[0])
    place = problem["loc"]
    if "iteration" in place[:-2]:  # forms of a bound stand in the path behind its name
        place = place[: place.index("iteration") + 2]
    known = _names_at(place[:-1])
    if problem["type"] == "extra_forbidden":
        unknown = str(place[-1])
        return InvalidParameters(
            where(*place), [f"there is no key {unknown!r}{did_you_mean(unknown, known)}"], known
        )
    if problem["type"] == "missing":
        return InvalidParameters(where(*place), ["it is missing"], _valid(place, known))
    what = problem["msg"].removeprefix("Value error, ")
    text = f"{what[:1].lower()}{what[1:]} (given: {problem['input']!r})"
    return InvalidParameters(where(*place), [text], _valid(place, known))


def _valid(place: tuple[str | int, ...], known: list[str]) -> list[str]:
    """What a key takes."""
    values = {
        "name": [NAMES],
        "at_once": ["a whole number, 1 or more"],
        "seeds": list(SEEDS),
        "grid": ["name = [values]"],
        "cost": ["iterations", "shots", "qpu_seconds"],
        "factor": ["2 or more"],
        "first": ["a number above 0"],
        **{key: ["a number above 0"] for key in AMOUNTS},
        "algorithm": ["a known name, file.py:Class or module:Class"],
    }
    names = [part for part in place if isinstance(part, str)]
    return next((values[name] for name in reversed(names) if name in values), known)


def _names_at(place: tuple[str | int, ...]) -> list[str]:
    """The keys of a table."""
    model: type[BaseModel] = SweepTable
    inner: dict[str, type[BaseModel]] = {
        "group": NamedGroup,
        "budget": BudgetTable,
        "halving": Halving,
        "iteration": Bounds,
        "stop": Limits,
    }
    for part in place:
        if isinstance(part, str):
            model = inner.get(part, model)
    return list(model.model_fields)


_NUMBERS = ("seeds", "at_once")
_OF_NUMBERS = ("stop", "budget", "halving", "iteration")


def _refuse_truths(given: Json, where: Where) -> None:
    """`true` where a number stands: it would count as 1."""
    for place, value in _leaves(given):
        number = place[-1] in _NUMBERS or any(part in _OF_NUMBERS for part in place[:-1])
        if isinstance(value, bool) and number and not {"parameters", "grid", "members"} & {*place}:
            problem = f"{str(value).lower()} is no number"
            valid = _valid(place, _names_at(place[:-1]))
            raise InvalidParameters(where(*place), [problem], valid)


def _leaves(given: Any, place: tuple[str | int, ...] = ()) -> Iterator[tuple[Any, Any]]:
    """Every value that is no table, with its path."""
    inner: list[tuple[str | int, Any]] = []
    if isinstance(given, dict):
        inner = list(given.items())
    elif isinstance(given, list) and place == ("group",):
        inner = list(enumerate(given))
    else:
        yield place, given
    for name, value in inner:
        yield from _leaves(value, (*place, name))


def _refuse_halves(table: SweepTable, given: Json, where: Where) -> None:
    """What does not go together."""
    if table.group:
        for key in ("algorithm", "parameters", "grid", "members", "baseline", "deployment"):
            if key in given:
                problem = "with [[group]] each group has its own"
                raise InvalidParameters(where(key), [problem], [f"{key} in a [[group]]"])
    for each, place in _groups(table):
        if each.grid and each.members:
            problem = "settings come from a grid or from a list, not from both"
            raise InvalidParameters(where(*place, "members"), [problem], ["grid", "or members"])
        for name, values in each.grid.items():
            if not values:
                problem = "it has no value to try"
                raise InvalidParameters(
                    where(*place, "grid", name), [problem], ["1 or more values"]
                )


def _groups(table: SweepTable) -> Iterator[tuple[GroupTable, tuple[str | int, ...]]]:
    if not table.group:
        yield table, ()
    for number, each in enumerate(table.group):
        yield each, ("group", number)


def _group(
    each: GroupTable, table: SweepTable, path: Path, where: Where, place: tuple[str | int, ...]
) -> Group:
    kind = _algorithm(each.algorithm, path, where, place)
    given = each.model_fields_set
    stop = each.stop if "stop" in given else table.stop
    bounds = table.budget.iteration.known() | table.iteration.known() | each.iteration.known()
    name = each.name if isinstance(each, NamedGroup) else ""
    return Group(
        name=name or type_name(kind),
        kind=kind,
        parameters=each.parameters,
        choices=_choices(each, where, place),
        seeds=_seeds(each if "seeds" in given else table, where, place),
        stop=stop.stop_rule() or MaxIterations(100),
        iteration=bounds,
        deployment=each.deployment,
        baseline=each.baseline,
        place=place,
    )


def _choices(each: GroupTable, where: Where, place: tuple[str | int, ...]) -> list[Choice]:
    if "members" in each.model_fields_set:
        return list(list_choices(each.members))
    require_size(math.prod(map(len, each.grid.values())), where(*place, "grid"))
    return list(grid_choices(each.grid))


def _seeds(given: GroupTable, where: Where, place: tuple[str | int, ...]) -> Sequence[int]:
    """A group's own, or those of all."""
    own = () if isinstance(given, SweepTable) else place
    return seeds_of(given.seeds, where(*own, "seeds"))


def _algorithm(name: str, path: Path, where: Where, place: tuple[str | int, ...]) -> AlgorithmType:
    """The class; a file is looked for beside the sweep's own first."""
    if not name:
        raise InvalidParameters(
            where(*place, "algorithm"), ["it is missing"], _valid(("algorithm",), [])
        )
    file, colon, class_name = name.rpartition(":")
    if colon and file.endswith(".py") and (beside := path.parent / file).is_file():
        name = f"{beside.absolute()}:{class_name}"
    try:
        return find_algorithm(name)
    except UnknownAlgorithm as error:
        raise UnknownAlgorithm(
            name, f"{where(*place, 'algorithm')}: {error.why}", error.known
        ) from error
