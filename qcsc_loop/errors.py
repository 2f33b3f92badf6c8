"""Every error that qcsc-loop raises, in one tree::

    QcscLoopError
    ├── InputError                  what was asked for cannot be done as asked; nothing was started
    │   ├── UnknownAlgorithm        no such name, file, module or class
    │   │   └── AlgorithmNotImported    its code raises when it is imported
    │   ├── BadAlgorithm            the class does not keep the contract of IterativeAlgorithm
    │   ├── InvalidParameters       unknown, mistyped or out of range
    │   ├── BlockNotFound           a saved block's name that nothing answers to
    │   ├── UnknownSite             no machine of this name is known
    │   ├── PluginFailed            what another distribution offers cannot be imported
    │   ├── UnknownRule             a run stops by a rule that nothing here knows
    │   ├── InvalidRunId            not usable as a folder's name and an artifact's key
    │   ├── RunNotFound             no such run in this store
    │   ├── AlgorithmNotNamed       whose code a run's records name, nobody here can vouch for
    │   ├── RunIsDriven             a driver holds the run, which is to be left alone
    │   ├── RunExists               a store has a run of that id
    │   ├── BadArchive              a file is no archive of a run, or is damaged
    │   ├── FileNotWritten          a file where a person wants one cannot be written there
    │   ├── FileNotRead             a file that a person names cannot be read
    │   ├── SweepNotFound           no such sweep in this store
    │   ├── SweepChanged            a sweep of that name has other members
    │   ├── SeveralRuns             an API has more than one run of that id
    │   ├── RunRenamed              a run's folder has another name than the run
    │   ├── KeyNotPrivate           the key that artifacts are signed with is not this person's alone
    │   ├── StoreNotPrivate         others can write to the store, or it is somebody else's
    │   ├── JobRefused              a job that its machine cannot run as asked for
    │   ├── BadFunction             a function that ranks cannot be sent
    │   ├── WrongEventLoop          a run is to be driven in another event loop than asyncio's
    │   ├── NothingMeasured         a circuit of which no bit would be read
    │   └── ParametersChanged       the run exists, with parameters that give other results
    ├── RunLocked                   another driver holds the run
    ├── LeaseLost                   another driver has taken the run over from this one
    ├── RunCancelled                somebody does not want this driver to go on
    ├── DriverSilent                a driver that is to end does not do so
    ├── SweepLocked                 another process drives the sweep
    ├── SweepLost                   another process has taken the sweep over from this one
    ├── HookError                   the algorithm's own code
    │   ├── HookFailed              a hook raised
    │   ├── ResultsNotMade          its tables cannot be made
    │   ├── WrongHookType           a hook returned something else than it declares
    │   └── ImpureHook              a hook changed what it was given
    ├── CheckFailed                 an algorithm whose runs have other bits in another life
    ├── EncodingError               a value that cannot be stored exactly
    ├── StoreError                  the disk said no
    │   ├── RunNotBegun             to a new run's first record
    │   ├── DamagedDocument         a stored file that does not verify
    │   ├── NewerDocument           a stored file that a newer version wrote
    │   │   └── NewerFormat         of a format that this version does not know
    │   └── NoGoodCheckpoint        a run of which no checkpoint verifies
    ├── SamplingFailed              a quantum source gave no samples
    ├── WorkerDied                  a process of this driver's own ended in mid-work
    ├── JobError                    a job on a machine or a quantum computer
    │   ├── JobFailed               it ended otherwise than well
    │   ├── ResultUnreadable        it ended well, and what it left cannot be read here
    │   ├── JobElsewhere            it works in a folder that is not to be seen here
    │   ├── JobRejected             its scheduler does not take it, now or later
    │   ├── JobNotTaken             its scheduler does not take it yet
    │   ├── JobInputChanged         the step has this job already, for other input
    │   ├── SubmissionUnclear       it may have been accepted, and does not turn up
    │   ├── SiteUnreachable         the scheduler or service does not answer
    │   └── CredentialsRefused      it answers, and does not let us in
    ├── PrefectUnreachable          no Prefect API answers
    ├── PrefectHomeNotWritable      the folder of Prefect's settings and database
    ├── PrefectRefused              it answers, and does not let us in
    ├── ServerNotStarted            a person's own Prefect server cannot be started or ended
    └── ServerNotOurs               what it keeps is not this person's alone

The raiser passes facts, the class makes the sentence: what failed, what is valid, what to do next.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import ClassVar

from qcsc_loop.printing import printable


class QcscLoopError(Exception):
    """Root of all errors raised by qcsc-loop.

    Attributes:
        exit_code: what the command line exits with.
        transient: whether the same call may succeed a little later.
    """

    exit_code: ClassVar[int] = 1
    transient: bool = False

    def __init__(self, message: str) -> None:
        # one sentence: what others say, and is quoted here, may have any number of lines
        super().__init__(printable(" ".join(message.split())))

    @property
    def fact(self) -> str:
        """What happened, in a few words for lists."""
        words = "".join(f" {c.lower()}" if c.isupper() else c for c in type(self).__name__)
        return words.strip()

    @property
    def happened(self) -> str:
        """What happened, as a sentence that leaves out what to do next."""
        return str(self)


LONGEST_VALUE = 60  # characters of a wrong value that are quoted


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The known name that is nearest to one that there is not, for its sentence; empty: none is."""
    import difflib  # for a mistake only

    near = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


