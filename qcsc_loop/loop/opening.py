"""Opening a run for driving: a new one, or an existing one that asks for the same results."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from qcsc_loop.concurrency.loading import class_reference
from qcsc_loop.errors import InvalidParameters, InvalidRunId, ParametersChanged, UnknownRule
from qcsc_loop.loop.hooks import AnyHooks
from qcsc_loop.loop.options import RunOptions
from qcsc_loop.loop.provenance import describe_driver
from qcsc_loop.parameters.compare import find_differences, find_given, to_plain
from qcsc_loop.parameters.environment import environment
from qcsc_loop.plain import Json
from qcsc_loop.rules.reason import Reason
from qcsc_loop.rules.retry import Retry
from qcsc_loop.rules.stop import StopRule
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal, Lease
from qcsc_loop.store.records import EndRecord, RunRecord, Settings, new_uid
from qcsc_loop.store.store import Store
from qcsc_loop.store.versions import this_version

_OPTIONS = ("stop", "seed", "run_id", "store", "keep", "retry")
_NO_RULE = (
    "no stop rule: give one, such as MaxIterations(50), or several, such as "
    "MaxIterations(50) | Shots(1_000_000)"
)


@dataclass(frozen=True)
class Opened:
    """A run that this process drives.

    Attributes:
        rule: that of the settings.
        assumed: what was taken from elsewhere since its record is damaged, in words.
        code_changed: how the algorithm's code is not what the run was begun with, as a sentence.
        check_hooks: whether to look that hooks change nothing they are given.
    """

    journal: Journal
    lease: Lease
    record: RunRecord
    settings: Settings
    rule: StopRule
    code_changed: str
    check_hooks: bool
    assumed: str = ""

    def give_back(self) -> None:
        """Frees the run again: its driver was cancelled before it did anything."""
        self.lease.release(
            EndRecord(
                epoch=self.lease.epoch,
                reason=Reason.INTERRUPTED,
                iteration=self.journal.last_iteration() or 0,
            )
        )


def open_run(algorithm: AnyHooks, given: AnyHooks, options: RunOptions) -> Opened:
    """Creates or reopens the run, and claims it.

    Args:
        algorithm: with every block's name replaced by what it stands for.
        given: as the caller gave it.

    Raises:
        InvalidRunId, InvalidParameters: an option is out of range.
        ParametersChanged: the run exists and was started for other results.
        StoreNotPrivate: others can write to where it is kept.
        UnknownRule: it stops by a rule that nothing here defines.
        RunLocked: another driver holds it.
    """
    _refuse_options(options)
    defaults = environment()
    store = options.get("store") or DirectoryStore(defaults.store)
    run_id = options["run_id"] if "run_id" in options else new_run_id(type(algorithm))
    lease_seconds = options.get("lease_seconds", defaults.lease_seconds)
    if not lease_seconds > 0:
        raise InvalidParameters("run", [f"lease_seconds: {lease_seconds} is not above 0"], [])
    facts = {**describe_driver(type(algorithm)), **options.get("facts", {})}
    try:
        settings = _settings(algorithm, given, options)
        record = RunRecord(
            run_id=run_id,
            uid=new_uid(),
            seed=options.get("seed", 0),
            settings=settings,
            provenance=facts,
        )
    except ValidationError as error:
        raise _refusal(error, run_id) from error
    store.require_own(run_id)
    journal = Journal(store, run_id)
    assumed = ""
    if not journal.create(record):
        record, assumed = journal.record(), journal.assumed()
        before = journal.settings()
        refuse_other_results(algorithm, record, options)
        settings = _settings(algorithm, given, options, before)
    rule = options["stop"] if "stop" in options else _rule(journal, settings)
    take_over = options.get("take_over", False)
    lease = journal.claim(settings, facts, lease_seconds, take_over=take_over)
    if assumed:
        journal.mend(record)
    changed = _code_changed(record, settings, facts)
    check_hooks = options.get("check_hooks", defaults.check_hooks)
    return Opened(journal, lease, record, settings, rule, changed, check_hooks, assumed)


def _refuse_options(options: RunOptions) -> None:
    """Refuses what is of another kind than an option of that name is.

    Raises:
        InvalidParameters: one is.
    """
    problems = [
        f"{name}: {options.get(name)!r:.60} is {wanted}"
        for name, kind, wanted in (
            ("stop", StopRule, _NO_RULE),
            ("retry", Retry, "no Retry: give one, such as Retry(times=2)"),
            ("store", Store, "no store: give one, such as DirectoryStore(folder)"),
        )
        if name in options
        and not isinstance(given := options.get(name), kind)
        and (name, given) != ("store", None)  # which is as if it had not been given
    ]
    if problems:
        raise InvalidParameters("run", problems, _OPTIONS)


def new_run_id(algorithm: type) -> str:
    """An id for a new run: name, time and a few random digits."""
    name = "".join(c for c in algorithm.__name__.lower() if c.isascii() and c.isalnum())
    return f"{name or 'run'}-{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def _settings(
    algorithm: AnyHooks, given: AnyHooks, options: RunOptions, before: Settings | None = None
) -> Settings:
    asked = {name: value for name, value in options.items() if name in ("stop", "keep", "retry")}
    facts = {
        "algorithm": class_reference(type(algorithm)),
        "parameters": to_plain(given),
        "given": find_given(given),
        "resolved": to_plain(algorithm),
    }
    return Settings.model_validate((dict(before) if before else {}) | facts | asked)


def _rule(journal: Journal, settings: Settings) -> StopRule:
    """The rule that the run has, now that the algorithm's file is imported, which may define it."""
    try:
        return settings.rule()
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        given: Any = problem["input"]
        innermost = given if isinstance(given, dict) and "type" in given else settings.stop
        newer = journal.newer_version()
        whose = (
            f"qcsc-loop {newer}, which is newer than this one ({this_version()})"
            if newer
            else "a plug-in that is not installed, or another file"
        )
        why = problem["msg"].removeprefix("Value error, ")
        raise UnknownRule(journal.run_id, str(innermost.get("type")), whose, why) from error


def refuse_other_results(algorithm: AnyHooks, record: RunRecord, options: RunOptions) -> None:
    """Makes sure that a run would go on to the results that it was begun for.

    Raises:
        ParametersChanged: it would not.
    """
    kind, first = type(algorithm), record.settings
    changed = find_differences(algorithm, first.resolved)
    class_before = first.algorithm.rpartition(":")[2]
    if class_before != kind.__qualname__:
        changed = {}  # two classes have no parameters in common
        changed["algorithm"] = (class_before, kind.__qualname__)
    if options.get("seed", record.seed) != record.seed:
        changed["seed"] = (record.seed, options.get("seed"))
    if changed:
        raise ParametersChanged(record.run_id, changed)


def _code_changed(record: RunRecord, settings: Settings, facts: Json) -> str:
    if record.provenance.get("source_sha256") == facts["source_sha256"]:
        return ""
    was, now = record.settings.algorithm, settings.algorithm
    if was != now:
        return f"this run was begun with the code {was}, and goes on with {now}"
    return "the algorithm's file has changed since this run was started"


def _refusal(error: ValidationError, run_id: str) -> Exception:
    problem = error.errors()[0]
    name = ".".join(str(part) for part in problem["loc"])
    if name == "run_id":
        return InvalidRunId(run_id)
    text = f"{name}: {problem['msg'].lower()} (given: {problem['input']!r})"
    return InvalidParameters("run", [text], _OPTIONS)
