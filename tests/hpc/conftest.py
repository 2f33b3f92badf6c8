"""The machines of the contract, each ready to take jobs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from cluster.slurm import SlurmCluster
from hpc.commands import UNACCOUNTED, Commands  # noqa: TID251  # of these tests
from hpc.places import (  # noqa: TID251  # the folder of these tests
    Children,
    Fake,
    Hook,
    Place,
    Programs,
    Queue,
    RealSlurm,
)
from qcsc_hpc.profiles import HPCProfile
from qcsc_hpc.testing import FakeBatchSystem, FakePBS, FakePJM, FakeSlurm

MPIEXEC = str(Path(sys.prefix) / "bin" / "mpiexec")
# the wheel's launcher would start ranks through srun, or what else it finds of a scheduler
FORKED = ("-launcher", "fork")
FAKES: dict[str, Callable[[Path], tuple[FakeBatchSystem, str]]] = {
    "fake-slurm": lambda folder: (FakeSlurm(folder, grace_seconds=0.3), "scancel"),
    "fake-pbs": lambda folder: (FakePBS(folder, grace_seconds=0.3), "qdel"),
    "fake-miyabi": lambda folder: (FakePBS(folder, grace_seconds=0.3, dialect="miyabi"), "qdel"),
    "fake-miyabi-with-limits": lambda folder: (
        FakePBS(folder, grace_seconds=0.3, dialect="miyabi", most_queued=4, most_running=2),
        "qdel",
    ),
    "fake-pjm-without-choice": lambda folder: (
        FakePJM(folder, grace_seconds=0.3, chooses=False),
        "pjdel",
    ),
    "fake-wisteria": lambda folder: (
        FakePJM(folder, grace_seconds=0.3, dialect="wisteria"),
        "pjdel",
    ),
    "fake-pjm": lambda folder: (FakePJM(folder, grace_seconds=0.3), "pjdel"),
}
SITES: dict[str, dict[str, str | float]] = {
    "fake-miyabi": {"preset": "miyabi"},
    "fake-miyabi-with-limits": {"preset": "miyabi"},
    # of a job that is over it says no more: for so long a record is waited for that is seen late
    "fake-wisteria": {"dialect": "wisteria", "lost_seconds": 3.0},
}
ONCE = {"slurm": ["--no-requeue"], "pbs": ["-r n"]}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def place(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    """The machine of the test's parameter, "NAME" or "NAME/LAUNCHER"; nothing runs there after it."""
    name, _, launcher = str(request.param).partition("/")
    queue: Queue
    if name == "local":
        yield from _ended(_place("local", Children(tmp_path), "local"))
    elif name.startswith("slurm"):
        if name in UNACCOUNTED:
            Commands(tmp_path / "commands", monkeypatch).say("sacct", *UNACCOUNTED[name])
        cluster: SlurmCluster = request.getfixturevalue("slurm")
        for variable, value in cluster.environment.items():
            monkeypatch.setenv(variable, value)
        queue = RealSlurm(cluster)
        started_by: str = "mpiexec" if launcher == "mpiexec" else "srun"
        yield from _ended(_place("slurm", queue, "slurm", launcher=started_by))
        cluster.start()  # whatever a test has stopped or broken
    else:
        system, cancel = FAKES[name](tmp_path / "fake")
        with system:
            for variable, value in system.environment.items():
                monkeypatch.setenv(variable, value)
            queue = Fake(system, cancel)
            site = SITES.get(name, {})
            yield from _ended(_place(name, queue, system.system, site=site, options=FORKED))


def _place(
    name: str,
    queue: Queue,
    scheduler: str,
    *,
    launcher: str = "mpiexec",
    options: tuple[str, ...] = (),
    site: Mapping[str, str | float] = MappingProxyType({}),
) -> Place:
    where = HPCProfile.model_validate(
        {"scheduler": scheduler, **site, "executable_map": {"mpiexec": MPIEXEC}}
        # shorter than a person would have it: tests wait for it
        | ({} if scheduler == "local" else {"poll_seconds": 0.5, "settle_seconds": 2.0})
    )
    return Place(name, where, queue, launcher, options, ONCE.get(scheduler, []))


def _ended(place: Place) -> Iterator[Place]:
    try:
        yield place
    finally:
        place.queue.stop()


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    folder = tmp_path / "programs"
    folder.mkdir()
    return Programs(folder)


@pytest.fixture
def hook(tmp_path: Path) -> Hook:
    return Hook(tmp_path / "store")
