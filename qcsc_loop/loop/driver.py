"""The loop: sample, evaluate, update, commit; from the start or from the last good checkpoint."""

from __future__ import annotations

import traceback
from functools import partial
from typing import Generic, Unpack

from anyio import to_thread

from qcsc_loop.concurrency.lasting_import import import_libraries_of
from qcsc_loop.concurrency.uncancelled import require_asyncio, run_uncancelled
from qcsc_loop.errors import (
    HookError,
    HookFailed,
    LeaseLost,
    QcscLoopError,
    RunCancelled,
    StoreError,
    is_pydantics,
)
from qcsc_loop.events import Event, Trouble, tell
from qcsc_loop.exactly_once.measuring import measuring
from qcsc_loop.exactly_once.serving import ends_what_serves
from qcsc_loop.jobs.ledger import Ledger
from qcsc_loop.loop.cancelling import ends_when_ordered
from qcsc_loop.loop.charts import Charts
from qcsc_loop.loop.events import ChartRead, RunStarted, RunStopped
from qcsc_loop.loop.hook_caller import HookCaller
from qcsc_loop.loop.hooks import HOOKS, E, Hooks, HookTypes, M, S, hook_types
from qcsc_loop.loop.iteration import Iteration, Point, prune
from qcsc_loop.loop.live import shown_live
from qcsc_loop.loop.opening import Opened, open_run
from qcsc_loop.loop.options import RunOptions
from qcsc_loop.loop.outcome import Outcome
from qcsc_loop.loop.purity import Purity
from qcsc_loop.loop.stopping import Stopping
from qcsc_loop.loop.warnings import log_warnings
from qcsc_loop.parameters.saved_blocks import resolve_blocks
from qcsc_loop.rules.going_on import advice_on, resume_command
from qcsc_loop.rules.reason import Reason
from qcsc_loop.rules.stop import Stop
from qcsc_loop.steps.run_cache import CompiledCircuits
from qcsc_loop.steps.step import loop_running
from qcsc_loop.store.directory import behind_commands
from qcsc_loop.store.live import SideFiles
from qcsc_loop.store.records import CancelOrder, EndRecord
from qcsc_loop.store.recovery import last_good
from qcsc_loop.values.kept import Kept


async def run_loop(algorithm: Hooks[S, M, E], **options: Unpack[RunOptions]) -> Outcome[S]:
    """Drives a run to a stop rule: a new one, or an existing one from its last good checkpoint.

    Raises:
        InputError: the run cannot be as asked for; nothing was started.
        RunLocked: another driver holds the run.
        LeaseLost: another driver took the run over meanwhile.
        RunCancelled: somebody wanted the run to end, from wherever.
        HookError: a hook raised or returned a wrong type. Finished steps are kept.
        StoreError: the store failed; what was committed before is safe.
    """
    require_asyncio()
    types = hook_types(type(algorithm))
    ready = await resolve_blocks(algorithm)
    import_libraries_of([type(ready), *(type(value) for _, value in ready)])
    opened = await run_uncancelled(
        partial(open_run, ready, algorithm, options), undo=Opened.give_back
    )
    with loop_running(), shown_live(opened.journal, opened.lease.epoch) as live:
        for event in options.get("told_before", ()):
            live(event)
        ours = log_warnings(opened.record.run_id), live
        options["observers"] = [*ours, *options.get("observers", ())]
        return await Run(ready, types, opened, options).drive()