class InputError(QcscLoopError):
    """What was asked for cannot be done as asked; nothing was started."""

    exit_code = 2


class UnknownAlgorithm(InputError):
    """No algorithm answers to this name."""

    def __init__(self, name: str, why: str, known: Iterable[str]) -> None:
        self.name, self.why, self.known = name, why, sorted(known)
        super().__init__(self._sentence())

    def _sentence(self) -> str:
        hint = did_you_mean(self.name, self.known)
        return (
            f"there is no algorithm {self.name!r}: {self.why}{hint}. Known by name: "
            f"{', '.join(self.known) or 'none'}; or give path/to/file.py:Class or "
            "package.module:Class."
        )


class AlgorithmNotImported(UnknownAlgorithm):
    """The code that has it raises when it is imported."""

    def _sentence(self) -> str:
        return f"{self.name!r} cannot be run: {self.why}. Mend that, and type the command again."


class BadAlgorithm(InputError):
    """A class that does not keep the contract of IterativeAlgorithm."""

    def __init__(self, algorithm: str, why: str) -> None:
        super().__init__(f"{algorithm} cannot run: {why}")


class InvalidParameters(InputError):
    """Unknown, mistyped or out-of-range parameters.

    Attributes:
        valid: what may stand there; empty: nothing is to be said of that.
    """

    def __init__(self, subject: str, problems: Iterable[str], valid: Iterable[str]) -> None:
        self.problems, self.valid = tuple(problems), tuple(valid)
        known = f" Valid parameters: {', '.join(self.valid)}." if self.valid else ""
        super().__init__(f"{subject}: {'; '.join(self.problems)}.{known}")


class BlockNotFound(InputError):
    """A saved block's name that nothing answers to."""

    def __init__(self, name: str, why: str, known: Iterable[str]) -> None:
        known = list(known)
        names = ", ".join(sorted(known))
        saved = f" Saved blocks: {names}." if names else ""
        hint = did_you_mean(name, known)
        super().__init__(f"the block {name!r} cannot be used: {why}{hint}.{saved}")


class UnknownSite(InputError):
    """No machine of this name is known."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.known = list(known)
        super().__init__(
            f"no site {name!r} is known{did_you_mean(name, self.known)}; known: "
            f"{', '.join(self.known)}. Any other is described by an HPC profile: docs/machines.md."
        )


class PluginFailed(InputError):
    """A plug-in that cannot be imported.

    Attributes:
        group, name: the entry point.
        distribution: whose it is.
    """

    def __init__(self, group: str, name: str, distribution: str, why: str) -> None:
        self.group, self.name, self.distribution, self.why = group, name, distribution, why
        super().__init__(
            f"the plug-in {name!r} of distribution {distribution} failed to load ({group}): {why}"
        )


class UnknownRule(InputError):
    """A run stops by a rule that nothing here knows."""

    def __init__(self, run_id: str, rule: str, whose: str, why: str) -> None:
        self.rule = rule
        super().__init__(
            f"run {run_id!r} stops by the rule {rule!r}, which cannot be read here: it was written "
            f"by {whose}, and neither the algorithm's file nor what that imports defines it ({why})"
        )


class InvalidRunId(InputError):
    """A run id that cannot be a folder's name and an artifact's key."""

    def __init__(self, run_id: object) -> None:
        super().__init__(
            f"{run_id!r:.120} cannot be a run id: use 1 to 100 lower-case letters, digits and dashes, "
            "not starting with a dash, such as 'h2o-seed-7'."
        )


class RunNotFound(InputError):
    """No such run in this store."""

    def __init__(self, run_id: str, store: str, known: Iterable[str]) -> None:
        self.run_id = run_id
        names = sorted(known)
        shown = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
        super().__init__(
            f"there is no run {run_id!r} in {store}{did_you_mean(run_id, names)}. Runs there: "
            f"{shown or 'none'}. "
            "Name another store with --store DIR or QCSC_LOOP_STORE."
        )


class RunRenamed(InputError):
    """A run's folder has another name than the run: it was renamed, or is a copy."""

    def __init__(self, run_id: str, folder: str, place: str) -> None:
        self.run_id, self.folder = run_id, folder
        super().__init__(
            f"the folder {place}/{folder} holds run {run_id!r}: it was renamed, or copied. It can be "
            f"shown, and not driven: its jobs are known by the name of {run_id!r}, and two copies "
            f"would pay for the same ones. To go on with it, give it its name back, where no other "
            f"folder has it: mv {place}/{folder} {place}/{run_id}"
        )


