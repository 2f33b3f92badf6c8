"""`sweep FILE`: a sweep is driven to its end, and it is said what it comes to."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from qcsc_loop.cli.detach import start_detached
from qcsc_loop.cli.driving import ATTACHED
from qcsc_loop.cli.progress import show_hook_logs
from qcsc_loop.cli.signals import Interrupted, Signals, leave
from qcsc_loop.cli.sweep_progress import sweep_progress
from qcsc_loop.cli.sweep_show import say_table
from qcsc_loop.errors import InvalidParameters
from qcsc_loop.parameters.environment import environment
from qcsc_loop.printing import say, say_json, store_option
from qcsc_loop.reports.tables import PlainConsole, wide_console
from qcsc_loop.reports.words import amount, rule_in_words
from qcsc_loop.rules.going_on import limits_of
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.sweeping.composing import require_name
from qcsc_loop.sweeping.driving import Drives
from qcsc_loop.sweeping.facts import DetachedFacts, facts_of, foretold_facts
from qcsc_loop.sweeping.plan import Plan
from qcsc_loop.sweeping.running import Manner, run_sweep, to_go_on_with
from qcsc_loop.sweeping.standing import Standing, SweepStatus, read_standing
from qcsc_loop.sweeping.sweep_journal import FOLDER, SweepJournal
from qcsc_loop.sweeping.toml_plan import read_plan

IN_TROUBLE = 1


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What was asked for.

    Attributes:
        target: a file, or the name of a sweep.
    """

    target: str
    name: str | None
    at_once: int | None
    dry_run: bool
    take_over: bool
    detach: bool
    store: Path | None
    as_json: bool

    @property
    def place(self) -> DirectoryStore:
        """Where the sweep is kept."""
        return DirectoryStore(self.store or environment().store)

    @property
    def more(self) -> str:
        """What further commands have to be given."""
        return store_option(self.store)


def drive_sweep(asked: Asked) -> int:
    """Drives a sweep, or has another process do so; the exit code.

    Raises:
        InputError: it cannot be as asked for; nothing was started.
        SweepLocked: another process drives it.
    """
    store = asked.place
    plan = _plan(asked, store)
    plan = to_go_on_with(SweepJournal(store, plan.name), plan, {})
    if asked.dry_run:
        _say_plan(plan, store, as_json=asked.as_json)
        return 0
    if asked.detach:
        return _detach(asked, plan, store)
    console, began = PlainConsole(stderr=asked.as_json), time.monotonic()
    before = _standing_before(store, plan)
    try:
        with (
            Signals() as signals,
            sweep_progress(console, plan, before) as shown,
            show_hook_logs(shown),
        ):
            manner = Manner(
                observers=[shown],
                drives=_drives(plan, store),
                take_over=asked.take_over,
                leave_jobs=signals.leaves_jobs,
                ended_by=signals.words,
            )
            asyncio.run(signals.supervise(run_sweep(plan, store, manner)))
    except Interrupted as interrupted:
        return _say_interrupted(interrupted, plan, asked)
    standing = read_standing(store, plan.name)
    if asked.as_json:
        say_json(facts_of(standing).model_dump(mode="json"))
    else:
        console = wide_console()
        console.say(f"{plan.name}: {standing.sentence} ({time.monotonic() - began:.1f} s)")
        say_table(standing, console)
        _say_next(standing, asked, console)
    return IN_TROUBLE if standing.status is not SweepStatus.DONE else 0


def _plan(asked: Asked, store: DirectoryStore) -> Plan:
    path = Path(asked.target)
    if asked.name is not None:
        require_name(asked.name, "--name")
    if path.suffix == ".toml" or path.is_file():
        plan = read_plan(path, name=asked.name)
    else:
        plan = SweepJournal(store, asked.target).plan()
        if asked.name is not None:
            problem = "a sweep that was begun keeps its name"
            raise InvalidParameters("--name", [problem], ["--name with a FILE"])
    return plan if asked.at_once is None else plan.model_copy(update={"at_once": asked.at_once})


