"""`run` and `resume`: a run is driven to its end, and it is said how it went."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import nullcontext
from typing import Any

from qcsc_loop.cli.checks import check_run
from qcsc_loop.cli.driving import Driving
from qcsc_loop.cli.progress import progress, show_hook_logs
from qcsc_loop.cli.results import say_first_rows
from qcsc_loop.cli.run_in_flow import drive_in_flow, open_api
from qcsc_loop.cli.run_request import RunRequest
from qcsc_loop.cli.signals import LAST_WORDS_SECONDS, Interrupted, Signals, leave, leave_within
from qcsc_loop.cli.typed import say_how_to_type
from qcsc_loop.cli.way import choose_way
from qcsc_loop.events import Observer
from qcsc_loop.jobs.ledger import job_records
from qcsc_loop.loop.options import RunOptions
from qcsc_loop.loop.outcome import Outcome
from qcsc_loop.parameters.environment import environment
from qcsc_loop.printing import say, say_json, store_option
from qcsc_loop.reports.looking import Looker
from qcsc_loop.reports.run import curve, number
from qcsc_loop.reports.tables import PlainConsole
from qcsc_loop.reports.view import RunReader
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal


def drive(request: RunRequest, driving: Driving) -> None:
    """Drives a run to its end, and says how it went; or has another process do so."""
    store = DirectoryStore(driving.store or environment().store)
    journal, looker = Journal(store, request.run_id), Looker(store, request.run_id)
    way, began = choose_way(driving, journal), time.monotonic()
    check_run(request, driving, journal, prefect=way.prefect)
    if driving.detach:
        from qcsc_loop.cli.detach import drive_detached

        sys.exit(drive_detached(request.run_id, driving, is_new=request.is_new))
    console = PlainConsole(stderr=driving.as_json)
    try:
        with (
            Signals() as signals,
            progress(console, looker) as shown,
            show_hook_logs(shown),
            open_api(shown.say) if way.prefect else nullcontext() as api,
        ):
            options = _options(request, driving, journal, signals, shown)
            if api is not None:
                told_on = (signals, api, shown.say)
                in_flow = drive_in_flow(request, driving, journal, options, *told_on)
                outcome, told = asyncio.run(signals.supervise(in_flow))
            else:
                options["facts"] = way.facts()
                alone = request.without_prefect(journal).run(**options)
                outcome, told = asyncio.run(signals.supervise(alone)), True
    except Interrupted as interrupted:
        _say_interrupted(interrupted, journal, driving.as_json)
    else:
        seconds = time.monotonic() - began
        if driving.as_json:
            say_json(outcome.summary())
        else:
            console.say(f"{outcome.run_id}: {outcome.message} ({seconds:.1f} s)")
            _say_what_came_of_it(request, journal, outcome, driving, console)
        # Prefect's last words, which nobody may be there to hear
        leave_within(LAST_WORDS_SECONDS if told else 1.0, 0)


def foretell(request: RunRequest, driving: Driving) -> None:
    """Says what `drive` would do, and refuses what that would refuse; does nothing."""
    from qcsc_loop.cli.dry_run import say_plan

    journal = Journal(DirectoryStore(driving.store or environment().store), request.run_id)
    check_run(request, driving, journal, prefect=choose_way(driving, journal).prefect)
    say_plan(request, driving, journal)


def _options(
    request: RunRequest, driving: Driving, journal: Journal, signals: Signals, shown: Observer
) -> RunOptions:
    options = driving.options()
    options["store"], options["run_id"] = journal.store, journal.run_id
    options["observers"], options["leave_jobs"] = [shown], signals.leaves_jobs
    options["ended_by"] = signals.words
    if request.seed is not None:
        options["seed"] = request.seed
    return options


def _say_what_came_of_it(
    request: RunRequest,
    journal: Journal,
    outcome: Outcome[Any],
    driving: Driving,
    console: PlainConsole,
) -> None:
    """The curve, the first rows of the results, where all is kept, and what to type next."""
    view = RunReader(DirectoryStore(journal.store.place), journal.run_id).look()
    # on a terminal it stands there already
    if console.has_blocks and not console.is_terminal and (drawn := curve(view.values)):
        unit = f" {view.chart.unit}" if view.chart.unit else ""
        console.say(f"{view.chart.headline}  {drawn}  {number(view.headline)}{unit}")
    has_tables = say_first_rows(journal, request.named, outcome.state, console)
    run_id, more = journal.run_id, store_option(driving.store)
    console.print()
    console.say(f"kept in {journal.store.place}/{run_id}", style="dim")
    show = f"qcsc-loop show {run_id}"
    tables = f"{show} --tables" if has_tables else ""
    say_how_to_type()
    for command in (*(c for c in (view.next_command, tables, show) if c), "qcsc-loop list"):
        console.say(f"  {command}{more}")


def _say_interrupted(interrupted: Interrupted, journal: Journal, as_json: bool) -> None:
    run_id = journal.run_id
    text = f"{run_id}: {interrupted}; finished steps are kept: qcsc-loop resume {run_id}"
    if alive := [job for job in job_records(journal.store, run_id) if not job.over and job.job_id]:
        ids = ", ".join(str(job.job_id) for job in alive[:5]) + (" …" if alive[5:] else "")
        text += f". Left in the queue, and used by a resume: {ids}"
        text += f"; to end them: qcsc-loop reap {run_id}"
    say(text, to_stderr=True)
    say_how_to_type(to_stderr=True)
    if as_json:
        say_json({"run_id": run_id, "error": text, "kind": "Interrupted"})
    leave(interrupted.exit_code)  # a simulation may still hold a thread
