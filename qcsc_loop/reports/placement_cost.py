"""What a run's calls have cost where they were placed, and about what they would have elsewhere.

A call is a job of its own, or a request to a warm job, which is itself a job of the run's ledger.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from qcsc_loop.jobs.entries import JobRecord
from qcsc_loop.jobs.outcome import JobMetrics
from qcsc_loop.plain import Json

WARM = "warm"  # the type of a warm job's site, and the step of the key of a warm job


@dataclass(frozen=True)
class CallCost:
    """One iteration's calls.

    Attributes:
        queue_seconds: from asking to the start of the work, or of the warm job it waited for.
        start_seconds: of that in which the warm job's ranks were starting.
        compute_seconds: of the work itself; of a job of its own with its start.
        idle_node_seconds: of the warm job, since the call before.
    """

    iteration: int
    queue_seconds: float
    start_seconds: float
    compute_seconds: float
    idle_node_seconds: float


@dataclass(frozen=True)
class PlacementCost:
    """A run's calls.

    Attributes:
        jobs: how many jobs they took.
        wait_seconds: in which the run waited for queues and starts.
        elsewhere: the same in the other placement, estimated from this run's own times.
    """

    placement: str
    calls: int
    jobs: int
    node_seconds: float
    wait_seconds: float
    iterations: Sequence[CallCost]
    elsewhere: tuple[float, float]

    @property
    def idle_node_seconds(self) -> float:
        return sum(call.idle_node_seconds for call in self.iterations)

    def words(self) -> str:
        """For people who choose between the two."""
        node_seconds, wait = self.elsewhere
        other = "a job per call" if self.placement == WARM else "one warm job"
        mine = f"{self.calls} calls in {self.jobs} {'warm ' if self.placement == WARM else ''}jobs"
        idle = f" ({self.idle_node_seconds:.1f} idle)" if self.placement == WARM else ""
        return (
            f"{mine}: {self.node_seconds:.1f} node seconds{idle}, {self.wait_seconds:.1f} s of "
            f"waiting; {other}, by the same times: about {node_seconds:.1f} and {wait:.1f} s"
        )

    def facts(self) -> Json:
        """As plain data."""
        return {**asdict(self), "idle_node_seconds": self.idle_node_seconds, "words": self.words()}


def placement_cost(records: Iterable[JobRecord]) -> PlacementCost | None:
    """What the calls of a run have cost; None if none is known to have run in a queue's job."""
    known = [record for record in records if _span(record.metrics) is not None]
    hosts = [r for r in known if r.key.step == WARM and r.metrics.nodes]
    asked = [r for r in known if r.intent.site.get("type") == WARM]
    jobs = [r for r in known if r.key.step != WARM and r.metrics.nodes and r not in asked]
    if hosts and asked:
        return _warm(hosts, asked)
    return _in_jobs(jobs) if jobs else None


def _warm(hosts: list[JobRecord], asked: list[JobRecord]) -> PlacementCost:
    nodes = max(host.metrics.nodes or 0 for host in hosts)
    starts, calls = [], []
    before: dict[datetime, datetime] = {}  # the end of what each host did last
    for record in sorted(asked, key=lambda r: _span(r.metrics) or _NEVER):
        began, ended = _span(record.metrics) or _NEVER
        host = max((h for h in _begun(hosts) if h <= began), default=None)
        idle = start = 0.0
        if host is not None and host not in before:
            start = _seconds(max(host, record.metrics.submitted or host), began)
            starts.append(start)
        if host is not None:
            idle = nodes * _seconds(before.get(host, host), began)
            before[host] = max(ended, before.get(host, ended))
        waited = _seconds(record.metrics.submitted or began, began) - start
        calls.append(CallCost(record.key.iteration, waited, start, _seconds(began, ended), idle))
    queue = statistics.median(_positive(host.metrics.queue_seconds) for host in hosts)
    start = statistics.median(starts) if starts else 0.0
    compute = sum(call.compute_seconds for call in calls)
    return PlacementCost(
        placement=WARM,
        calls=len(asked),
        jobs=len(hosts),
        node_seconds=sum((h.metrics.node_hours or 0.0) * 3600 for h in hosts),
        wait_seconds=sum(call.queue_seconds + call.start_seconds for call in calls),
        iterations=_by_iteration(calls),
        elsewhere=(nodes * (compute + len(asked) * start), len(asked) * (queue + start)),
    )


def _in_jobs(jobs: list[JobRecord]) -> PlacementCost:
    calls = [
        CallCost(
            job.key.iteration,
            _positive(job.metrics.queue_seconds),
            0.0,
            _positive(job.metrics.run_seconds),
            0.0,
        )
        for job in jobs
    ]
    spans = [_span(job.metrics) or _NEVER for job in jobs]
    whole = _seconds(min(began for began, _ in spans), max(ended for _, ended in spans))
    nodes = max(job.metrics.nodes or 0 for job in jobs)
    queue = [call.queue_seconds for call in calls]
    return PlacementCost(
        placement="job",
        calls=len(jobs),
        jobs=len(jobs),
        node_seconds=sum((job.metrics.node_hours or 0.0) * 3600 for job in jobs),
        wait_seconds=sum(queue),
        iterations=_by_iteration(calls),
        elsewhere=(nodes * whole, statistics.median(queue)),
    )


_NEVER = (datetime.min, datetime.min)


def _by_iteration(calls: Iterable[CallCost]) -> list[CallCost]:
    total: dict[int, CallCost] = {}
    for call in calls:
        known = total.get(call.iteration, CallCost(call.iteration, 0.0, 0.0, 0.0, 0.0))
        total[call.iteration] = CallCost(
            call.iteration,
            known.queue_seconds + call.queue_seconds,
            known.start_seconds + call.start_seconds,
            known.compute_seconds + call.compute_seconds,
            known.idle_node_seconds + call.idle_node_seconds,
        )
    return [total[iteration] for iteration in sorted(total)]


def _begun(hosts: Iterable[JobRecord]) -> list[datetime]:
    return [span[0] for host in hosts if (span := _span(host.metrics)) is not None]


def _span(metrics: JobMetrics) -> tuple[datetime, datetime] | None:
    if metrics.started is None or metrics.ended is None:
        return None
    return metrics.started, metrics.ended


def _seconds(begin: datetime, end: datetime) -> float:
    return max(0.0, (end - begin).total_seconds())


def _positive(seconds: float | None) -> float:
    return max(0.0, seconds or 0.0)