class AlgorithmNotNamed(InputError):
    """A run's records name code that nobody here can vouch for: a person has to name it."""

    def __init__(self, run_id: str, found: str, why: str, algorithm: str) -> None:
        self.run_id, self.algorithm = run_id, algorithm
        super().__init__(
            f"{found}. {why}: if you know it for yours, name its code: "
            f"qcsc-loop resume {run_id} --algorithm {algorithm}"
        )


class SeveralRuns(InputError):
    """An API has more than one run of that id, and this disk has none."""

    def __init__(self, run_id: str, found: Iterable[str]) -> None:
        self.run_id = run_id
        super().__init__(
            f"there are several runs {run_id!r} on the Prefect server, and none on this disk. "
            f"Name one: {'; '.join(found)}."
        )


class KeyNotPrivate(InputError):
    """The key that artifacts are signed with is not this person's alone."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(
            f"{path} is no key to sign with: {why}. Remove it, and a new one is made; "
            "or name another with QCSC_LOOP_KEY_FILE."
        )


class StoreNotPrivate(InputError):
    """A store that others can write to, or that is somebody else's."""

    def __init__(self, path: str, why: str, cure: str) -> None:
        self.path = path
        mend = f"mend it ({cure}), or name" if cure else "name"
        super().__init__(
            f"{path} cannot be trusted with a run: {why}, and what is there says what runs as you. "
            f"To go on, {mend} a store of your own with --store DIR. If it is your group's: "
            "QCSC_LOOP_SHARED_STORE=1, and no code is taken from what others wrote."
        )


class ParametersChanged(InputError):
    """The run exists, and was started with parameters that give other results.

    Attributes:
        differences: parameter name to (value of the run, value given now).
    """

    def __init__(self, run_id: str, differences: Mapping[str, tuple[object, object]]) -> None:
        self.run_id, self.differences = run_id, dict(differences)
        listed = "; ".join(
            f"{name}: {was} -> {now}" for name, (was, now) in self.differences.items()
        )
        super().__init__(
            f"run {run_id!r} was started with other settings ({listed}), which would change its "
            f"results. To go on as it was: qcsc-loop resume {run_id}; to start anew: another --run-id."
        )


class RunLocked(QcscLoopError):
    """Another driver holds the run.

    Attributes:
        host, pid, since: who holds it.
        free_in: seconds until its lease runs out if it shows no further sign of life.
        lives: its process certainly does, on this machine: its lease does not run out.
    """

    exit_code = 3
    transient = True

    def __init__(
        self,
        run_id: str,
        host: str,
        pid: int,
        since: datetime,
        free_in: float,
        *,
        lives: bool = False,
    ) -> None:
        self.run_id, self.host, self.pid = run_id, host, pid
        self.since, self.free_in, self.lives = since, free_in, lives
        free = (
            "It lives: end it, or take the run over from it"
            if lives
            else f"If it is dead, the run is free in {max(free_in, 0):.0f} s"
        )
        super().__init__(
            f"run {run_id!r} is being driven by process {pid} on {host} since "
            f"{since.astimezone():%Y-%m-%d %H:%M:%S}; stop that one first. {free}: "
            f"qcsc-loop resume {run_id}{' --take-over' if lives else ''}"
        )


