"""`run --dry-run`: what would run, where, with what, at what cost. Nothing is started or written."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from qcsc_loop.algorithm import AnyAlgorithm
from qcsc_loop.cli.driving import Driving
from qcsc_loop.cli.run_request import RunRequest
from qcsc_loop.cli.way import choose_way
from qcsc_loop.concurrency.loading import class_reference
from qcsc_loop.parameters.compare import find_given, flat, to_plain
from qcsc_loop.parameters.resource import Resource
from qcsc_loop.plain import Json
from qcsc_loop.printing import say_json
from qcsc_loop.reports.phrases import span
from qcsc_loop.reports.tables import PlainConsole, wide_console
from qcsc_loop.reports.view import RunReader, View
from qcsc_loop.reports.words import amount, rule_in_words
from qcsc_loop.rules.going_on import limits_of
from qcsc_loop.rules.stop import MaxIterations
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal

DEFAULT_ITERATIONS = 100


@dataclass(frozen=True)
class Plan:
    """What a run would be.

    Attributes:
        known: the run as it stands; None: it would be a new one.
        stop: its rule, as JSON.
    """

    algorithm: AnyAlgorithm
    run_id: str
    folder: str
    seed: int
    stop: Json
    driven: str
    known: View | None

    @property
    def iterations(self) -> float | None:
        """How many are left at most; None where only convergence ends it."""
        limit = limits_of(self.stop).get("iterations")
        done = self.known.iteration if self.known is not None else 0
        return None if limit is None else max(0.0, limit - done)

    @property
    def per_iteration(self) -> dict[str, float]:
        """What an iteration costs at least: as the last one did, or as its parameters say."""
        if self.known is not None and len(self.known.history):
            return {n: v[-1] for n, v in self.known.history.usage.items() if v[-1]}
        parameters = flat(to_plain(self.algorithm))
        shots = [v for n, v in parameters.items() if n.rpartition(".")[2] == "shots"]
        return {"shots": float(shots[0])} if shots and isinstance(shots[0], int | float) else {}

    @property
    def resources(self) -> dict[str, Resource | str]:
        """Its sampler, machine, solver, ...: settings, or the name of a saved block."""
        return {
            name: value
            for name, value in self.algorithm
            if isinstance(value, Resource) or (isinstance(value, str) and value.count("/") == 1)
        }

    def preview(self, resource: Resource) -> str:
        """What a resource says of itself, such as a machine's script; refuses what it cannot do."""
        ranks = getattr(self.algorithm, "ranks", None)
        return resource.preview(ranks if isinstance(ranks, int) else None)


@dataclass(frozen=True)
class Foretold:
    """What a run would be, for programs.

    Attributes:
        given: the names of the parameters that are not by default.
        iterations: how many are left at most; None where only convergence ends it.
        resources: what its sampler, machine, ... say of themselves, such as a job's script.
    """

    run_id: str
    new: bool
    algorithm: str
    seed: int
    parameters: Json
    given: list[str]
    stop: Json
    limits: dict[str, float]
    iterations: float | None
    per_iteration: dict[str, float]
    resources: dict[str, str]
    driven: str
    folder: str


def say_plan(request: RunRequest, driving: Driving, journal: Journal) -> None:
    """Prints what a run would be.

    Raises:
        InputError: it would be refused.
    """
    plan = _plan(request, driving, journal)
    for resource in plan.resources.values():
        if not isinstance(resource, str):
            plan.preview(resource)
    if driving.as_json:
        say_json(asdict(_facts(plan)))
        return
    console = wide_console()
    name = type(plan.algorithm).__name__
    how = f"go on with {plan.run_id}" if plan.known is not None else f"begin {plan.run_id}"
    console.say(f"would {how}: {name}. Nothing is started, submitted or written", style="bold")
    console.print()
    for title, fact in _lines(plan):
        console.say_fact(title, fact)
    _print_previews(plan, console)


def _plan(request: RunRequest, driving: Driving, journal: Journal) -> Plan:
    known = None
    if journal.exists():
        known = RunReader(DirectoryStore(journal.store.place), journal.run_id).skim()
    algorithm, way = request.algorithm(journal), choose_way(driving, journal)
    rule = driving.limits.stop_rule()
    before = known.settings.stop if known is not None and known.settings is not None else None
    stop = to_plain(rule or MaxIterations(DEFAULT_ITERATIONS))
    record = known.record if known is not None else None
    return Plan(
        algorithm=algorithm,
        run_id=journal.run_id,
        folder=f"{journal.store.place}/{journal.run_id}",
        seed=record.seed if record is not None else request.seed or 0,
        stop=before if rule is None and before is not None else stop,
        driven="as a Prefect flow" if way.prefect else "without Prefect",
        known=known,
    )


def _lines(plan: Plan) -> Iterator[tuple[str, str]]:
    yield "algorithm", class_reference(type(plan.algorithm))
    yield "seed", str(plan.seed)
    parameters = flat(to_plain(plan.algorithm))
    given = [name for name in find_given(plan.algorithm) if name in parameters]
    for name in given:
        yield "parameters" if name == given[0] else "", f"{name} = {json.dumps(parameters[name])}"
    if len(given) < len(parameters):
        yield "" if given else "parameters", f"{len(parameters) - len(given)} by default"
    for name, value in plan.resources.items():
        yield name, value if isinstance(value, str) else _in_words(plan, value)
    yield "stop", rule_in_words(plan.stop)
    yield from _cost(plan)
    yield "driven", plan.driven
    yield "folder", plan.folder


def _in_words(plan: Plan, resource: Resource) -> str:
    first = plan.preview(resource).partition("\n")[0]
    return f"{resource.type}{f': {first}' if first else ''}"


def _cost(plan: Plan) -> Iterator[tuple[str, str]]:
    left = plan.iterations
    limits = limits_of(plan.stop)
    for name, value in plan.per_iteration.items():
        each = f"at least {amount(name, value)} an iteration"
        most = "" if left is None else f", {amount(name, value * left)} in {left:g} iterations"
        budget = f"; the budget is {amount(name, limits[name])}" if name in limits else ""
        yield "cost", f"{each}{most}{budget}"
    if left is not None and any(
        not isinstance(r, str) and _asks(r) for r in plan.resources.values()
    ):
        yield "jobs", f"one for each call: at least {left:g} if each iteration calls once"
    took = [] if plan.known is None else [t for t in plan.known.history.took if t == t]
    if took and left is not None:
        yield (
            "time",
            f"about {span(statistics.median(took) * left)}, as its last iterations took",
        )


def _asks(resource: Resource) -> bool:
    """Whether its calls are jobs of their own in somebody's queue."""
    return getattr(resource, "placement", "") == "job" and resource.type != "local"


def _print_previews(plan: Plan, console: PlainConsole) -> None:
    for name, value in plan.resources.items():
        rest = "" if isinstance(value, str) else plan.preview(value).partition("\n")[2]
        if rest:
            console.print()
            console.say(f"{name}, each job's script:", style="dim")
            console.say(rest.rstrip())


def _facts(plan: Plan) -> Foretold:
    return Foretold(
        run_id=plan.run_id,
        new=plan.known is None,
        algorithm=class_reference(type(plan.algorithm)),
        seed=plan.seed,
        parameters=to_plain(plan.algorithm),
        given=find_given(plan.algorithm),
        stop=plan.stop,
        limits=limits_of(plan.stop),
        iterations=plan.iterations,
        per_iteration=plan.per_iteration,
        resources={
            name: value if isinstance(value, str) else plan.preview(value)
            for name, value in plan.resources.items()
        },
        driven=plan.driven,
        folder=plan.folder,
    )