def _drives(plan: Plan, store: DirectoryStore) -> Mapping[str, Drives]:
    """What drives the members that deployments do."""
    names = {member.deployment for member in plan.members if member.deployment}
    if not names:
        return {}
    from qcsc_loop.cli.quiet_prefect import quiet_prefect

    quiet_prefect()
    from qcsc_loop.deployments.sweeping import Deployed

    return {name: Deployed(name, plan.name, store) for name in names}


def _standing_before(store: DirectoryStore, plan: Plan) -> Standing | None:
    return read_standing(store, plan.name) if SweepJournal(store, plan.name).exists() else None


def _say_next(standing: Standing, asked: Asked, console: PlainConsole) -> None:
    name = standing.plan.name
    console.print()
    commands = [f"qcsc-loop sweep {word} {name}" for word in ("show", "plot", "report")]
    for command in (standing.next_command, *commands):
        if command:
            console.say(f"  {command}{asked.more}")


def _say_interrupted(interrupted: Interrupted, plan: Plan, asked: Asked) -> int:
    text = (
        f"{plan.name}: {interrupted}; finished steps of all members are kept: "
        f"qcsc-loop sweep {plan.name}{asked.more}"
    )
    say(text, to_stderr=True)
    if asked.as_json:
        say_json({"sweep": plan.name, "error": text, "kind": "Interrupted"})
    leave(interrupted.exit_code)  # a simulation may still hold a thread
    return interrupted.exit_code


def _detach(asked: Asked, plan: Plan, store: DirectoryStore) -> int:
    store.require_own(FOLDER)
    words = ["sweep", ATTACHED, *sys.argv[2:]]
    folder = f"{FOLDER}/{plan.name}"
    driver, output, code = start_detached(store, folder, words, as_json=asked.as_json)
    if code:
        return code
    show = f"qcsc-loop sweep show {plan.name}{asked.more}"
    if asked.as_json:
        facts = DetachedFacts(
            sweep=plan.name,
            pid=driver.process.pid,
            output=str(output),
            ended=code is not None,
            show=show,
        )
        say_json(facts.model_dump(mode="json"))
    else:
        how = "which writes" if code is None else "which has ended; it wrote"
        say(f"{plan.name}: driven by process {driver.process.pid}, {how} to {output}")
        say(f"  {show}")
    return 0


def _say_plan(plan: Plan, store: DirectoryStore, *, as_json: bool) -> None:
    """What would run, and what it may cost at most where that is known."""
    most = _most(plan)
    if as_json:
        is_new = not SweepJournal(store, plan.name).exists()
        say_json(foretold_facts(plan, most, new=is_new).model_dump(mode="json"))
        return
    console = wide_console()
    count = len(plan.members)
    what = "go on with" if SweepJournal(store, plan.name).exists() else "begin"
    console.say(f"would {what} {plan.name}: {count} members. Nothing is started or written", "bold")
    console.print()
    for group in plan.groups:
        own = plan.of(group)
        seeds = len({member.seed for member in own})
        settings = plan.settings(group)
        console.say_fact(group, f"{len(settings)} settings x {seeds} seeds, {own[0].algorithm}")
        for setting in settings:
            console.say_fact("", setting)
        console.say_fact("stop", rule_in_words(own[0].stop))
    console.say_fact("at once", str(plan.at_once))
    for name, value in most.items():
        of = f", of a budget of {plan.budget[name]:,.12g}" if name in plan.budget else ""
        console.say_fact("cost", f"at most {amount(name, value)}{of}")
    if plan.halving is not None:
        console.say_fact("halving", str(plan.halving))


def _most(plan: Plan) -> dict[str, float]:
    """By amount, of those whose every member says so."""
    found: dict[str, float] = {}
    for name in plan.budget:
        each = [m.iteration[name] * (1 + limits_of(m.stop).get("iterations", float("inf")))
                for m in plan.members]  # fmt: skip
        if sum(each) < float("inf"):
            found[name] = sum(each)
    return found
