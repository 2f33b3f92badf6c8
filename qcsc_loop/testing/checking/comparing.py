"""Two runs that should have the same bits: where they first differ."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from qcsc_loop.jobs.ledger import job_records
from qcsc_loop.jobs.site import site_from
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal, iteration_of
from qcsc_loop.testing.checking.orders import RUN_ID
from qcsc_loop.values.document import Document
from qcsc_loop.values.kept import first_difference


@dataclass(frozen=True)
class Difference:
    """The first hook whose result is another one.

    Attributes:
        part: of the result, by dotted name; empty: all of it.
    """

    hook: str
    iteration: int
    part: str


@dataclass(frozen=True)
class Result:
    """What a hook returned."""

    hook: str
    iteration: int
    body: bytes


def first_difference_of(one: Path, other: Path) -> Difference | None:
    """Where the runs in two stores differ first, in the order in which hooks are called."""
    others = {(result.iteration, result.hook): result for result in results(other)}
    for result in results(one):
        found = others.pop((result.iteration, result.hook), None)
        if found is None:
            return Difference(result.hook, result.iteration, "")
        if found.body != result.body:
            part = first_difference(result.body, found.body)
            return Difference(result.hook, result.iteration, part)
    left = next(iter(others.values()), None)
    return None if left is None else Difference(left.hook, left.iteration, "")


def results(store: Path) -> Iterator[Result]:
    """What the hooks of a run returned, in the order of their calls."""
    journal = Journal(DirectoryStore(store), RUN_ID)
    states = {iteration_of(name): name for name in reversed(journal.checkpoints())}
    for iteration in sorted(states):
        for step in ("sample", "evaluate"):
            if (found := journal.step(iteration, step)) is not None:
                yield Result(step, iteration, _body(found[1]))
        commit, state = journal.checkpoint(states[iteration])
        yield Result("update" if iteration else "initialize", iteration, _body(state))
        yield Result("converged", iteration, b"true" if commit.converged else b"false")


def submissions(store: Path) -> int:
    """How many jobs the run has submitted that outlive their driver: children of it die with it."""
    jobs = job_records(DirectoryStore(store), RUN_ID)
    return sum(job.job_id is not None and site_from(job.intent.site).remote for job in jobs)


def _body(document: Document) -> bytes:
    return document.body
