"""A hook of a run whose jobs go to a fake IBM Quantum, and what is told of them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest
from qiskit import QuantumCircuit

from loop.sampling.sampling_toys import rotated
from qcsc_loop.errors import JobFailed, QcscLoopError
from qcsc_loop.events import Event, Trouble
from qcsc_loop.jobs.entries import JobRecord
from qcsc_loop.jobs.events import JobChanged
from qcsc_loop.jobs.ledger import Ledger, job_records
from qcsc_loop.jobs.outcome import JobState
from qcsc_loop.sampling.ibm.sampler import IBMRuntimeSampler
from qcsc_loop.sampling.samples import Samples
from qcsc_loop.steps.step import Step, stepping
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.testing import FakeIBMQuantum

SHOTS = 40
LONGEST_SECONDS = 60.0


def settings(ibm: FakeIBMQuantum, **more: Any) -> dict[str, Any]:
    """What leads to the service: its address and the way through a proxy."""
    return {
        "url": ibm.url,
        "proxies": ibm.proxies["urls"],
        "instance": ibm.instance,
        "poll_seconds": 0.1,
        "settle_seconds": 0.5,
        "patience_seconds": 20.0,
        **more,
    }


def sampler(ibm: FakeIBMQuantum, **more: Any) -> IBMRuntimeSampler:
    return IBMRuntimeSampler(**settings(ibm, **more))


@dataclass
class Driver:
    """One run's hook, and the drivers that come to it one after the other."""

    root: Path
    leave_jobs: bool = False
    epoch: int = 0
    uid: str = field(default_factory=lambda: secrets.token_hex(8))
    events: list[Event] = field(default_factory=list[Event])

    def __post_init__(self) -> None:
        self.ledger = self.next()

    def next(self) -> Ledger:
        """The ledger as the next driver reads it."""
        self.epoch += 1
        self.ledger = Ledger(
            run_id="quantum",
            run_uid=self.uid,
            store=DirectoryStore(self.root),
            epoch=self.epoch,
            observe=self.events.append,
            leave_jobs=lambda: self.leave_jobs,
        )
        self.ledger.load()
        return self.ledger

    def step(self, iteration: int = 1) -> Step:
        return Step(
            run_id="quantum",
            run_seed=7,
            iteration=iteration,
            name="sample",
            ledger=self.ledger,
            make_folder=lambda: self._folder(iteration),
        )

    def _folder(self, iteration: int) -> Path:
        path = self.root / "quantum" / "work" / str(iteration)
        path.mkdir(parents=True, exist_ok=True)
        return path

    async def sampled(
        self,
        by: IBMRuntimeSampler,
        circuit: QuantumCircuit | None = None,
        *,
        shots: int = SHOTS,
        iteration: int = 1,
    ) -> Samples:
        with anyio.fail_after(LONGEST_SECONDS), stepping(self.step(iteration)):
            return await by.sample(circuit or rotated(3), shots=shots)

    async def failure(self, by: IBMRuntimeSampler, **how: Any) -> JobFailed:
        with pytest.raises(JobFailed) as caught:
            await self.sampled(by, **how)
        return caught.value

    @asynccontextmanager
    async def asking(
        self, by: IBMRuntimeSampler, **how: Any
    ) -> AsyncIterator[asyncio.Task[Samples]]:
        """The samples, asked for in the background."""
        task = asyncio.create_task(self.sampled(by, **how))
        try:
            yield task
        finally:
            if not task.done():
                task.cancel()
                with suppress(asyncio.CancelledError, QcscLoopError):
                    await task

    @property
    def records(self) -> list[JobRecord]:
        """What the ledger says, read as another driver would."""
        return job_records(DirectoryStore(self.root), "quantum")

    @property
    def states(self) -> list[JobState]:
        """Of which was told."""
        return [event.state for event in self.events if isinstance(event, JobChanged)]

    @property
    def troubles(self) -> list[str]:
        return [event.message for event in self.events if isinstance(event, Trouble)]
