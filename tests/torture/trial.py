"""A point is lived through: a run that nobody hurts, and one that meets a fault and is resumed."""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ordeals.mortal_driver import Orders
from qcsc_loop.jobs.entries import JobRecord
from qcsc_loop.jobs.ledger import job_records
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal
from system.server import PrefectServer
from torture.lives import Does, Life
from torture.nursery import Living, NoEnd, Nursery
from torture.point import Ground, Point
from torture.sites import Site
from waiting import until

ITERATIONS = 2
SEED = 7
LAST_LIVES = 3  # to come to the end, where a fault may outlast the first of them
OVER_SECONDS = 30.0  # for what was submitted to be over once the run is


@dataclass(frozen=True)
class Result:
    """What became of a point.

    Attributes:
        kills: processes that were killed: drivers, jobs, servers.
        same_bits: every iteration's state is that of a run that nobody hurt.
        extra: jobs that a site accepted beyond one for each piece of work.
        went_on: the run came to its end.
        lost: seconds of drivers' work that had to be done again.
        wrong: what did not hold, in a sentence; empty: everything held.
        seconds: that it took.
    """

    point: str
    kills: int
    same_bits: bool
    extra: int
    went_on: bool
    lost: float
    wrong: str = ""
    seconds: float = 0.0

    def to_line(self) -> str:
        return json.dumps(asdict(self))


class Wrong(Exception):
    """Something did not hold."""


@dataclass
class Place:
    """A ground, with what its runs need.

    Attributes:
        server: of a store with artifacts.
    """

    ground: Ground
    site: Site
    nursery: Nursery
    folder: Path
    server: PrefectServer | None = None

    @cached_property
    def unhurt(self) -> Trial:
        """A run that nobody hurts."""
        trial = Trial(self, None, self.folder / "unhurt")
        trial.ends()
        return trial

    @property
    def boundaries(self) -> list[str]:
        """All that a driver comes by, each once."""
        return list(dict.fromkeys(self.unhurt.passed))


