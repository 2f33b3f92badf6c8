"""A run of which one driver meets one fault of its files, and the next brings it to its end."""

from __future__ import annotations

import json
import re
import shutil
import signal
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any, ClassVar, Self

from ordeals.file_faults import UNHURT, Act, Fault, FileFaults, Operation, read_log
from ordeals.hurt_driver import Life, Nursery, Saying
from ordeals.kills import KILLS, NIGHTLY, choose
from ordeals.ordeal import Ordeal

CORES = 2
POINTS_PER_KILL = 2  # what two forks take; a killed process has to start


@dataclass(frozen=True)
class Earlier:
    """A driver before the one that is hurt.

    Attributes:
        limit: how far it came.
        dies_writing: it was killed halfway through a write to a file of this name: a regular
            expression; empty: it lived.
        of: which of these writes.
    """

    limit: int
    dies_writing: str = ""
    of: int = -1


@dataclass(frozen=True)
class Way:
    """What a driver that is hurt comes to, and how far it is to go.

    Attributes:
        only: a regular expression for the names of files whose operations are hurt.
        always: one for points that none leaves out, such as `fail once, EIO at read run/x.npz`.
        every: kills from which on no point is left out.
    """

    name: str
    limit: int
    earlier: tuple[Earlier, ...] = ()
    only: str = ""
    always: str = r"(?!)"
    every: int = NIGHTLY


@dataclass
class HurtRun(Ordeal):
    """A run in a nursery's folder, brought back to where its way begins for each fault.

    Attributes:
        right: the states of a run that nothing hurt.
        said: by the latest driver.
    """

    keep: ClassVar[int] = 2  # so that a few iterations come to pruning

    nursery: Nursery = field(kw_only=True)
    way: Way = field(kw_only=True)
    right: list[str] = field(default_factory=list[str])
    said: Saying = field(default_factory=Saying)

    @classmethod
    def at(cls, nursery: Nursery, way: Way, **parameters: Any) -> Self:
        """At the beginning of the way."""
        run = cls(nursery.folder / "store", "hurt", parameters, nursery=nursery, way=way)
        shutil.rmtree(run._aside, ignore_errors=True)  # another way's
        nursery.learns(run.orders())
        run.bring_back()
        assert run.lives_on(way.limit) == 0, run.printed
        run.right = run.states()
        run.bring_back()
        for driver in way.earlier:
            run._lives_before(driver)
        return run

    def _lives_before(self, driver: Earlier) -> None:
        self.set_aside()
        assert self.lives_on(driver.limit) == 0, self.printed
        if driver.dies_writing:
            writes = [
                operation.number
                for operation in self.operations
                if operation.name == "write" and re.search(driver.dies_writing, operation.path)
            ]
            self.bring_back()
            died = self.lives_on(driver.limit, Fault(Act.DIE_HALFWAY, writes[driver.of]))
            assert died == -signal.SIGKILL, self.printed
        self.set_aside()

    # where it is

    @property
    def folder(self) -> Path:
        return self.store.parent

    @property
    def operations(self) -> list[Operation]:
        """Those of the latest driver."""
        return read_log(self.folder / "log")

    @property
    def printed(self) -> str:
        return (self.folder / "err").read_text(errors="replace")

    @property
    def _aside(self) -> Path:
        return self.folder / "aside"

    def outside(self) -> Sequence[Path]:
        """What belongs to the run beside its store."""
        return ()

    def set_aside(self) -> None:
        """Keeps all that there is as what `bring_back` brings back."""
        shutil.rmtree(self._aside, ignore_errors=True)
        for path in (self.store, *self.outside()):
            _copy(path, self._aside / path.name)

    def bring_back(self) -> None:
        """As it was when it was set aside; nothing if it never was."""
        for path in (self.store, *self.outside()):
            _remove(path)
            _copy(self._aside / path.name, path)

    # its drivers

    def lives_on(self, limit: int, fault: Fault = UNHURT) -> int:
        """The exit code of a driver that is to go so far."""
        said = self.folder / "said"
        said.unlink(missing_ok=True)
        life = Life(
            self.orders(limit=limit, keep=self.keep),
            fault=fault,
            log=str(self.folder / "log"),
            said=str(said),
            err=str(self.folder / "err"),
        )
        code = self.nursery.lives(life)
        self.said = Saying(**json.loads(said.read_text())) if said.exists() else Saying()
        return code

    def points(self) -> list[tuple[Operation, Fault]]:
        """Everything that can go wrong on the way."""
        self.bring_back()
        assert self.lives_on(self.way.limit) == 0, self.printed
        hurt = [one for one in self.operations if re.search(self.way.only, one.path)]
        return [(one, fault) for one in hurt for fault in one.faults()]

    def meets(self, operation: Operation, fault: Fault) -> None:
        """One driver that does, and one to which nothing happens."""
        self.bring_back()
        code = self.lives_on(self.way.limit, fault)
        hurt = self.operations[operation.number - 1]
        assert hurt.name == operation.name, f"it was at {hurt}"
        assert (code == -signal.SIGKILL) is fault.kills, self.printed
        assert self.warnings_only(), self.printed
        assert "\n" not in self.said.error, self.said.error
        self.after_the_fault()
        code = self.lives_on(self.way.limit)
        assert (code, self.printed) == (0, ""), (code, self.printed, self.said.error)
        self.in_the_end()

    def warnings_only(self) -> bool:
        """Whether the latest driver printed nothing but what it survived, a line each."""
        lines = self.printed.splitlines()
        return all(line.startswith(f"{self.run_id}: ") and line[-1] == "." for line in lines)

    def after_the_fault(self) -> None:
        """Whoever reads the run can."""
        journal = self.journal
        if journal.exists():
            for read in (journal.record, journal.epochs, journal.history, self.jobs):
                read()

    def in_the_end(self) -> None:
        """The same bits, each iteration once, and nothing in the way."""
        assert self.states() == self.right, "other states"
        assert self.said.outcome is not None
        assert self.said.outcome["state_sha256"] == self.right[-1], "another outcome"
        lines = self.journal.store.lines(f"{self.run_id}/history.jsonl")
        iterations = [json.loads(line)["iteration"] for line in lines]
        assert iterations == [*range(len(self.right))], iterations
        for folder in ("steps", "checkpoints"):
            place = self.store / self.run_id / folder
            there = {path.name for path in place.iterdir()} if place.exists() else set()
            records = {name.removesuffix(".json") for name in there if name.endswith(".json")}
            assert {re.sub(r"(\.\w{12}\.npz|\.json)$", "", name) for name in there} == records, (
                there
            )