class RunIsDriven(InputError):
    """A driver holds the run, which what was asked for does not go together with."""

    exit_code = 3

    def __init__(self, run_id: str, host: str, pid: int, way: str) -> None:
        self.run_id, self.host, self.pid = run_id, host, pid
        super().__init__(
            f"run {run_id!r} is being driven by process {pid} on {host}; end that one first, or {way}"
        )


class RunExists(InputError):
    """A store has a run of that id already."""

    def __init__(self, run_id: str, store: str) -> None:
        self.run_id = run_id
        super().__init__(
            f"there is a run {run_id!r} in {store} already, and it stays. Take another id: --run-id NEW"
        )


class BadArchive(InputError):
    """A file is no archive of a run, or not all of it is good."""

    def __init__(self, file: str, why: str) -> None:
        super().__init__(
            f"{file} cannot be imported: {why}. Nothing was changed; export the run once more with: "
            "qcsc-loop export RUN -o FILE.tar.gz"
        )


class FileNotWritten(InputError):
    """A file cannot be written where a person wants it; no run has to do with that."""

    def __init__(self, file: str, why: str, option: str = "") -> None:
        with_it = f", with {option} FILE" if option else ""
        super().__init__(
            f"{file} cannot be written: {why}; name another file, in a folder that is there{with_it}"
        )


class FileNotRead(InputError):
    """A file that a person names cannot be read; nothing was changed."""

    def __init__(self, file: str, why: str) -> None:
        super().__init__(f"{file} cannot be read: {why}; nothing was changed")


class LeaseLost(QcscLoopError):
    """Another driver has taken the run over; this one may not write any more."""

    exit_code = 3

    def __init__(self, run_id: str, epoch: int, newest: int) -> None:
        super().__init__(
            f"superseded: this driver (epoch {epoch}) lost run {run_id!r} to a newer one (epoch "
            f"{newest}), which goes on with all that was finished here."
        )


class RunCancelled(QcscLoopError):
    """Somebody wanted the driver to end: it has done so in order.

    Attributes:
        by: who that was, `user on host`.
    """

    exit_code = 130  # as shells report Ctrl-C

    def __init__(self, run_id: str, by: str) -> None:
        self.run_id, self.by = run_id, by
        super().__init__(
            f"run {run_id!r} was cancelled by {by}; what was finished is kept. To go on: qcsc-loop "
            f"resume {run_id}"
        )

    @property
    def fact(self) -> str:
        return f"by {self.by}"


class DriverSilent(QcscLoopError):
    """A driver that was asked to end has not done so for as long as it was waited for."""

    def __init__(self, run_id: str, host: str, pid: int, seconds: float, *, lives: bool) -> None:
        self.run_id, self.host, self.pid = run_id, host, pid
        here = f"It is on this machine: kill {pid} ends it, too. " if lives else ""
        super().__init__(
            f"process {pid} on {host} drives run {run_id!r}, and has not ended {seconds:.0f} s after "
            f"it was asked to; it still may. {here}To take the run from it, and end its jobs: "
            f"qcsc-loop cancel {run_id} --force"
        )


class SweepNotFound(InputError):
    """No such sweep in this store."""

    def __init__(self, name: str, store: str, known: Iterable[str]) -> None:
        self.name = name
        names = sorted(known)
        super().__init__(
            f"there is no sweep {name!r} in {store}{did_you_mean(name, names)}. Sweeps there: "
            f"{', '.join(names[:10]) or 'none'}. Begin one with: qcsc-loop sweep FILE.toml"
        )


class SweepChanged(InputError):
    """There is a sweep of that name, and what it runs is not what is asked for now.

    Attributes:
        changes: what is otherwise, a phrase each.
    """

    def __init__(self, name: str, changes: Sequence[str]) -> None:
        self.name, self.changes = name, tuple(changes)
        more = f" and {len(changes) - 5} more" if len(changes) > 5 else ""
        super().__init__(
            f"the sweep {name!r} has begun as another one ({'; '.join(self.changes[:5])}{more}). To go "
            f"on with it as it was: qcsc-loop sweep {name}; to begin anew: --name NEW"
        )


