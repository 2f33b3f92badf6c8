"""A hook with a warm machine below it, which is ended with the test."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hpc.places import Hook  # noqa: TID251  # the folder of these tests
from qcsc_hpc.machine import Machine, Program
from qcsc_hpc.profiles import Command
from qcsc_loop.errors import JobFailed
from qcsc_loop.exactly_once.request import JobResult
from qcsc_loop.jobs.entries import JobRecord
from qcsc_loop.steps.step import Step

HERE = Path(__file__).parent


@dataclass
class WarmHook(Hook):
    """One iteration after the other."""

    machine: Machine = field(kw_only=True)
    iteration: int = 1

    @property
    def step(self) -> Step:
        return Step(
            run_id=super().step.run_id,
            iteration=self.iteration,
            name="evaluate",
            ledger=self.ledger,
            make_folder=self._place,
        )

    def _place(self) -> Path:
        place = self.root / "work" / str(self.iteration)
        place.mkdir(parents=True, exist_ok=True)
        return place

    async def does(self, fault: str, *words: str, ranks: int | None = None) -> JobResult[str]:
        """The next iteration's job, done well."""
        self.iteration += 1
        return await self.run(
            self.machine,
            toy(),
            [fault, *words],
            ranks=ranks,
            outputs=["out"],
            collect=lambda folder: (folder / "out").read_text().strip(),
        )

    async def fails(self, fault: str, *words: str) -> JobFailed:
        """The next iteration's job, that is not."""
        self.iteration += 1
        return await self.failure(self.machine, toy(), arguments=[fault, *words])

    async def runs(self, command: Command, *words: str | Path, ranks: int = 1) -> JobResult[Path]:
        """The next iteration's program."""
        self.iteration += 1
        return await self.run(self.machine, command, words, ranks=ranks)

    @property
    def warm_jobs(self) -> list[JobRecord]:
        return [record for record in self.records if record.key.step == "warm"]


def toy() -> Program:
    return Program("toy", "rank_toys")


Hooks = Callable[..., AbstractAsyncContextManager[WarmHook]]


@pytest.fixture
def warm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hooks:
    """Makes hooks; the warm job ends with the block."""
    path = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    monkeypatch.setenv("PYTHONPATH", path)  # of the driver's children
    monkeypatch.syspath_prepend(HERE)

    @asynccontextmanager
    async def hook(machine: Machine, root: Path = tmp_path / "store") -> AsyncIterator[WarmHook]:
        made = WarmHook(root, machine=machine)
        try:
            yield made
        finally:
            for end in made.ledger.endings.values():
                await end()

    return hook
