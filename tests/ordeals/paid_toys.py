"""An algorithm whose every iteration is a job of a service that is paid, and whose results are fetched.

The service is a folder: it knows what it was asked to do, and has done it at once.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, get_args

import anyio

from qcsc_loop.algorithm import IterativeAlgorithm
from qcsc_loop.concurrency.whole_file import write_whole
from qcsc_loop.errors import SiteUnreachable, SubmissionUnclear
from qcsc_loop.exactly_once.request import JobRequest
from qcsc_loop.exactly_once.run_once import run_once
from qcsc_loop.jobs.key import JobKey
from qcsc_loop.jobs.outcome import JobOutcome, JobState
from qcsc_loop.jobs.site import JobSite, PlacedJob, Waiting
from qcsc_loop.parameters.operational import OPERATIONAL
from qcsc_loop.steps.step import current_step
from qcsc_loop.values.record import State

INPUT, RESULT = "input", "result"
LATE_SECONDS = 0.3
AWAY_SECONDS = 0.02  # between two looks for whether it has come back

Mood = Literal["away", "unclear", "late", "refuses"]
"""It answers nobody, for as long as it is so; or, the next time that it is asked: it takes a job and
does not say so, or takes it some time later; it does not say which jobs it has."""


class PaidSite(JobSite):
    """The service.

    Attributes:
        forgetful: it finds no job again, so that one may be paid twice.
        settles: `settle_seconds`, for one whose mood may be bad.
    """

    type: Literal["paid-toy"] = "paid-toy"
    bill: str
    forgetful: bool = False
    settles: float = 0.0

    @property
    def title(self) -> str:
        return "the paid service"

    @property
    def settle_seconds(self) -> float:
        return self.settles

    @property
    def patience_seconds(self) -> float:
        return 20.0 if self.settles else 0.0

    async def submit(self, key: JobKey, folder: Path) -> str:
        """Pays for the job; its id."""
        self._answer()
        number = int((folder / INPUT).read_text())
        late = self._passes("late")
        self._pay(str(key), number * number, late=LATE_SECONDS if late else 0.0)
        if late or self._passes("unclear"):
            raise SubmissionUnclear(self.title, "the line went dead")
        return str(len([*self.paid()]))

    async def find(self, key: JobKey, folder: Path) -> str | None:
        self._answer()
        if self._passes("refuses"):
            raise SiteUnreachable(self.title, "it says nothing now")
        if self.forgetful:
            return None
        now = time.monotonic()  # of the machine, whoever asks
        for number, (whose, _, arrived) in enumerate(self._rows(), 1):
            if whose == str(key) and arrived <= now:
                return str(number)
        return None

    async def outcome(self, job: PlacedJob, waiting: Waiting) -> JobOutcome:
        while self._mood("away").exists():  # noqa: ASYNC110  # it is another process that ends it
            await anyio.sleep(AWAY_SECONDS)
        _, result = [*self.paid()][int(job.job_id) - 1]
        job.folder.mkdir(parents=True, exist_ok=True)  # it may not have outlived its disk's power
        with write_whole(job.folder / RESULT, sync="name") as file:
            file.write(str(result).encode())
        return JobOutcome(state=JobState.COMPLETED)

    async def cancel(self, job: PlacedJob) -> JobOutcome:
        return JobOutcome(state=JobState.COMPLETED)

    def _pay(self, key: str, result: int, *, late: float) -> None:
        with Path(self.bill).open("a") as bill:
            bill.write(json.dumps([key, result, time.monotonic() + late if late else 0.0]) + "\n")

    def paid(self) -> Iterator[tuple[str, int]]:
        """Key and result of all jobs that were ever taken."""
        for key, result, _ in self._rows():
            yield key, result

    def _rows(self) -> Iterator[tuple[str, int, float]]:
        """With when each arrived."""
        bill = Path(self.bill)
        for line in bill.read_text().splitlines() if bill.exists() else []:
            key, result, arrived = json.loads(line)
            yield key, result, arrived

    # what may be wrong with it

    def falls_into(self, mood: Mood) -> None:
        self._mood(mood).touch()

    def cheers_up(self) -> None:
        """It answers as it should."""
        for mood in get_args(Mood):
            self._mood(mood).unlink(missing_ok=True)

    def _mood(self, mood: Mood) -> Path:
        return Path(f"{self.bill}.{mood}")

    def _passes(self, mood: Mood) -> bool:
        """Whether it was in that mood, which is over now."""
        try:
            self._mood(mood).unlink()
        except FileNotFoundError:
            return False
        return True

    def _answer(self) -> None:
        if self._mood("away").exists():
            raise SiteUnreachable(self.title, "nobody is there")


class Total(State):
    """Of all that was paid for."""

    total: int = 0


class Paying(IterativeAlgorithm[Total, int, int]):
    """Adds the square of a random number, which a job takes."""

    bill: Annotated[str, OPERATIONAL]
    forgetful: Annotated[bool, OPERATIONAL] = False
    settles: Annotated[float, OPERATIONAL] = 0.0

    async def initialize(self) -> Total:
        return Total()

    async def sample(self, state: Total) -> int:
        return int(current_step().rng.integers(1 << 20))

    async def evaluate(self, state: Total, samples: int) -> int:
        site = PaidSite(bill=self.bill, forgetful=self.forgetful, settles=self.settles)
        request = JobRequest(
            name="square",
            site=site,
            input_sha256=hashlib.sha256(str(samples).encode()).hexdigest(),
            prepare=lambda _key, folder: _write(folder / INPUT, samples),
            submit=site.submit,
            collect=lambda folder: int((folder / RESULT).read_text()),
        )
        return (await run_once(request)).value

    async def update(self, state: Total, evaluation: int) -> Total:
        return Total(total=state.total + evaluation)

    async def converged(self, previous: Total, current: Total) -> bool:
        return False


def _write(path: Path, number: int) -> None:
    with write_whole(path) as file:
        file.write(str(number).encode())
