"""`run` and `resume`: from words to a run that is driven to its end."""

from __future__ import annotations

import json
import sys
import time
import tomllib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from qcsc_loop.catalog import find
from qcsc_loop.cli.progress import hook_logs, progress
from qcsc_loop.cli.signals import LAST_WORDS_SECONDS, Interrupted, Signals, leave, leave_within
from qcsc_loop.errors import BlockNotFound, InvalidParameters
from qcsc_loop.opening import Algorithm, new_run_id
from qcsc_loop.options import RunOptions
from qcsc_loop.outcome import Outcome
from qcsc_loop.parameters import build, merged, parse_settings
from qcsc_loop.resolving import named_blocks
from qcsc_loop.retry import Retry
from qcsc_loop.settings import environment
from qcsc_loop.stop import MaxIterations
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal

if TYPE_CHECKING:
    from qcsc_loop.flows import Granularity


def run(
    *,
    algorithm: str,
    settings: tuple[str, ...],
    params: Path | None,
    seed: int | None,
    run_id: str | None,
    **driving: Any,
) -> None:
    """Runs an algorithm; an existing run id resumes that run."""
    kind = find(algorithm)
    given = merged(_from_file(params), parse_settings(settings))
    options = _options(**driving)
    if seed is not None:
        options["seed"] = seed
    _drive(build(kind, given), new_run_id(kind) if run_id is None else run_id, options, **driving)


def resume(*, run_id: str, algorithm: str | None, **driving: Any) -> None:
    """Goes on with a run, with its own parameters, seed and stop rules."""
    _drive(algorithm, run_id, _options(**driving), **driving)


def _from_file(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidParameters(str(path), [f"this is not TOML: {error}"], []) from error


def _options(
    *,
    max_iterations: int | None,
    keep: int | None,
    retries: int | None,
    retry_delay: float | None,
    retry_on: tuple[str, ...],
    **_: Any,
) -> RunOptions:
    options: RunOptions = {}
    if max_iterations is not None:
        options["stop"] = MaxIterations(max_iterations)
    if keep is not None:
        options["keep"] = keep
    if retries is not None:
        delay = Retry().delay if retry_delay is None else retry_delay
        options["retry"] = Retry(times=retries, on=retry_on, delay=delay)
    return options


def _drive(
    algorithm: Algorithm | str | None,
    run_id: str,
    options: RunOptions,
    *,
    store: Path | None,
    no_prefect: bool,
    as_json: bool,
    tasks: Granularity,
    **_: Any,
) -> None:
    console = Console(stderr=as_json, soft_wrap=False)
    journal = Journal(DirectoryStore(store or environment().store), run_id)
    options |= {"store": journal.store, "run_id": run_id}
    signals, began = Signals(), time.monotonic()
    try:
        with progress(console) as shown, hook_logs(console):
            options["observers"] = [shown]
            if no_prefect:
                chosen = _without_blocks(_chosen(algorithm, journal))
                outcome, told = signals.run(chosen.run(**options)), True
            else:
                outcome, told = _drive_in_flow(algorithm, journal, options, tasks, signals)
    except Interrupted as interrupted:
        _say_interrupted(interrupted, run_id, as_json)
    else:
        _say_end(outcome, time.monotonic() - began, console, as_json)
        # Prefect's last words, which nobody may be there to hear
        leave_within(LAST_WORDS_SECONDS if told else 1.0, 0)


def _chosen(algorithm: Algorithm | str | None, journal: Journal) -> Algorithm:
    """The algorithm to run; for a resume, as the run's record says."""
    if not isinstance(algorithm, str | None):
        return algorithm
    settings = journal.settings()
    return build(find(algorithm or settings.algorithm), settings.parameters)


def _without_blocks(algorithm: Algorithm) -> Algorithm:
    for field, name in named_blocks(algorithm).items():
        why = f"--no-prefect has no saved blocks; give {field} its settings, as in --set {field}.type=..."
        raise BlockNotFound(name, why, [])
    return algorithm


def _drive_in_flow(
    algorithm: Algorithm | str | None,
    journal: Journal,
    options: RunOptions,
    tasks: Granularity,
    signals: Signals,
) -> tuple[Outcome[Any], bool]:
    # Prefect takes seconds to import, and --no-prefect must not pay them
    from qcsc_loop.cli.flow import drive_in_flow

    return drive_in_flow(partial(_chosen, algorithm), journal, options, tasks, signals)


def _say_end(outcome: Outcome[Any], seconds: float, console: Console, as_json: bool) -> None:
    if as_json:
        print(json.dumps(outcome.summary()))
    else:
        line = f"{outcome.run_id}: {outcome.message} ({seconds:.1f} s)"
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _say_interrupted(interrupted: Interrupted, run_id: str, as_json: bool) -> None:
    text = f"{run_id}: {interrupted}; finished steps are kept: qcsc-loop resume {run_id}"
    print(text, file=sys.stderr)
    if as_json:
        print(json.dumps({"run_id": run_id, "error": text, "kind": "Interrupted"}))
    leave(interrupted.exit_code)  # a simulation may still hold a thread
