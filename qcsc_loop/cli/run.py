"""`run` and `resume`: from words to a run that is driven to its end."""

from __future__ import annotations

import json
import sys
import time
import tomllib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from qcsc_loop.algorithm import AnyAlgorithm
from qcsc_loop.catalog import find_algorithm, recorded_algorithm
from qcsc_loop.cli.progress import hook_logs, progress
from qcsc_loop.cli.signals import LAST_WORDS_SECONDS, Interrupted, Signals, leave, leave_within
from qcsc_loop.errors import BlockNotFound, InvalidParameters
from qcsc_loop.jobs.ledger import job_records
from qcsc_loop.loop.opening import new_run_id
from qcsc_loop.loop.options import RunOptions
from qcsc_loop.loop.outcome import Outcome
from qcsc_loop.parameters.build import build, merge, parse_settings
from qcsc_loop.parameters.environment import environment
from qcsc_loop.parameters.saved_blocks import named_blocks
from qcsc_loop.rules.limits import stop_rule
from qcsc_loop.rules.retry import Retry
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal

if TYPE_CHECKING:
    from qcsc_loop.prefect.flow import Granularity


def run(
    *,
    algorithm: str,
    settings: tuple[str, ...],
    machine: str | None,
    variables: tuple[str, ...],
    params: Path | None,
    seed: int | None,
    run_id: str | None,
    **driving: Any,
) -> None:
    """Runs an algorithm; an existing run id resumes that run."""
    kind = find_algorithm(algorithm)
    given = merge(read_toml(params) if params else {}, _given(settings, machine))
    options = _options(**driving)
    if seed is not None:
        options["seed"] = seed
    named = _variables(variables, parse_settings(settings))
    run_id = new_run_id(kind) if run_id is None else run_id
    _drive(build(kind, given), run_id, options, variables=named, **driving)


def _variables(words: tuple[str, ...], given: dict[str, Any]) -> dict[str, str]:
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


def resume(
    *,
    run_id: str,
    algorithm: str | None,
    settings: tuple[str, ...],
    machine: str | None,
    **driving: Any,
) -> None:
    """Goes on with a run, with its own parameters, seed and stop rules."""
    changed = _given(settings, machine)
    _drive(_Resumed(algorithm, changed), run_id, _options(**driving), **driving)


@dataclass(frozen=True)
class _Resumed:
    """An algorithm that a run's record knows.

    Attributes:
        named: where its class is now, if it was moved.
        changed: parameters given anew.
    """

    named: str | None
    changed: dict[str, Any]


def _given(settings: tuple[str, ...], machine: str | None) -> dict[str, Any]:
    given = parse_settings(settings)
    return given if machine is None else merge(given, {"machine": machine})


def read_toml(path: Path) -> dict[str, Any]:
    """What a TOML file says.

    Raises:
        InvalidParameters: it is none.
    """
    try:
        return tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidParameters(str(path), [f"this is not TOML: {error}"], []) from error


def _options(
    *,
    max_iterations: int | None,
    max_qpu_seconds: float | None,
    max_shots: float | None,
    max_node_hours: float | None,
    keep: int | None,
    retries: int | None,
    retry_delay: float | None,
    retry_on: tuple[str, ...],
    **_: Any,
) -> RunOptions:
    options: RunOptions = {}
    rule = stop_rule(max_iterations, max_qpu_seconds, max_shots, max_node_hours)
    if rule is not None:
        options["stop"] = rule
    if keep is not None:
        options["keep"] = keep
    if retries is not None:
        delay = Retry().delay if retry_delay is None else retry_delay
        options["retry"] = Retry(times=retries, on=retry_on, delay=delay)
    return options


def _drive(
    algorithm: AnyAlgorithm | _Resumed,
    run_id: str,
    options: RunOptions,
    *,
    store: Path | None,
    no_prefect: bool,
    as_json: bool,
    tasks: Granularity,
    variables: dict[str, str] | None = None,
    **_: Any,
) -> None:
    console = Console(stderr=as_json, soft_wrap=False)
    journal = Journal(DirectoryStore(store or environment().store), run_id)
    signals, began = Signals(), time.monotonic()
    options |= {"store": journal.store, "run_id": run_id, "leave_jobs": signals.leaves_jobs}
    try:
        with progress(console) as shown, hook_logs(shown):
            options["observers"] = [shown]
            if no_prefect and variables:
                raise InvalidParameters("--variable", ["--no-prefect has no variables"], [])
            if no_prefect:
                chosen = _without_blocks(_chosen(algorithm, journal))
                outcome, told = signals.run(chosen.run(**options)), True
            else:
                outcome, told = _drive_in_flow(
                    algorithm, journal, options, tasks, signals, variables or {}
                )
    except Interrupted as interrupted:
        _say_interrupted(interrupted, journal, as_json)
    else:
        _say_end(outcome, time.monotonic() - began, console, as_json)
        # Prefect's last words, which nobody may be there to hear
        leave_within(LAST_WORDS_SECONDS if told else 1.0, 0)


def _chosen(algorithm: AnyAlgorithm | _Resumed, journal: Journal) -> AnyAlgorithm:
    """The algorithm to run; for a resume, as the run's record says."""
    if not isinstance(algorithm, _Resumed):
        return algorithm
    return recorded_algorithm(journal, named=algorithm.named, changed=algorithm.changed)


def _without_blocks(algorithm: AnyAlgorithm) -> AnyAlgorithm:
    for field, name in named_blocks(algorithm).items():
        why = f"--no-prefect has no saved blocks; give {field} its settings, as in --set {field}.type=..."
        raise BlockNotFound(name, why, [])
    return algorithm


def _drive_in_flow(
    algorithm: AnyAlgorithm | _Resumed,
    journal: Journal,
    options: RunOptions,
    tasks: Granularity,
    signals: Signals,
    variables: dict[str, str],
) -> tuple[Outcome[Any], bool]:
    # Prefect takes seconds to import, and --no-prefect must not pay them
    from qcsc_loop.cli.run_in_flow import drive_in_flow

    choose = partial(_chosen, algorithm)
    return drive_in_flow(choose, journal, options, tasks, signals, variables)


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
