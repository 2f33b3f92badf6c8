"""Which run is to be driven: from words to an algorithm with its parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from qcsc_loop.algorithm import AnyAlgorithm
from qcsc_loop.catalog import AlgorithmType, find_algorithm, recorded_algorithm
from qcsc_loop.cli.read_toml import read_toml
from qcsc_loop.errors import BlockNotFound, InvalidParameters
from qcsc_loop.loop.hooks import hook_types
from qcsc_loop.loop.opening import new_run_id as make_run_id
from qcsc_loop.parameters.build import build, merge, parse_settings
from qcsc_loop.parameters.saved_blocks import named_blocks
from qcsc_loop.plain import Json
from qcsc_loop.store.journal import Journal


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """Which run was asked for.

    Attributes:
        algorithm: finds what to run, for which the run's record may have to be read.
        named: the algorithm's class, if a person named it; else only the run's record does.
        is_new: its id was made for it, so that no server can know of it.
        is_resume: whether there has to be such a run.
        uid: how the uid begins of the run that is meant, where a server has several of this id.
        variables: parameter to the name of the Prefect variable that it comes from.
    """

    run_id: str
    algorithm: Callable[[Journal], AnyAlgorithm]
    named: AlgorithmType | None = None
    is_new: bool = False
    is_resume: bool = False
    uid: str = ""
    seed: int | None = None
    variables: dict[str, str] = field(default_factory=dict[str, str])

    def without_prefect(self, journal: Journal) -> AnyAlgorithm:
        """The algorithm, if it needs nothing that only Prefect has.

        Raises:
            InvalidParameters: a parameter comes from a variable.
            BlockNotFound: a parameter is a saved block's name.
        """
        if self.variables:
            problem = "a run with --no-prefect has no variables; with --prefect it has"
            raise InvalidParameters("--variable", [problem], [])
        algorithm = self.algorithm(journal)
        for name, block in named_blocks(algorithm).items():
            cure = f"give {name} its settings, as in --set {name}.type=..."
            why = f"--no-prefect has no saved blocks; {cure}"
            raise BlockNotFound(block, why, [])
        return algorithm


def request_run(
    algorithm: str,
    *,
    settings: Sequence[str],
    machine: str | None,
    variables: Sequence[str],
    params: Path | None,
    seed: int | None,
    run_id: str | None,
    new_run_id: str | None = None,
) -> RunRequest:
    """A run of an algorithm with these parameters; an existing run id resumes that run.

    Args:
        new_run_id: one that was made for it.
    """
    kind = find_algorithm(algorithm)
    given = merge(read_toml(params) if params else {}, _read_parameters(settings, machine))
    named = _read_variables(variables, parse_settings(settings))
    hook_types(kind)  # what is wrong with the class is said before anything is started
    built = build(kind, given)
    return RunRequest(
        run_id=(new_run_id or make_run_id(kind)) if run_id is None else run_id,
        is_new=run_id is None,
        algorithm=lambda _: built,
        named=kind,
        seed=seed,
        variables=named,
    )


def request_resume(
    run_id: str,
    named: str | None,
    *,
    uid: str = "",
    settings: Sequence[str],
    machine: str | None,
) -> RunRequest:
    """A run that its record knows, with its own parameters, seed and stop rules.

    Args:
        named: where its class is now, if it was moved.
    """
    changed = _read_parameters(settings, machine)
    algorithm = partial(recorded_algorithm, named=named, changed=changed)
    kind = None if named is None else find_algorithm(named)
    return RunRequest(run_id=run_id, algorithm=algorithm, named=kind, is_resume=True, uid=uid)


def _read_parameters(settings: Sequence[str], machine: str | None) -> Json:
    given = parse_settings(settings)
    return given if machine is None else merge(given, {"machine": machine})


def _read_variables(words: Sequence[str], given: Json) -> dict[str, str]:
    """Parameter to variable's name, without those that were given a value."""
    named: dict[str, str] = {}
    for word in words:
        parameter, equals, name = word.partition("=")
        if not equals or not parameter or not name:
            problem = f"{word!r} is not of the form parameter=variable"
            raise InvalidParameters("--variable", [problem], [])
        inner: Any = given
        for part in parameter.split("."):
            inner = inner.get(part) if isinstance(inner, dict) else None
        if inner is None:
            named[parameter] = name
    return named