class SweepLocked(QcscLoopError):
    """Another process drives the sweep."""

    exit_code = 3

    def __init__(self, name: str, held: RunLocked) -> None:
        self.name, self.host, self.pid = name, held.host, held.pid
        free = (
            f"It lives: end it, or take the sweep over from it: qcsc-loop sweep {name} --take-over"
            if held.lives
            else f"If it is dead, the sweep is free in {max(held.free_in, 0):.0f} s"
        )
        super().__init__(
            f"the sweep {name!r} is being driven by process {held.pid} on {held.host} since "
            f"{held.since.astimezone():%Y-%m-%d %H:%M:%S}. {free}. To look on: "
            f"qcsc-loop sweep show {name}"
        )


class SweepLost(QcscLoopError):
    """Another process has taken the sweep over; this one decides nothing any more."""

    exit_code = 3

    def __init__(self, name: str) -> None:
        super().__init__(
            f"superseded: another process has taken over the sweep {name!r}, and goes on with all "
            f"that was finished here. To look on: qcsc-loop sweep show {name}"
        )


class HookError(QcscLoopError):
    """The algorithm's own code went wrong."""


class HookFailed(HookError):
    """A hook raised; the cause is `__cause__`.

    Attributes:
        where: the line of the algorithm's own code, `file.py:12`; empty: it is not in the traceback.
        told: what was raised, in a person's words.
    """

    def __init__(
        self,
        algorithm: str,
        hook: str,
        iteration: int,
        run_id: str,
        where: str,
        cause: BaseException,
        rule: str = "",
    ) -> None:
        self.hook, self.iteration, self.run_id = hook, iteration, run_id
        self.where, self._cause = where, cause
        text = _several(cause) or message_of(cause)
        self.told = f"{text}. {rule}" if rule else text
        happened = (
            f"{algorithm}.{hook} raised {type(cause).__name__} in iteration {iteration}"
            f"{f' at {where}' if where else ''}: {self.told}"
        )
        self._happened = printable(" ".join(happened.split()))
        super().__init__(
            f"{happened}. Finished steps are kept; the traceback: "
            f"qcsc-loop show {run_id}; after the fix: qcsc-loop resume {run_id}"
        )

    @property
    def fact(self) -> str:
        cause = self._cause
        what = cause.fact if isinstance(cause, QcscLoopError) else type(cause).__name__
        return f"{what} at {self.where}" if self.where else what

    @property
    def happened(self) -> str:
        return self._happened


def _kept(run_id: str) -> str:
    return f"Finished steps are kept; after the fix: qcsc-loop resume {run_id}"


class CheckFailed(QcscLoopError):
    """An algorithm does not keep the contract that its runs are resumed by.

    Attributes:
        findings: a sentence for each way in which it does not.
    """

    def __init__(self, algorithm: str, findings: Sequence[str]) -> None:
        self.findings = list(findings)
        super().__init__(
            f"{algorithm} does not give the same bits in every life of its run: "
            f"{'; '.join(self.findings)}"
        )


class ResultsNotMade(HookError):
    """An algorithm's `tables` raised; the cause is `__cause__`."""

    def __init__(self, algorithm: str, cause: BaseException) -> None:
        super().__init__(
            f"the results cannot be shown: {algorithm}.tables raised {type(cause).__name__}: "
            f"{_several(cause) or message_of(cause)}. The states are kept; after the "
            "fix: qcsc-loop show RUN --tables"
        )


def _several(error: BaseException) -> str:
    """What the errors of a task group say, of which the group says only how many; else nothing."""
    if not isinstance(error, BaseExceptionGroup):
        return ""
    return "; ".join(f"{type(each).__name__}: {each}" for each in leaves(error))


def message_of(error: BaseException) -> str:
    """What an error says; of pydantic's, which tell a field a line, what is wrong in one."""
    if is_pydantics(error):
        title = str(getattr(error, "title", ""))
        problems: list[Mapping[str, object]] = getattr(error, "errors", list)()
        return "; ".join(_of_field(title, problem) for problem in problems)
    return str(error).strip() or "no message"


def is_pydantics(error: BaseException | None) -> bool:
    """Whether pydantic says what is wrong: over several lines, with a link to its own pages."""
    kind = type(error)
    return kind.__name__ == "ValidationError" and kind.__module__.startswith("pydantic")


def _of_field(title: str, problem: Mapping[str, object]) -> str:
    place = problem.get("loc")
    path = [title, *map(str, place if isinstance(place, tuple) else ())]
    given = repr(problem.get("input"))
    shown = given if len(given) <= LONGEST_VALUE else f"{given[:LONGEST_VALUE]}…"
    return f"{'.'.join(path)}: {problem.get('msg')} (given: {shown})"


