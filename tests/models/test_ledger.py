"""Drivers that die, services that answer late or not at all, in any order: one effective job."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from loop.exactly_once.toy_site import (
    COMPLETED,
    RUN,
    Call,
    DriverDied,
    Drivers,
    Fate,
    Service,
    Submission,
    doubling,
    hurry,
)
from qcsc_loop.errors import JobFailed, LeaseLost, QcscLoopError
from qcsc_loop.jobs.ledger import LOG, Ledger
from qcsc_loop.jobs.outcome import JobOutcome, JobState

pytestmark = pytest.mark.guarantee("G10")

ANSWERS: list[Submission] = ["taken", "taken in silence", "taken late", "not taken", "not now"]
CALLS: list[Call] = ["submit", "find", "outcome", "cancel", "fetch"]
BAD = [state for state in JobState if state.final and state is not JobState.COMPLETED]
SETTLED = 30.0  # looks, by a clock that goes on with each: no job lands later, but where it is said
NEVER = 10**9


class OneEffectiveJob(RuleBasedStateMachine):
    """One job of one step, and whatever happens to its drivers and its service."""

    def __init__(self) -> None:
        super().__init__()
        self._patch, self._folder = pytest.MonkeyPatch(), tempfile.TemporaryDirectory()
        hurry(self._patch)
        self._drivers = Drivers(Path(self._folder.name, "store"))
        self._stale: list[Ledger] = []
        self._bad_ends = 0
        self._twins = False  # whether two jobs of one key may have been accepted

    @initialize(keeps=st.booleans(), looks_first=st.booleans())
    def service_is_up(self, keeps: bool, looks_first: bool) -> None:
        self._service = Service(
            settle_seconds=SETTLED, keeps_results=keeps, looks_first=looks_first
        )

    @rule(answers=st.lists(st.sampled_from(ANSWERS), max_size=3))
    def submissions_become(self, answers: list[Submission]) -> None:
        self._service.submissions = answers

    @rule(state=st.sampled_from(BAD))
    def the_next_job_ends_badly(self, state: JobState) -> None:
        self._service.endings = [JobOutcome(state=state)]
        self._bad_ends += 1

    @rule(calls=st.sets(st.sampled_from(CALLS)))
    def calls_are_not_answered(self, calls: set[Call]) -> None:
        self._service.silent = calls

    @rule()
    def jobs_land_after_everybody_has_given_them_up(self) -> None:
        self._service.show_after(NEVER)
        self._twins = True

    @rule()
    def all_jobs_are_seen(self) -> None:
        self._service.show_after(0)

    @rule(dies_at=st.integers(0, 40), leaves=st.booleans())
    def a_driver_asks(self, dies_at: int, leaves: bool) -> None:
        self._ask(self._drivers.next(Fate(dies_at), leave_jobs=leaves), dies_at)

    @rule(dies_at=st.integers(0, 40), passes=st.integers(0, 6))
    def a_driver_reads_and_stands_still(self, dies_at: int, passes: int) -> None:
        ledger = self._drivers.next(Fate(dies_at), check=_passes(passes))
        self._stale.append(ledger)

    @precondition(lambda self: self._stale)
    @rule()
    def it_wakes(self) -> None:
        ledger = self._stale.pop()
        self._twins = self._twins or ledger.epoch != self._drivers.epoch
        self._ask(ledger)

    @rule(cut=st.integers(1, 400))
    def the_end_of_the_ledger_is_lost(self, cut: int) -> None:
        log = self._drivers.root / RUN / LOG
        if log.exists():
            with log.open("rb+") as file:
                file.truncate(max(0, log.stat().st_size - cut))

    @rule(at=st.integers(0, 10_000), bit=st.integers(0, 7))
    def a_bit_of_the_ledger_flips(self, at: int, bit: int) -> None:
        log = self._drivers.root / RUN / LOG
        if log.exists() and (content := bytearray(log.read_bytes())):
            content[at % len(content)] ^= 1 << bit
            log.write_bytes(content)

    def _ask(self, ledger: Ledger, dies_at: int = 0) -> None:
        store = ledger.store
        self._service.fate = getattr(store, "fate", Fate())
        with suppress(DriverDied, QcscLoopError):
            assert self._drivers.ask(doubling(self._service), ledger).value == 42
        self._service.fate = Fate()

    @invariant()
    def one_job_of_each_attempt_does_the_work(self) -> None:
        if hasattr(self, "_service"):
            worked = Counter(self._service.jobs[job_id].key for job_id in self._service.worked)
            assert set(worked.values()) <= {1}
            accepted = Counter(self._service.accepted)
            assert self._twins or set(accepted.values()) <= {1}

    def teardown(self) -> None:
        try:
            if hasattr(self, "_service"):
                self._goes_on_to_the_result()
        finally:
            self._patch.undo()
            self._folder.cleanup()

    def _goes_on_to_the_result(self) -> None:
        """Once all is well again the next driver has it; a bad end is another attempt's beginning."""
        service = self._service
        service.submissions, service.endings, service.silent = [], [COMPLETED], set()
        service.show_after(0)
        for _ in range(self._bad_ends + 2):
            with suppress(JobFailed):
                assert self._drivers.ask(doubling(service)).value == 42
                break
        else:
            raise AssertionError("no attempt comes to the result")
        self.one_job_of_each_attempt_does_the_work()
        worked = list(service.worked)
        assert self._drivers.ask(doubling(service)).value == 42  # again, from what is known
        assert service.worked == worked


def _passes(times: int) -> Callable[[], None]:
    """A lease that is lost after so many checks."""
    left = [times]

    def check() -> None:
        left[0] -= 1
        if left[0] < 0:
            raise LeaseLost(RUN, 1, 2)

    return check


TestOneEffectiveJob = OneEffectiveJob.TestCase
TestOneEffectiveJob.settings = settings(stateful_step_count=15)
