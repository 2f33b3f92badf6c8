"""Five runs of a night: a driver killed with a job left, a failed hook, one that converged, one out of
budget, and one that runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qcsc_hpc.testing import FakeSlurm
from qcsc_loop.store.live import SideFiles
from system.command_line import WANDER, CommandLine, command_line, setting
from waiting import until

CHAIN = f"{Path(__file__).with_name('job_toys.py')}:Chain"
ISING = """\
from typing import Annotated, ClassVar

from qcsc_loop import OPERATIONAL, Chart, IterativeAlgorithm, State, current_step


class Spins(State):
    chart: ClassVar[Chart] = Chart(
        headline="energy", better="lower", unit="J", beside=("moved",), references="known"
    )

    energy: float = 0.0
    moved: float = 1.0
    sweeps: int = 0
    accepted: float = 0.25
    magnetization: float = 0.125
    temperature: float = 2.269185314

    @property
    def known(self) -> dict[str, float]:
        return {"exact": -5.0}


class Ising(IterativeAlgorithm[Spins, int, float]):
    \"\"\"Goes half of the way to the ground state in each iteration.

    Attributes:
        spins: in a ring.
        fails_at: the iteration whose evaluation fails; 0: none does.
    \"\"\"

    spins: int = 5
    fails_at: Annotated[int, OPERATIONAL] = 0

    async def initialize(self) -> Spins:
        return Spins()

    async def sample(self, state: Spins) -> int:
        current_step().spend(shots=1000)
        return self.spins

    async def evaluate(self, state: Spins, samples: int) -> float:
        if current_step().iteration == self.fails_at:
            raise RuntimeError("the lattice has no sites")
        return (state.energy - samples) / 2

    async def update(self, state: Spins, evaluation: float) -> Spins:
        moved = state.energy - evaluation
        return Spins(energy=evaluation, moved=moved, sweeps=state.sweeps + 1)

    async def converged(self, previous: Spins, current: Spins) -> bool:
        return current.moved < 0.02
"""
RAISES = next(k for k, line in enumerate(ISING.splitlines(), 1) if "raise RuntimeError" in line)


@contextmanager
def morning_after(folder: Path, prefect_home: Path) -> Iterator[CommandLine]:
    """A store with the five runs, one of which runs for as long as the block lasts."""
    with (
        FakeSlurm(folder / "slurm", grace_seconds=0.3) as slurm,
        command_line(folder / "line", prefect_home, **slurm.environment) as line,
    ):
        file = line.folder / "ising.py"
        file.write_text(ISING)
        _kill_a_driver(line)
        ising = ("run", f"{file}:Ising", "--no-prefect", "--run-id")
        assert line(*ising, "ising-s4", "--seed", "4", *setting(fails_at=6)).code == 1
        line(*ising, "ising-s3", "--seed", "3").well()
        line(*ising, "ghz-budget", "--max-shots", "4500", "--max-iterations", "60").well()
        gate = line.folder / "gate"
        gate.mkdir()
        words = setting(gate=str(gate), gates=[9])
        runs = line.start("run", WANDER, "--no-prefect", "--run-id", "sqd-long", *words)
        runs.until_there_is(gate / "9.reached")
        yield line


def _kill_a_driver(line: CommandLine) -> None:
    """Leaves the run ghz-wall, whose job goes on."""
    started, gate = line.folder / "started", line.folder / "never"
    machine = {"type": "hpc", "hpc_profile": {"scheduler": "slurm"}}
    words = setting(trace=str(started), gate=str(gate), machine=machine)
    driver = line.start("run", CHAIN, "--no-prefect", "--run-id", "ghz-wall", *words)
    driver.until_there_is(started)
    files = SideFiles(line.journal("ghz-wall").store, "ghz-wall")

    def is_said_to_run() -> bool:
        live = files.live()
        return live is not None and [job.state for job in live.jobs] == ["RUNNING"]

    until(is_said_to_run, "its driver says that the job runs")
    driver.kill()