def leaves(error: BaseException) -> list[BaseException]:
    """The errors that a task group has gathered, also through groups of groups; else the error."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for each in error.exceptions for leaf in leaves(each)]


class WrongHookType(HookError):
    """A hook returned something else than its class declares."""

    def __init__(
        self,
        algorithm: str,
        hook: str,
        declared: str,
        got: str,
        detail: str,
        where: str = "",
        *,
        run_id: str,
    ) -> None:
        self._fact = f"{hook} returned {got}"
        self._happened = (
            f"{algorithm}.{hook} must return {declared}, but returned {got}"
            f"{f' ({detail})' if detail else ''}{f', at {where}' if where else ''}"
        )
        super().__init__(f"{self._happened}. {_kept(run_id)}")

    @property
    def fact(self) -> str:
        return self._fact

    @property
    def happened(self) -> str:
        return self._happened


_READ_ONLY = (
    "which it was given to read: called again, after a crash or an error, it would be given "
    "something else; let it build and return a new value"
)
_NOT_RESUMED = (
    "which a resumed run would not have: what lasts goes into the state that update returns, what "
    "follows from the parameters alone is a functools.cached_property"
)


class ImpureHook(HookError):
    """A hook changed an argument, a parameter or itself, which a resumed run would not have changed.

    Attributes:
        changed: what, by dotted name: `state.items`, `self._calls`.
    """

    def __init__(
        self,
        algorithm: str,
        hook: str,
        iteration: int,
        changed: str,
        where: str = "",
        *,
        run_id: str,
    ) -> None:
        self.changed, self._fact = changed, f"{hook} changed {changed}"
        why = _NOT_RESUMED if changed.startswith("self.") else _READ_ONLY
        self._happened = (
            f"{algorithm}.{hook}{f' ({where})' if where else ''} changed {changed} in iteration "
            f"{iteration}, {why} (QCSC_LOOP_CHECK_HOOKS=false: nobody looks)"
        )
        super().__init__(f"{self._happened}. {_kept(run_id)}")

    @property
    def fact(self) -> str:
        return self._fact

    @property
    def happened(self) -> str:
        return self._happened


class EncodingError(QcscLoopError):
    """A value that cannot be stored and read back exactly."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what} cannot be stored: {why}")


class StoreError(QcscLoopError):
    """The store could not read or write."""

    transient = True
    _what_next = (
        "What was committed before is safe; mend the store (space, permissions, mount) and resume "
        "the run."
    )

    def __init__(self, action: str, place: str, why: str) -> None:
        self.action, self.place, self.why = action, place, why
        super().__init__(f"could not {action} {place}: {why}. {self._what_next}")


class RunNotBegun(StoreError):
    """A new run's first record could not be written."""

    transient = False
    _what_next = (
        "Nothing has begun; mend the store (space, permissions, mount), or name another folder with "
        "--store DIR or QCSC_LOOP_STORE."
    )


class DamagedDocument(StoreError):
    """A stored document that does not verify against its own hash."""

    transient = False

    def __init__(self, name: str, why: str) -> None:
        self.name, self.why = name, why
        QcscLoopError.__init__(self, f"{name} is damaged: {why}")


class NewerDocument(StoreError):
    """A stored document of a version that knows more than this one.

    Attributes:
        written_by: that version.
    """

    transient = False

    def __init__(self, name: str, written_by: str, ours: str, why: str) -> None:
        self.name, self.written_by, self.why = name, written_by, why
        QcscLoopError.__init__(
            self,
            f"{name} was written by qcsc-loop {written_by}, and this is {ours}, which cannot read "
            f"it ({why}). It is not damaged: pip install 'qcsc-loop>={written_by}'",
        )


class NewerFormat(NewerDocument):
    """A stored document of a format that this version does not know: whole, and not for it.

    Attributes:
        format, newest: its number, and the newest that can be read.
    """

    def __init__(self, name: str, format: int, newest: int) -> None:
        self.name, self.format, self.newest = name, format, newest
        QcscLoopError.__init__(
            self,
            f"{name} was written by a newer version of qcsc-loop (format {format}; this one reads "
            f"up to {newest}). Nothing is lost: update qcsc-loop, or go on with the one that wrote it.",
        )


