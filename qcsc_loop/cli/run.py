"""`run` and `resume`: from words to a run that is driven to its end."""

from __future__ import annotations

import json
import sys
import time
import tomllib
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from qcsc_loop.algorithm import AnyAlgorithm
from qcsc_loop.catalog import find_algorithm
from qcsc_loop.cli.driving import Driving
from qcsc_loop.cli.progress import progress, show_hook_logs
from qcsc_loop.cli.run_in_flow import drive_in_flow, open_api
from qcsc_loop.cli.signals import LAST_WORDS_SECONDS, Interrupted, Signals, leave, leave_within
from qcsc_loop.cli.way import choose_way
from qcsc_loop.errors import BlockNotFound, InvalidParameters
from qcsc_loop.jobs.ledger import job_records
from qcsc_loop.loop.opening import new_run_id
from qcsc_loop.loop.options import RunOptions
from qcsc_loop.loop.outcome import Outcome
from qcsc_loop.parameters.build import build, merge, parse_settings
from qcsc_loop.parameters.environment import environment
from qcsc_loop.parameters.saved_blocks import named_blocks
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Which run was asked for.

    Attributes:
        algorithm: finds what to run, for which the run's record may have to be read.
        variables: parameter to the name of the Prefect variable that it comes from.
    """

    run_id: str
    algorithm: Callable[[Journal], AnyAlgorithm]
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
            why = f"--no-prefect has no saved blocks; give {name} its settings, as in --set {name}.type=..."
            raise BlockNotFound(block, why, [])
        return algorithm


def ask_for_run(
    algorithm: str,
    *,
    settings: Sequence[str],
    machine: str | None,
    variables: Sequence[str],
    params: Path | None,
    seed: int | None,
    run_id: str | None,
) -> Asked:
    """A run of an algorithm with these parameters; an existing run id resumes that run."""
    kind = find_algorithm(algorithm)
    given = merge(read_toml(params) if params else {}, _read_parameters(settings, machine))
    named = _read_variables(variables, parse_settings(settings))
    built = build(kind, given)
    run_id = new_run_id(kind) if run_id is None else run_id
    return Asked(run_id=run_id, algorithm=lambda _: built, seed=seed, variables=named)


def ask_for_resume(
    run_id: str, named: str | None, *, settings: Sequence[str], machine: str | None
) -> Asked:
    """A run that its record knows, with its own parameters, seed and stop rules.

    Args:
        named: where its class is now, if it was moved.
    """
    changed = _read_parameters(settings, machine)
    return Asked(run_id=run_id, algorithm=partial(_rebuild, named, changed))


def _rebuild(named: str | None, changed: dict[str, Any], journal: Journal) -> AnyAlgorithm:
    """The algorithm that the run's record says, with these parameters given anew."""
    settings = journal.settings()
    kind = find_algorithm(named or settings.algorithm)
    return build(kind, merge(settings.parameters, changed))


def _read_parameters(settings: Sequence[str], machine: str | None) -> dict[str, Any]:
    given = parse_settings(settings)
    return given if machine is None else merge(given, {"machine": machine})


def _read_variables(words: Sequence[str], given: dict[str, Any]) -> dict[str, str]:
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


def read_toml(path: Path) -> dict[str, Any]:
    """What a TOML file says.

    Raises:
        InvalidParameters: it is none.
    """
    try:
        return tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidParameters(str(path), [f"this is not TOML: {error}"], []) from error


def drive(asked: Asked, driving: Driving) -> None:
    """Drives a run to its end, and says how it went."""
    console = Console(stderr=driving.as_json, soft_wrap=False)
    journal = Journal(DirectoryStore(driving.store or environment().store), asked.run_id)
    signals, began = Signals(), time.monotonic()
    try:
        way = choose_way(driving, journal)
        with (
            progress(console) as shown,
            show_hook_logs(shown),
            open_api(shown) if way.prefect else nullcontext(),
        ):
            options = _options(asked, driving, journal, signals) | {"observers": [shown]}
            if way.prefect:
                run = drive_in_flow(
                    asked.algorithm,
                    partial(choose_way, driving),
                    journal,
                    options,
                    asked.variables,
                    signals,
                )
                outcome, told = signals.run(run)
            else:
                options["facts"] = way.facts()
                algorithm = asked.without_prefect(journal)
                outcome, told = signals.run(algorithm.run(**options)), True
    except Interrupted as interrupted:
        _say_interrupted(interrupted, journal, driving.as_json)
    else:
        _say_end(outcome, time.monotonic() - began, console, driving.as_json)
        # Prefect's last words, which nobody may be there to hear
        leave_within(LAST_WORDS_SECONDS if told else 1.0, 0)


def _options(asked: Asked, driving: Driving, journal: Journal, signals: Signals) -> RunOptions:
    options = driving.options()
    options |= {
        "store": journal.store,
        "run_id": journal.run_id,
        "leave_jobs": signals.leaves_jobs,
    }
    if asked.seed is not None:
        options["seed"] = asked.seed
    return options


def _say_end(outcome: Outcome[Any], seconds: float, console: Console, as_json: bool) -> None:
    if as_json:
        print(json.dumps(outcome.summary()))
    else:
        line = f"{outcome.run_id}: {outcome.message} ({seconds:.1f} s)"
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _say_interrupted(interrupted: Interrupted, journal: Journal, as_json: bool) -> None:
    run_id = journal.run_id
    text = f"{run_id}: {interrupted}; finished steps are kept: qcsc-loop resume {run_id}"
    if alive := [job for job in job_records(journal.store, run_id) if not job.over and job.job_id]:
        ids = ", ".join(str(job.job_id) for job in alive[:5]) + (" …" if alive[5:] else "")
        text += f". Left in the queue, and used by a resume: {ids}; to end them: qcsc-loop reap {run_id}"
    print(text, file=sys.stderr)
    if as_json:
        print(json.dumps({"run_id": run_id, "error": text, "kind": "Interrupted"}))
    leave(interrupted.exit_code)  # a simulation may still hold a thread
