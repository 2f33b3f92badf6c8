"""What an observer of a sweep is told."""

from __future__ import annotations

from dataclasses import dataclass

from qcsc_loop.events import Event
from qcsc_loop.rules.reason import Reason


@dataclass(frozen=True)
class MemberEvent(Event):
    """Something that happened in a member's run, which this process drives."""

    run_id: str
    event: Event


@dataclass(frozen=True)
class MemberBegan(Event):
    """A member is driven now."""

    run_id: str


@dataclass(frozen=True)
class MemberWaits(Event):
    """A member is held by another driver, which is waited for."""

    run_id: str
    why: str


@dataclass(frozen=True)
class MemberEnded(Event):
    """A member came to a stop rule.

    Attributes:
        out_of_budget: it was its share of the sweep's budget.
        at_rung: it waits for the others there; None: it is done.
    """

    run_id: str
    reason: Reason
    iteration: int
    because: str
    out_of_budget: bool = False
    at_rung: int | None = None


@dataclass(frozen=True)
class MemberFailed(Event):
    """A member raised."""

    run_id: str
    why: str


@dataclass(frozen=True)
class SettingsStopped(Event):
    """At a rung these settings could not win any more."""

    group: str
    rung: int
    settings: tuple[str, ...]
