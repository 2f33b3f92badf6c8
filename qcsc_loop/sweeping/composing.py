"""From groups of settings and seeds to a plan: every member built once, so that none fails later."""

from __future__ import annotations

import json
import operator
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from qcsc_loop.algorithm import AnyAlgorithm
from qcsc_loop.catalog import AlgorithmType
from qcsc_loop.concurrency.loading import class_reference
from qcsc_loop.errors import InvalidParameters, did_you_mean
from qcsc_loop.loop.hooks import hook_types
from qcsc_loop.parameters.build import build
from qcsc_loop.parameters.compare import to_plain
from qcsc_loop.parameters.saved_blocks import named_blocks
from qcsc_loop.plain import Json
from qcsc_loop.rules.stop import MaxIterations, StopRule
from qcsc_loop.sweeping.plan import (
    AT_ONCE,
    MOST_MEMBERS,
    SWEEP_NAME,
    Choice,
    Halving,
    Member,
    Plan,
    bound_of,
    lay_over,
    run_ids,
)

RESERVED = ("list", "show", "plot", "report")
NAMES = "1 to 32 lower-case letters, digits and dashes"
SEEDS = ("how many", "or which, such as [0, 1, 7]")
LARGEST_SEED = 2**63 - 1  # its digits have room in a run's id
Where = Callable[..., str]
"""What a key's path is called where a sweep is described: 'ghz.toml, line 7: grid.shots'."""


@dataclass(frozen=True)
class Group:
    """Runs of one algorithm that are compared with one another.

    Attributes:
        parameters: of all its members, under those of each choice.
        iteration: what an iteration costs at most, by amount.
        baseline: the setting that the others are compared with; empty: the first.
        place: its path where it is described.
    """

    name: str
    kind: AlgorithmType
    parameters: Json
    choices: Sequence[Choice]
    seeds: Sequence[int]
    stop: StopRule = field(default_factory=lambda: MaxIterations(100))
    iteration: Mapping[str, float | str] = field(default_factory=dict[str, float | str])
    deployment: str = ""
    baseline: str = ""
    place: tuple[str | int, ...] = ()


def compose(
    name: str,
    groups: Sequence[Group],
    *,
    where: Where,
    at_once: int = AT_ONCE,
    budget: Mapping[str, float] | None = None,
    halving: Halving | None = None,
    source: str = "",
) -> Plan:
    """A plan with every member's parameters checked.

    Raises:
        InvalidParameters: the name or a parameter is wrong, two members are the same, or there is none.
    """
    require_name(name, where("name"))
    _refuse_sizes(groups, where)
    for group in groups:
        chart = hook_types(group.kind).state.declared.chart
        if halving is not None and not chart.better:
            problem = f"nothing says which way the headline of {type_name(group.kind)} is better"
            cure = 'a chart of its state with better = "lower" or "higher"'
            raise InvalidParameters(where("halving"), [problem], [cure])
    several = len(groups) > 1
    members = [
        member
        for group in groups
        for member in _members(name, group, budget or {}, where, several=several)
    ]
    _refuse_twins(members, where)
    return Plan(
        name=name,
        members=tuple(members),
        at_once=at_once,
        budget=dict(budget or {}),
        halving=halving,
        baselines={group.name: _baseline(group, where) for group in groups},
        source=source,
    )


def require_name(name: object, subject: str) -> None:
    """Refuses what folders, runs' ids and the command line cannot have as a sweep's name.

    Raises:
        InvalidParameters: it is none.
    """
    if not isinstance(name, str) or not re.fullmatch(SWEEP_NAME, name):
        raise InvalidParameters(subject, [f"{name!r} cannot be a sweep's name"], [NAMES])
    if name in RESERVED:
        problem = f"{name!r} is a word of the command line"
        raise InvalidParameters(subject, [problem], ["any other name"])


def require_size(count: int, subject: str) -> None:
    """Refuses more members than there may be, before anything of that size is made.

    Raises:
        InvalidParameters: there are more.
    """
    if count > MOST_MEMBERS:
        problem = f"{count:,} members are more than a store's folder should hold at once"
        raise InvalidParameters(subject, [problem], [f"at most {MOST_MEMBERS:,} members"])


def seeds_of(given: object, subject: str) -> Sequence[int]:
    """Seeds: how many, from 0, or which.

    Raises:
        InvalidParameters: it is neither, or too many.
    """
    count = whole(given)
    if count is not None:
        if count < 0:
            raise InvalidParameters(subject, [f"{count} is below 0"], SEEDS)
        require_size(count, subject)
        return range(count)
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        problem = f"{given!r} is no whole number, and no list of such"
        raise InvalidParameters(subject, [problem], SEEDS)
    each: Iterable[Any] = given
    found = [_seed(seed, subject) for seed in islice(each, MOST_MEMBERS + 1)]
    require_size(len(found), subject)
    return found


def _seed(given: object, subject: str) -> int:
    seed = whole(given)
    if seed is None or not 0 <= seed <= LARGEST_SEED:
        problem = f"{given!r} is no whole number from 0 to {LARGEST_SEED:,}"
        raise InvalidParameters(subject, [problem], SEEDS)
    return seed