class Run(Generic[S, M, E]):
    """A run on its way through one driver, from its claim to its end."""

    def __init__(
        self,
        algorithm: Hooks[S, M, E],
        types: HookTypes[S, M, E],
        opened: Opened,
        options: RunOptions,
    ) -> None:
        self._algorithm, self._types, self._opened = algorithm, types, opened
        self._around, self._ended_by = options.get("around"), options.get("ended_by")
        self._observers = tuple(options.get("observers", ()))
        self._ledger = Ledger(
            run_id=opened.record.run_id,
            run_uid=opened.record.uid,
            store=opened.journal.store,
            epoch=opened.lease.epoch,
            check=opened.lease.check,
            observe=self._tell,
            leave_jobs=options.get("leave_jobs", _cancel_them),
        )
        self._hooks = HookCaller(
            algorithm=type(algorithm),
            journal=opened.journal,
            ledger=self._ledger,
            compiled=CompiledCircuits(),
            run_seed=opened.record.seed,
            retry=opened.settings.retry,
            purity=Purity(algorithm, run_id=opened.record.run_id, check=opened.check_hooks),
            around=self._around,
            tell=self._tell,
        )
        self._charts = Charts(self._tell)
        self._stopping = Stopping(opened.rule, self._ledger, options.get("hand_over_at"))
        self._recorded_through = 0  # the newest iteration that an earlier driver has steps of

    async def drive(self) -> Outcome[S]:
        """Goes on until a rule says stop; whatever else happens is recorded and raised."""
        end: EndRecord | None = None
        try:
            async with (
                ends_when_ordered(self._opened.lease, self._obey),
                ends_what_serves(self._ledger, HOOKS),
                measuring(self._ledger),
            ):
                resumed_from, at = await self._begin()
                while (stop := self._stopping.check()) is None:
                    k = at.commit.iteration + 1
                    call = partial(self._iteration(k).go_on, at)
                    at = await (
                        call() if self._around is None else self._around("iteration", k, call)
                    )
                if stop.reason is Reason.HANDED_OVER:
                    self._ledger.leave_jobs = _leave_them
            end = self._end(stop.reason, stop.because)
            return self._outcome(at, stop, resumed_from)
        except LeaseLost:
            raise
        except Exception as error:
            self._opened.lease.refuse_if_lost(error)
            end = self._end_after(error)
            raise
        except BaseException as error:
            end = self._end_after(error)
            raise
        finally:
            self._give_back(end)

    async def _begin(self) -> tuple[int | None, Point[S]]:
        journal, lease = self._opened.journal, self._opened.lease
        wanted = self._stopping.lookback
        found = await to_thread.run_sync(last_good, journal, self._types.state, wanted)
        resumed_from = None if found is None else found.commit.iteration
        first = 0 if resumed_from is None else resumed_from + 1
        await to_thread.run_sync(self._ledger.load, first)
        self._recorded_through = await to_thread.run_sync(journal.newest_step)
        record, holder = self._opened.record, lease.record
        self._tell(RunStarted(record, holder, resumed_from, lease.beat, self._tell))
        for trouble in (self._opened.assumed, self._opened.code_changed):
            if trouble:
                self._tell(Trouble(trouble))
        if found is None:
            return None, await self._iteration(0).initialize()
        if found.loss:
            self._tell(Trouble(found.loss))
        await to_thread.run_sync(lease.settle, found.commit)
        self._stopping.add(found.recent)
        kept = await to_thread.run_sync(Kept[S].of, self._types.state, found.state)
        await to_thread.run_sync(prune, lease, found.commit, kept.document)
        if SideFiles(journal.store, journal.run_id).chart() is None:
            # the driver was killed in the second before it wrote; this one may commit nothing
            self._tell(ChartRead(self._charts.read(kept.fresh(), found.commit.scalars)))
        return resumed_from, Point(kept, found.commit)

    def _obey(self, order: CancelOrder) -> None:
        """What is to become of jobs, whatever else may cancel this driver."""
        self._ledger.leave_jobs = _leave_them if order.leave_jobs else _cancel_them

    def _iteration(self, number: int) -> Iteration[S, M, E]:
        return Iteration(
            number=number,
            algorithm=self._algorithm,
            types=self._types,
            hooks=self._hooks,
            charts=self._charts,
            lease=self._opened.lease,
            recorded=number <= self._recorded_through,
            tell=self._tell,
            count=self._stopping.add,
        )

    def _outcome(self, at: Point[S], stop: Stop, resumed_from: int | None) -> Outcome[S]:
        return Outcome(
            run_id=self._opened.record.run_id,
            state=at.state.fresh(),
            iteration=at.commit.iteration,
            reason=stop.reason,
            because=stop.because,
            resumed_from=resumed_from,
            state_sha256=at.commit.state_sha256,
            scalars=at.commit.scalars,
            usage=self._stopping.spent,
            seconds=self._stopping.seconds,
            advice=self._advice(stop.reason),
        )

    def _advice(self, reason: Reason) -> str:
        run_id, rule = self._opened.record.run_id, self._opened.settings.stop
        more = behind_commands(self._opened.journal.store)
        command = resume_command(run_id, reason, rule, self._stopping.spent)
        return advice_on(run_id, reason, "" if more is None else command, more or "")

    def _end(self, reason: Reason, because: str, error: str = "", trace: str = "") -> EndRecord:
        return EndRecord(
            epoch=self._opened.lease.epoch,
            reason=reason,
            because=because,
            iteration=self._stopping.iteration,
            error=error,
            traceback=trace,
        )

    def _end_after(self, error: BaseException) -> EndRecord:
        if not isinstance(error, Exception):  # cancelled, Ctrl-C, exit
            told = self._ended_by() if self._ended_by is not None else ""
            return self._end(Reason.INTERRUPTED, told or _words_of(error))
        if isinstance(error, RunCancelled):
            return self._end(Reason.CANCELLED, error.fact)
        # our own refusals explain themselves; a traceback is for the user's code
        own = isinstance(error, QcscLoopError) and not isinstance(error, HookError)
        trace = "" if own else _trace_of(error)
        if isinstance(error, QcscLoopError):
            return self._end(Reason.FAILED, error.fact, error.happened, trace)
        return self._end(Reason.FAILED, type(error).__name__, str(error), trace)

    def _give_back(self, end: EndRecord | None) -> None:
        """Frees the run; without an await, so that a second Ctrl-C cannot come between."""
        try:
            self._opened.lease.release(end)
        except StoreError as error:  # must not take the place of what ended the run
            self._tell(Trouble(f"how the run ended could not be written: {error}"))
        if end is not None:
            advice = self._advice(end.reason)
            self._tell(RunStopped(self._opened.record.run_id, end, advice))

    def _tell(self, event: Event) -> None:
        tell(self._observers, event)


def _trace_of(error: Exception) -> str:
    """The traceback; what pydantic says in it, in the words that it is told with."""
    trace = "".join(traceback.format_exception(error))
    if isinstance(error, HookFailed) and is_pydantics(error.__cause__):
        return trace.replace(str(error.__cause__), error.told)
    return trace


def _words_of(error: BaseException) -> str:
    """What ended a driver that nobody knows more of."""
    match error:
        case KeyboardInterrupt():
            return "Ctrl-C"
        case SystemExit():
            return "its process was told to exit"
        case _:
            return "cancelled"


def _cancel_them() -> bool:
    return False


def _leave_them() -> bool:
    return True