@dataclass
class Trial:
    """One run.

    Attributes:
        allowed: jobs that a fault itself has ended, whose work may be submitted anew.
        kills: so far.
        lost: so far, in seconds.
        disk: the folder of its store.
        elsewhere: that of the next driver, where it is another one.
        afterwards: what is ended once all was looked at.
    """

    place: Place
    point: Point | None
    folder: Path
    allowed: int = 0
    kills: int = 0
    lost: float = 0.0
    lives: int = 0
    disk: Path = field(init=False)
    afterwards: ExitStack = field(default_factory=ExitStack)
    elsewhere: Path | None = None
    said: dict[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.disk = self.folder
        ground = self.place.ground  # a server has the runs of many
        self.run_id = f"{ground.stack}-{ground.placement}-{self.folder.name}"

    # what is on disk

    @property
    def store(self) -> Path:
        return (self.elsewhere or self.disk) / "store"

    @property
    def run_folder(self) -> Path:
        return self.store / self.run_id

    @property
    def journal(self) -> Journal:
        return Journal(DirectoryStore(self.store), self.run_id)

    def states(self) -> list[str]:
        return [commit.state_sha256 for commit in self.journal.history()]

    def jobs(self) -> list[JobRecord]:
        """Of steps: a warm job belongs to none."""
        known = job_records(self.journal.store, self.run_id)
        return [job for job in known if job.key.iteration]

    @property
    def trace(self) -> Path:
        return self.folder / "trace"

    @property
    def passed(self) -> list[str]:
        return [name for _, name in self._log()]

    def _log(self) -> list[tuple[float, str]]:
        """The boundaries of all lives, each with its time."""
        found = []
        for path in sorted(self.folder.glob("log-*")):
            rows = [line.split("\t") for line in path.read_text().splitlines()]
            found += [(float(row[0]), row[1]) for row in rows if len(row) == 2]
        return found

    # its drivers

    def begins(
        self,
        limit: int = ITERATIONS,
        does: Does = "live",
        *,
        take_over: bool = False,
        at: str = "",
        **more: Any,
    ) -> Living:
        """A driver; at the point's boundary, or another one, it does what it is told to."""
        self.lives += 1
        place = self.place
        orders = Orders(
            str(self.store),
            self.run_id,
            place.site.algorithm(place.ground),
            place.site.parameters(place.ground, self.trace),
            limit=limit,
            seed=SEED,
            keep=None,
            take_over=take_over,
            in_flow=place.server is not None,
        )
        name = f"{self.lives:03d}"
        life = Life(
            orders,
            log=str(self.folder / f"log-{name}"),
            said=str(self.folder / f"said-{name}"),
            err=str(self.folder / f"err-{name}"),
            environment=place.site.environment,
            at="" if does == "live" or self.point is None else at or self.point.boundary,
            does=does,
            **more,
        )
        return place.nursery.begin(life)

    def lives_on(self, does: Does = "live", limit: int = ITERATIONS, **more: Any) -> int:
        """The exit code of a driver."""
        code = self.begins(limit, does, **more).wait()
        if code == -signal.SIGKILL:
            self.note_kill()
        self._require_known(code)
        return code

    def _require_known(self, code: int) -> None:
        if code < 0 and code != -signal.SIGKILL:
            raise Wrong(f"a driver ended by signal {-code}: {self.printed}")
        # Prefect prints one for each flow run that fails
        if "Traceback" in self.printed and self.place.server is None:
            raise Wrong(f"a traceback: {self.printed[-2000:]}")

    def note_kill(self) -> None:
        """A driver was killed: what it did since its last record is lost."""
        self.kills += 1
        log = self._log()
        lasting = (
            [at for at, name in log if name.endswith("/durable")] or [log[0][0]] if log else []
        )
        if lasting:
            self.lost += log[-1][0] - lasting[-1]

    @property
    def printed(self) -> str:
        """By the latest driver."""
        return (self.folder / f"err-{self.lives:03d}").read_text(errors="replace")

    @property
    def sentence(self) -> str:
        """Of the latest driver's error."""
        path = self.folder / f"said-{self.lives:03d}"
        return str(json.loads(path.read_text()).get("error", "")) if path.exists() else ""

    def hurt(self, does: Does, **more: Any) -> int:
        """The driver that meets the fault; those of a chain before it come to their ends."""
        return self.lives_on(does, self._links_before() + 1, **more)

    def _links_before(self) -> int:
        """How many drivers of a chain there were before the one that meets the fault."""
        if self.place.ground.placement != "chain":
            return ITERATIONS - 1
        assert self.point is not None
        link = max(1, self.point.iteration or 1)
        for limit in range(1, link):
            if self.lives_on(limit=limit) != 0:
                raise Wrong(f"link {limit} failed: {self.sentence}")
        return link - 1

    def dies_later(self, times: int) -> None:
        """Drivers one after the other that are killed further on, spread over the way to the end.

        One that was killed where the next one has nothing to do comes by no more boundary.
        """
        assert self.point is not None
        all_of_them = self.place.boundaries
        later = all_of_them[all_of_them.index(self.point.boundary) + 1 :]
        limit = 1 if self.place.ground.placement == "chain" else ITERATIONS
        for number in range(min(times, len(later))):
            at = later[number * len(later) // times]
            limit = max(limit, Point(self.place.ground, self.point.fault, at).iteration or 0)
            if self.lives_on("die", limit, at=at) not in (0, -signal.SIGKILL):
                raise Wrong(f"the driver that was to die at {at} says: {self.sentence}")

    def begins_to_be_hurt(self, does: Does) -> Living:
        return self.begins(self._links_before() + 1, does)

    def ends(self, tries: int = 1) -> None:
        """Drivers that nothing happens to.

        Args:
            tries: how many may fail, and say so in a sentence, and the next one goes on.
        """
        first = 1 if self.place.ground.placement == "chain" else ITERATIONS
        for limit in range(first, ITERATIONS + 1):
            for left in reversed(range(tries)):
                if (code := self.lives_on(limit=limit)) == 0:
                    break
                if not left:
                    raise Wrong(
                        f"it cannot go on ({code}): {self.sentence or self.printed[-2000:]}"
                    )

    # what has to hold in the end

    def result(self, play: Callable[[Trial], None]) -> Result:
        """What became of it."""
        began, went_on, wrong, same, extra = time.monotonic(), False, "", False, 0
        try:
            right = self.place.unhurt.states()
            self.place.site.forget()
            play(self)
            went_on = True
            states = self.states()
            same = states == right
            if not same:
                wrong = f"other states: {states} instead of {right}"
            extra = self._extra()
            wrong = wrong or self._unexpected(extra)
        except (Wrong, NoEnd, AssertionError) as error:
            wrong = f"{type(error).__name__}: {error}"
        finally:
            self.place.site.heal()
            self.afterwards.close()
        lost, seconds = round(self.lost, 3), round(time.monotonic() - began, 3)
        return Result(
            str(self.point), self.kills, same, extra, went_on, lost, wrong, seconds=seconds
        )

    def _extra(self) -> int:
        site = self.place.site
        until(lambda: not site.alive(self.run_id), "what was submitted is over", OVER_SECONDS)
        accepted = site.accepted(self.run_id)
        if accepted is None or self.place.ground.placement == "warm":
            ended = Counter(job.key.work for job in self.jobs() if job.state == "COMPLETED")
            return sum(count - 1 for count in ended.values())
        given_up = sum(job.state != "COMPLETED" for job in self.jobs())
        return accepted - ITERATIONS - min(self.allowed, given_up)

    def _unexpected(self, extra: int) -> str:
        if extra > 0:
            return f"{extra} jobs more were accepted than there is work"
        good = [job.key.iteration for job in self.jobs() if job.state == "COMPLETED"]
        if self.elsewhere is None and sorted(good) != [*range(1, ITERATIONS + 1)]:
            return f"jobs that completed are of iterations {good}"
        iterations = [commit.iteration for commit in self.journal.history()]
        if self.elsewhere is None and iterations != [*range(ITERATIONS + 1)]:
            return f"the history has iterations {iterations}"
        return ""
