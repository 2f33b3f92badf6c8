"""One sweep in a store: what it is, who drives it, and what was decided; beside the runs' folders.

    _sweeps/NAME/plan-0001.json      Plan, as driver 1 found or changed it; the newest one counts
    _sweeps/NAME/epochs/…            who drives it, as of a run
    _sweeps/NAME/decisions.jsonl     granted, lost, ended, failed, stopped: one line each

A decision is on disk before it is acted on. Only whoever holds the sweep decides, and looks that it
still does before it writes and again before it acts: what a stale driver writes after a newer one has
read is acted on by nobody.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from qcsc_loop.errors import (
    DamagedDocument,
    InputError,
    LeaseLost,
    RunLocked,
    StoreError,
    SweepLocked,
    SweepLost,
    SweepNotFound,
)
from qcsc_loop.loop.provenance import describe_driver
from qcsc_loop.parameters.environment import environment
from qcsc_loop.plain import Json
from qcsc_loop.rules.going_on import limits_of
from qcsc_loop.rules.reason import Reason
from qcsc_loop.store.journal import Journal, Lease
from qcsc_loop.store.records import EndRecord, Settings
from qcsc_loop.store.store import Store
from qcsc_loop.sweeping.plan import Plan
from qcsc_loop.values.document import Document

FOLDER = "_sweeps"  # no run's id begins so


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Granted(_Line):
    """A member may go on through an iteration: what that costs at most is reserved for it."""

    kind: Literal["granted"] = "granted"
    run_id: str
    through: int


class Lost(_Line):
    """What an attempt that was ended in the middle may have spent, and nothing else tells."""

    kind: Literal["lost"] = "lost"
    run_id: str
    epoch: int
    amounts: dict[str, float]


class Ended(_Line):
    """A member came to a stop rule.

    Attributes:
        stop: the rule that it came to: its own, and the rung's.
        own: its own.
        granted: it was its share of the budget that ended it.
        why: what is behind that, if it is more than that nothing is left.
    """

    kind: Literal["ended"] = "ended"
    run_id: str
    rung: int
    stop: Json
    own: Json
    reason: Reason
    iteration: int
    granted: bool = False
    why: str = ""

    @property
    def is_own_end(self) -> bool:
        """Whether its own rule has ended it, whatever a rung's would have done."""
        most = limits_of(self.own).get("iterations", math.inf)
        return self.reason not in _BOUNDS or self.iteration >= most


_BOUNDS = (Reason.MAX_ITERATIONS, Reason.BUDGET)  # why a rung's rule may end a member, too


class Failed(_Line):
    """A member raised; it is tried again when the sweep is."""

    kind: Literal["failed"] = "failed"
    run_id: str
    why: str


class Stopped(_Line):
    """At a rung these settings of a group could not win any more."""

    kind: Literal["stopped"] = "stopped"
    group: str
    rung: int
    settings: tuple[str, ...]
    values: dict[str, float | str] = {}


Decision = Granted | Lost | Ended | Failed | Stopped
_DECISION: TypeAdapter[Decision] = TypeAdapter(Annotated[Decision, Field(discriminator="kind")])