@dataclass
class Tried:
    """What came of many faults.

    Attributes:
        points: how many.
        of: how many there are.
        wrong: a sentence for each after which something did not hold.
    """

    points: int
    of: int
    wrong: list[str] = field(default_factory=list[str])

    def __str__(self) -> str:
        return f"{self.points} of {self.of} points were tried, {len(self.wrong)} went wrong"


def _name(point: tuple[Operation, Fault]) -> str:
    operation, fault = point
    return f"{fault} at {operation.name} {operation.path}, which is number {operation.number}"


def go_through(runs: Sequence[HurtRun]) -> Tried:
    """Lets runs of one way, each in a nursery of its own, meet as many faults as are to be."""
    points, way = runs[0].points(), runs[0].way
    few = min(len(points), KILLS * POINTS_PER_KILL)
    chosen = choose(points, len(points) if way.every <= KILLS else few)
    named = [point for point in points if re.search(way.always, _name(point))]
    chosen += [point for point in named if point not in chosen]
    tried, free = Tried(len(chosen), len(points)), SimpleQueue[HurtRun]()
    for run in runs:
        free.put(run)

    def meet(point: tuple[Operation, Fault]) -> None:
        run = free.get()
        try:
            run.meets(*point)
        except Exception:  # each is one to be seen
            tried.wrong.append(f"{_name(point)}: {traceback.format_exc()}")
        finally:
            free.put(run)

    with ThreadPoolExecutor(len(runs)) as pool:
        for _ in pool.map(meet, chosen):
            pass
    return tried


@contextmanager
def nurseries(faults: FileFaults, folder: Path) -> Iterator[list[Nursery]]:
    """One for each core that tests have."""
    with ExitStack() as all_of_them:
        born = []
        for number in range(CORES):
            (folder / str(number)).mkdir()
            born.append(Nursery(faults, folder / str(number)))
            all_of_them.callback(born[-1].end)
        yield born


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, copy_function=shutil.copy)
    elif source.exists():
        target.parent.mkdir(exist_ok=True)
        shutil.copy(source, target)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
