"""An algorithm whose every iteration is a job of a service that is paid, and whose results are fetched.

The service is a folder: it knows what it was asked to do, and has done it at once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from qcsc_loop.algorithm import IterativeAlgorithm
from qcsc_loop.concurrency.whole_file import write_whole
from qcsc_loop.exactly_once.request import JobRequest
from qcsc_loop.exactly_once.run_once import run_once
from qcsc_loop.jobs.key import JobKey
from qcsc_loop.jobs.outcome import JobOutcome, JobState
from qcsc_loop.jobs.site import JobSite, PlacedJob, Waiting
from qcsc_loop.parameters.operational import OPERATIONAL
from qcsc_loop.steps.step import current_step
from qcsc_loop.values.record import State

INPUT, RESULT = "input", "result"


class PaidSite(JobSite):
    """The service.

    Attributes:
        forgetful: it finds no job again, so that one may be paid twice.
    """

    type: Literal["paid-toy"] = "paid-toy"
    bill: str
    forgetful: bool = False

    @property
    def title(self) -> str:
        return "the paid service"

    async def submit(self, key: JobKey, folder: Path) -> str:
        """Pays for the job; its id."""
        number = int((folder / INPUT).read_text())
        self._pay(str(key), number * number)
        return str(len([*self.paid()]))

    async def find(self, key: JobKey, folder: Path) -> str | None:
        if self.forgetful:
            return None
        known = [number for number, (whose, _) in enumerate(self.paid(), 1) if whose == str(key)]
        return str(known[0]) if known else None

    async def outcome(self, job: PlacedJob, waiting: Waiting) -> JobOutcome:
        _, result = [*self.paid()][int(job.job_id) - 1]
        job.folder.mkdir(parents=True, exist_ok=True)  # it may not have outlived its disk's power
        with write_whole(job.folder / RESULT, sync="name") as file:
            file.write(str(result).encode())
        return JobOutcome(state=JobState.COMPLETED)

    async def cancel(self, job: PlacedJob) -> JobOutcome:
        return JobOutcome(state=JobState.COMPLETED)

    def _pay(self, key: str, result: int) -> None:
        with Path(self.bill).open("a") as bill:
            bill.write(json.dumps([key, result]) + "\n")

    def paid(self) -> Iterator[tuple[str, int]]:
        """Key and result of all jobs that were ever taken."""
        bill = Path(self.bill)
        for line in bill.read_text().splitlines() if bill.exists() else []:
            key, result = json.loads(line)
            yield key, result


class Total(State):
    """Of all that was paid for."""

    total: int = 0


class Paying(IterativeAlgorithm[Total, int, int]):
    """Adds the square of a random number, which a job takes."""

    bill: Annotated[str, OPERATIONAL]
    forgetful: Annotated[bool, OPERATIONAL] = False

    async def initialize(self) -> Total:
        return Total()

    async def sample(self, state: Total) -> int:
        return int(current_step().rng.integers(1 << 20))

    async def evaluate(self, state: Total, samples: int) -> int:
        site = PaidSite(bill=self.bill, forgetful=self.forgetful)
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