class SweepJournal:
    """A sweep's records. Reading needs no lease; deciding goes through `claim`."""

    def __init__(self, store: Store, name: str) -> None:
        self.store, self.name = store, name
        self.drivers = Journal(store, f"{FOLDER}/{name}")

    def exists(self) -> bool:
        """Whether the store has this sweep."""
        return bool(self._plans())

    def plan(self) -> Plan:
        """What it is, as it was asked for last.

        Raises:
            SweepNotFound: the store has no such sweep.
            DamagedDocument: its plan does not verify.
        """
        plans = self._plans()
        if not plans:
            raise SweepNotFound(self.name, self.store.place, sweep_names(self.store))
        name = f"{FOLDER}/{self.name}/{plans[-1]}"
        try:
            return Plan.model_validate_json(self.store.read(name).body)
        except ValidationError as error:
            raise DamagedDocument(name, error.errors()[0]["msg"]) from error

    def budgets(self) -> Iterator[dict[str, float]]:
        """That of each of its plans, the oldest first; of those that can be read."""
        for plan in self._plans():
            with suppress(StoreError, ValidationError):
                body = self.store.read(f"{FOLDER}/{self.name}/{plan}").body
                yield Plan.model_validate_json(body).budget

    def decisions(self) -> Iterator[Decision]:
        """All of them, in their order."""
        for line in self.store.lines(f"{FOLDER}/{self.name}/decisions.jsonl"):
            try:
                yield _DECISION.validate_json(line)
            except ValidationError:  # a newer version's: it says nothing to this one
                continue

    def claim(self, *, take_over: bool = False) -> SweepLease:
        """Makes this process the sweep's one driver.

        Raises:
            SweepLocked: another one drives it.
            StoreNotPrivate: others can write to where it is kept.
        """
        for name in (FOLDER, f"{FOLDER}/{self.name}"):
            self.store.require_own(name)
        settings = Settings(algorithm=f"sweep:{self.name}")
        lease_seconds = environment().lease_seconds
        try:
            lease = self.drivers.claim(
                settings, describe_driver(Plan), lease_seconds, take_over=take_over
            )
        except RunLocked as error:
            raise SweepLocked(self.name, error) from error
        return SweepLease(self, lease)

    def end(self) -> EndRecord | None:
        """How its newest driver ended; None: it lives, or did not say."""
        newest = self.drivers.newest_epoch()
        return self.drivers.end(newest) if newest else None

    def is_driven(self) -> bool:
        """Whether a driver holds it."""
        newest = self.drivers.newest_epoch()
        if not newest or self.drivers.end(newest) is not None:
            return False
        try:
            return not self.drivers.hold(self.drivers.epoch(newest)).is_free
        except (DamagedDocument, KeyError):
            return False

    def _plans(self) -> list[str]:
        """Names of its plans, the newest last."""
        names = self.store.names(f"{FOLDER}/{self.name}")
        return sorted((n for n in names if n.startswith("plan-")), key=lambda n: int(n[5:]))


class SweepLease:
    """The right to decide in a sweep, for as long as no newer driver exists."""

    def __init__(self, journal: SweepJournal, lease: Lease) -> None:
        self.journal, self._lease = journal, lease

    def check(self) -> None:
        """Raises SweepLost if another driver has taken over."""
        try:
            self._lease.check()
        except LeaseLost as error:
            raise SweepLost(self.journal.name) from error

    def keep(self, plan: Plan) -> None:
        """Writes what the sweep is from now on.

        Raises:
            InputError: it could not be read again.
        """
        body = plan.model_dump_json().encode()
        try:
            Plan.model_validate_json(body)
        except ValidationError as error:
            wrong = error.errors(include_url=False)[0]
            place = ".".join(map(str, wrong["loc"]))
            raise InputError(
                f"the sweep {plan.name!r} cannot be kept: {place}: {wrong['msg']}"
            ) from error
        self.check()
        name = f"{FOLDER}/{self.journal.name}/plan-{self._lease.epoch:04d}"
        self.journal.store.write(name, Document(body))

    def decide(self, decision: Decision) -> None:
        """Writes it; when this returns it may be acted on.

        Raises:
            SweepLost: another driver decides now.
        """
        self.check()
        line = decision.model_dump_json().encode()
        self.journal.store.append(f"{FOLDER}/{self.journal.name}/decisions.jsonl", [line])
        self.check()

    def release(self, reason: Reason, because: str = "") -> None:
        """Gives the sweep back, with how it ended."""
        end = EndRecord(epoch=self._lease.epoch, reason=reason, because=because, iteration=0)
        self._lease.release(end)


def sweep_names(store: Store) -> list[str]:
    """The sweeps of a store."""
    return [name for name in store.names(FOLDER) if SweepJournal(store, name).exists()]


def plain_rule(rule: BaseModel) -> Json:
    """A stop rule as decisions keep it."""
    found: Json = json.loads(rule.model_dump_json())
    return found