class NoGoodCheckpoint(StoreError):
    """A run that has committed iterations, of which no checkpoint verifies."""

    transient = False

    def __init__(self, run_id: str, found: Iterable[str]) -> None:
        QcscLoopError.__init__(
            self,
            f"run {run_id!r} has no checkpoint that verifies ({'; '.join(found) or 'none is left'}). "
            "Restore its folder from a backup, or start anew under another --run-id.",
        )


class SamplingFailed(QcscLoopError):
    """A quantum source gave no samples."""

    def __init__(self, source: str, why: str) -> None:
        super().__init__(f"{source} gave no samples: {why}")


class WorkerDied(QcscLoopError):
    """A process of this driver's own ended in the middle of its work.

    Attributes:
        exit_code_of_worker: negative: the signal that ended it.
    """

    def __init__(self, work: str, exit_code: int) -> None:
        self.exit_code_of_worker = exit_code
        ended = f"was ended by signal {-exit_code}" if exit_code < 0 else f"exited {exit_code}"
        memory = " (the kernel's way when memory runs out)" if exit_code == -9 else ""
        super().__init__(f"the process that did {work} {ended}{memory} before it was done")


class JobRefused(InputError):
    """A job that its machine cannot run as asked for; nothing was submitted.

    Attributes:
        field: the setting to change.
    """

    def __init__(self, machine: str, field: str, why: str) -> None:
        self.field = field
        super().__init__(f"{machine} cannot run this job: {field}: {why}. Nothing was submitted.")


class BadFunction(InputError):
    """A function that ranks cannot find, or whose arguments cannot be sent."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(
            f"ranks cannot call {name}: {why}. Define it at the top of a module, with annotations "
            "for its parameters and its result. Nothing was submitted."
        )


class NothingMeasured(InputError):
    """A circuit of which no bit would be read."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"the circuit cannot be sampled: {why}. Add measurements, as by circuit.measure_all() or "
            "circuit.measure(qubits, clbits). Nothing was submitted."
        )


class WrongEventLoop(InputError):
    """A run is to be driven in another event loop than asyncio's."""

    def __init__(self) -> None:
        super().__init__(
            "runs are driven in asyncio's event loop, and this is another one (trio's, perhaps): "
            "anyio.run(algorithm.run), without backend=, takes asyncio's. Nothing was started."
        )


class JobError(QcscLoopError):
    """A job on a machine or a quantum computer went wrong."""


class JobFailed(JobError):
    """A job ended otherwise than well.

    Attributes:
        state: one of the final ones of `JobState`, but COMPLETED.
        job_id, site: where to ask for more.
        exit_code_of_job: None if it never ended by itself.
        tail: the end of its output.
    """

    def __init__(
        self,
        *,
        job: str,
        state: str,
        job_id: str,
        site: str,
        exit_code: int | None,
        reason: str,
        tail: str,
        folder: str,
    ) -> None:
        self.state, self.job_id, self.site = state, job_id, site
        self.exit_code_of_job, self.tail = exit_code, tail
        self.transient = state in ("NODE_FAIL", "PREEMPTED")  # not the program's fault
        self._fact = f"{site} job {job_id} {state}" if job_id else f"job {state}"
        where = f" ({site} job {job_id})" if job_id else f" ({site})"
        code = f" with exit code {exit_code}" if exit_code else ""
        last = " | ".join(line for line in tail.splitlines()[-5:] if line.strip())
        said = f"its output ends: {last}; all of it: {folder}" if last else f"its files: {folder}"
        super().__init__(
            f"{job}{where} ended {state}{code}{f': {reason}' if reason else ''}; {said}"
        )

    @property
    def fact(self) -> str:
        return self._fact


class ResultUnreadable(JobError):
    """A job ended well, and its result cannot be read here: the job is kept.

    Attributes:
        job_id, site: where to ask for more.
    """

    transient = True  # reading again costs nothing

    def __init__(
        self, *, job: str, job_id: str, site: str, why: str, folder: str, run_id: str
    ) -> None:
        self.job_id, self.site, self.why = job_id, site, why
        super().__init__(
            f"{job} ({site} job {job_id}) ended well, but its result cannot be read: {why}; its "
            f"files: {folder}. The job is kept: once that is mended, qcsc-loop resume {run_id} reads "
            f"it again; to give it up and have the work done anew: qcsc-loop reap {run_id} --unread"
        )


