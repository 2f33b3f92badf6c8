"""Members driven in this process, side by side in one event loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from qcsc_loop.algorithm import AnyAlgorithm
from qcsc_loop.catalog import AlgorithmType, find_algorithm
from qcsc_loop.events import Event, Observer
from qcsc_loop.parameters.build import build
from qcsc_loop.rules.reason import Reason
from qcsc_loop.rules.stop import StopRule
from qcsc_loop.store.store import Store
from qcsc_loop.sweeping.events import MemberEvent
from qcsc_loop.sweeping.plan import Member

SWEEP = "sweep"  # in the provenance of a member: whose it is
WAY = {"driven": {"prefect": False}}  # so that `resume` goes on in the same way


@dataclass(frozen=True)
class Came:
    """What came of a member."""

    reason: Reason
    iteration: int
    because: str


@dataclass(frozen=True)
class Here:
    """Drives members.

    Attributes:
        kinds: classes by reference, of those that only this process knows.
    """

    sweep: str
    store: Store
    tell: Observer
    kinds: Mapping[str, AlgorithmType] = field(default_factory=dict[str, AlgorithmType])
    leave_jobs: Callable[[], bool] = lambda: False
    ended_by: Callable[[], str] = lambda: ""

    async def drive(self, member: Member, rule: StopRule) -> Came:
        """Drives a member to a stop rule.

        Raises:
            Exception: all that `algorithm.run` raises.
        """

        def observe(event: Event) -> None:
            self.tell(MemberEvent(member.run_id, event))

        outcome = await self._algorithm(member).run(
            store=self.store,
            run_id=member.run_id,
            seed=member.seed,
            stop=rule,
            observers=[observe],
            facts={SWEEP: self.sweep, **WAY},
            leave_jobs=self.leave_jobs,
            ended_by=self.ended_by,
        )
        return Came(outcome.reason, outcome.iteration, outcome.because)

    def _algorithm(self, member: Member) -> AnyAlgorithm:
        kind = self.kinds.get(member.algorithm) or find_algorithm(member.algorithm)
        return build(kind, member.parameters)