def whole(given: Any) -> int | None:
    """A whole number, numpy's as well; None: it is none, as True and 2.0 are none."""
    if isinstance(given, bool):
        return None
    try:
        return operator.index(given)
    except TypeError:
        return None


def _refuse_sizes(groups: Sequence[Group], where: Where) -> None:
    for group in groups:
        if not group.choices or not group.seeds:
            key = "seeds" if not group.seeds else "members"
            problem = "a sweep of no members has nothing to run"
            raise InvalidParameters(where(*group.place, key), [problem], ["1 or more"])
    require_size(sum(len(group.choices) * len(group.seeds) for group in groups), where())
    twice = [name for name, often in Counter(group.name for group in groups).items() if often > 1]
    if twice:
        problem = f"two groups are called {twice[0]!r}; give each a name of its own"
        raise InvalidParameters(where("group"), [problem], ["group.name"])


def _members(
    sweep: str, group: Group, budget: Mapping[str, float], where: Where, *, several: bool
) -> Iterator[Member]:
    settings = [choice.setting or type_name(group.kind) for choice in group.choices]
    plain = ["" if not choice.setting else choice.setting for choice in group.choices]
    ids = iter(run_ids(sweep, group.name if several else "", plain, group.seeds))
    for choice, setting in zip(group.choices, settings, strict=True):
        algorithm = _build(group, choice, where)
        parameters, reference = to_plain(algorithm), class_reference(group.kind)
        bounds = _bounds(group, budget, parameters, where)
        for seed in group.seeds:
            yield Member(
                run_id=next(ids),
                group=group.name,
                setting=setting,
                seed=seed,
                algorithm=reference,
                parameters=parameters,
                stop=to_plain(group.stop),
                iteration=bounds,
                deployment=group.deployment,
            )


def type_name(kind: type) -> str:
    """An algorithm's name as a label has it."""
    return kind.__name__.lower()


def _build(group: Group, choice: Choice, where: Where) -> AnyAlgorithm:
    """The algorithm.

    Raises:
        InvalidParameters: it does not take the parameters.
    """
    try:
        algorithm = build(group.kind, lay_over(group.parameters, choice.parameters))
    except InvalidParameters as error:
        raise InvalidParameters(
            where(*_place_of(error, group, choice)), error.problems, error.valid
        ) from error
    blocks = named_blocks(algorithm)
    if blocks and not group.deployment:
        name, block = next(iter(blocks.items()))
        problem = f"{name} is the saved block {block!r}, and only a server's flow runs have blocks"
        cure = f"{name}.type = ..., or a deployment"
        raise InvalidParameters(where(*group.place, "parameters", name), [problem], [cure])
    return algorithm


def _place_of(error: InvalidParameters, group: Group, choice: Choice) -> tuple[str | int, ...]:
    """Where the parameter is given that a sentence is about."""
    said = " ".join(error.problems)
    for name in choice.varied:
        if name in said or name.rpartition(".")[2] in said:
            key = "members" if choice.label else "grid"
            return (*group.place, key, name)
    for name in group.parameters:
        if name in said:
            return (*group.place, "parameters", name)
    return (*group.place, "parameters")


def _bounds(
    group: Group, budget: Mapping[str, float], parameters: Json, where: Where
) -> dict[str, float]:
    """What an iteration of a member costs at most, of each amount that there is a budget of."""
    found: dict[str, float] = {}
    for name in budget:
        key = f"budget.iteration.{name}"
        valid = [f'{key} = a number above 0, or a product of parameters such as "2 * shots"']
        if name not in group.iteration:
            problem = (
                f"a budget of {name} is only kept if it is known what an iteration of a member "
                "costs at most"
            )
            raise InvalidParameters(where(key), [problem], valid)
        try:
            found[name] = bound_of(group.iteration[name], parameters)
        except ValueError as error:
            raise InvalidParameters(where(key), [str(error)], valid) from error
    return found


def _refuse_twins(members: Sequence[Member], where: Where) -> None:
    """By what was made of the parameters: 500 and 500.0 may be the same."""
    seen: dict[object, str] = {}
    for member in members:
        made = json.dumps(member.parameters, sort_keys=True)
        own = (member.group, member.algorithm, made, member.seed)
        for key in (member.key, member.run_id, own):
            if key in seen:
                both = " and ".join(dict.fromkeys([seen[key], member.setting]))
                problem = (
                    f"two members are the same: {both}, seed {member.seed}; a run with the same "
                    "parameters and seed is the same run"
                )
                raise InvalidParameters(where(), [problem], ["each setting and seed once"])
            seen[key] = member.setting


def _baseline(group: Group, where: Where) -> str:
    settings = [choice.setting or type_name(group.kind) for choice in group.choices]
    wanted = group.baseline or settings[0]
    if wanted not in settings:
        problem = f"there is no setting {wanted!r}{did_you_mean(wanted, settings)}"
        raise InvalidParameters(where(*group.place, "baseline"), [problem], settings)
    return wanted