class JobElsewhere(JobError):
    """A job works in a folder that is not to be seen here: a driver on another disk submitted it.

    Attributes:
        job_id, site, folder: where it is.
    """

    def __init__(self, key: str, job_id: str, site: str, folder: str, run_id: str) -> None:
        self.job_id, self.site, self.folder = job_id, site, folder
        super().__init__(
            f"{key} is the work of {site} job {job_id} in {folder}, which is not to be seen here, or "
            "is somebody else's: the job is left alone. Resume the run where that folder is, or mount "
            "it; if it is lost, "
            f"qcsc-loop reap {run_id} ends the job, and a resume has its work done anew"
        )


class JobRejected(JobError):
    """A scheduler does not take a job, now or later."""

    def __init__(self, site: str, reason: str) -> None:
        self.reason = " ".join(reason.split())
        super().__init__(f"{site} does not take the job: {self.reason}")


class JobNotTaken(JobError):
    """A scheduler has not taken a job yet: a limit on jobs, a maintenance, a full disk of its own.

    Attributes:
        waited: seconds for which it was offered again.
    """

    transient = True

    def __init__(self, site: str, reason: str, waited: float = 0.0) -> None:
        self.reason, self.waited = " ".join(reason.split()), waited
        waiting = f" in {waited:g} s (not_now_seconds of its profile)" if waited else " yet"
        super().__init__(
            f"{site} has not taken the job{waiting}: {self.reason}; nothing was submitted, and "
            "a resume offers it again"
        )


class JobInputChanged(JobError):
    """The step has a job of this name already, for other input."""

    def __init__(self, key: str, job_id: str | None, run_id: str) -> None:
        super().__init__(
            f"{key} was submitted before (job {job_id or 'not known'}) with another command or other "
            "input files. If one step has several jobs, give each a name of its own; if the program "
            f"was changed, end the old job first: qcsc-loop reap {run_id}"
        )


class SubmissionUnclear(JobError):
    """Whether a job was accepted is not known."""

    transient = True

    def __init__(self, site: str, why: str) -> None:
        super().__init__(f"{site} did not say whether it took the job: {why}")


class SiteUnreachable(JobError):
    """A scheduler or service does not answer, or says nothing that can be understood."""

    transient = True

    def __init__(self, site: str, why: str) -> None:
        super().__init__(f"{site} does not answer: {why}")


class CredentialsRefused(JobError):
    """A service does not let us in. What was submitted stays, and a resume finds it."""

    def __init__(self, site: str, why: str) -> None:
        super().__init__(f"{site} does not let us in: {why}")


class PrefectUnreachable(QcscLoopError):
    """No Prefect API answers."""

    exit_code = 2
    transient = True

    def __init__(self, url: str, why: str) -> None:
        super().__init__(
            f"the Prefect API at {url} does not answer ({why}). Start it (prefect server start), "
            "correct PREFECT_API_URL or unset it for a temporary server, or run with --no-prefect."
        )


class PrefectHomeNotWritable(QcscLoopError):
    """The folder in which Prefect keeps its settings and database cannot be written."""

    exit_code = 2

    def __init__(self, home: str, why: str) -> None:
        super().__init__(
            f"Prefect can keep nothing in {home}: {why}. Name a folder that you can write to with "
            "PREFECT_HOME, or run with --no-prefect."
        )


class PrefectRefused(QcscLoopError):
    """The Prefect API asks for a password or a key, and has another one."""

    exit_code = 2

    def __init__(self, url: str) -> None:
        super().__init__(
            f"the Prefect API at {url} does not let us in. Set PREFECT_API_AUTH_STRING to the "
            "user:password that its server was started with (for Prefect Cloud PREFECT_API_KEY), "
            "or run with --no-prefect."
        )


class ServerNotStarted(QcscLoopError):
    """A person's own Prefect server cannot be started or ended."""

    exit_code = 2

    def __init__(self, folder: str, why: str, cure: str) -> None:
        super().__init__(f"the Prefect server in {folder}: {why}. To go on: {cure}.")


class ServerNotOurs(QcscLoopError):
    """What a person's own Prefect server keeps is not theirs alone."""

    exit_code = 2

    def __init__(self, path: str, why: str) -> None:
        super().__init__(
            f"{path} of your Prefect server is not yours alone: {why}. Whoever has it is let in: put "
            "it right, or name another folder with QCSC_LOOP_SERVER."
        )
