"""A sweep is killed at any instant and asked for again: one table, no member twice, the budget kept."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import tomlkit

from loop.sweeping import walks
from loop.sweeping.walks import billed
from ordeals.kills import KILLS, NIGHTLY, kills
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal
from qcsc_loop.sweeping.standing import read_standing
from system.command_line import CommandLine, command_line, until_gone
from waiting import until

TESTS = Path(__file__).parents[1]
WALK = f"{walks.__file__}:Walk"
H2 = {"geometry": "H 0 0 0; H 0 0 0.735", "basis": "sto-3g", "frozen_core": 0}
MANY = KILLS >= NIGHTLY  # with 24 of `bitcount` and 12 of `sqd`, as many as it was promised for
LONGEST_SECONDS = (
    3600.0 if MANY else 900.0
)  # of a driver that has all of it left, on a busy machine
AT_ONCE = 4
ITERATIONS = 3


def described(walk_bill: Path, *, budget: float) -> dict[str, Any]:
    """Members of three algorithms, and one budget for all."""
    count, small = {"num_qubits": 3, "tolerance": 0.0, "shots": 200}, {"system": H2, "shots": 50}
    return {
        "name": "ordeal",
        "at_once": AT_ONCE,
        "stop": {"max_iterations": ITERATIONS},
        "budget": {"shots": budget},
        "group": [
            {
                "algorithm": WALK,
                "seeds": 3,
                "parameters": {"bill": str(walk_bill), "shots": 10},
                "grid": {"rate": [0.1, 0.5]},
                "iteration": {"shots": "shots"},
            },
            {
                "algorithm": "bitcount",
                "seeds": 12 if MANY else 2,
                "parameters": {**count, "machine": {"type": "local"}, "ranks": 1},
                "grid": {"shots": [100, 200]},
                "iteration": {"shots": "shots"},
            },
            {
                "algorithm": "sqd",
                "seeds": 6 if MANY else 1,
                "parameters": {**small, "tolerance": 0.0},
                "grid": {"optimizer": ["random", "perturb"]},
                "iteration": {"shots": "walkers * shots"},
            },
        ],
    }


@dataclass
class SweepOrdeal:
    """A sweep whose drivers are killed, one after the other.

    Attributes:
        died: how often.
        exceeded: what was spent of the budget at each death, where that was more than there is.
    """

    line: CommandLine
    content: dict[str, Any]
    died: int = 0
    exceeded: list[float] = field(default_factory=list[float])

    @property
    def store(self) -> DirectoryStore:
        return DirectoryStore(self.line.store)

    @property
    def file(self) -> Path:
        path = self.line.folder / "ordeal.toml"
        path.write_text(tomlkit.dumps(self.content))
        return path

    @property
    def commits(self) -> int:
        """Lines of all members' histories."""
        files = self.line.store.glob("*/history.jsonl")
        return sum(file.read_bytes().count(b"\n") for file in files)

    def goes_through(self, deaths: int, seed: int) -> None:
        """Drivers that are killed anywhere, and one that is not."""
        chance = random.Random(seed)
        for _ in range(deaths):
            driver = self.line.start("sweep", self.file, "--json")
            goal = self.commits + chance.randint(0, 5)

            def is_there(driver: Any = driver, goal: int = goal) -> bool:
                return self.commits >= goal or driver.process.poll() is not None

            until(is_there, "more is committed")
            time.sleep(chance.uniform(0, 0.5))  # waits for nothing: it makes it die anywhere
            until_gone(driver.kill())
            self.died += 1
            self._look_at_budget()
        result = self.line.start("sweep", self.file, "--json").result(LONGEST_SECONDS)
        assert result.err.count("Traceback") == 0, result.err
        self.code, self.answer = result.code, result.answer
        self._look_at_budget()

    def _look_at_budget(self) -> None:
        if not (self.line.store / "_sweeps").exists():
            return
        standing = read_standing(self.store, "ordeal")
        spent = standing.spent.get("shots", 0.0)
        if spent > standing.plan.budget["shots"]:
            self.exceeded.append(spent)

    def bits(self) -> dict[str, list[str]]:
        """Every member's states, in their order."""
        return {
            member["run_id"]: [
                c.state_sha256 for c in Journal(self.store, member["run_id"]).history()
            ]
            for member in self.answer["members"]
        }


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory, prefect_home: Path) -> Iterator[Any]:
    """Command lines with a store each."""
    path = f"{TESTS}"
    import os

    search = os.pathsep.join([path, os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    made: list[Any] = []

    def make(name: str) -> CommandLine:
        context = command_line(tmp_path_factory.mktemp(name), prefect_home, PYTHONPATH=search)
        made.append(context)
        line: CommandLine = context.__enter__()
        return line

    yield make
    for context in made:
        context.__exit__(None, None, None)


class TestWithEnoughForAll:
    DEATHS = kills(by_day=1 / 4)

    @pytest.fixture(scope="class")
    @classmethod
    def both(cls, lines: Any) -> tuple[SweepOrdeal, SweepOrdeal]:
        """The killed one, and one that was never killed."""
        found: list[SweepOrdeal] = []
        for name, deaths in (("killed", cls.DEATHS), ("whole", 0)):
            line = lines(name)
            enough = 1e6 + deaths * AT_ONCE * 200
            ordeal = SweepOrdeal(line, described(line.folder / "bill", budget=enough))
            ordeal.goes_through(deaths, seed=KILLS)
            found.append(ordeal)
        killed, whole = found
        return killed, whole

    def test_it_ends_with_the_same_table(self, both: tuple[SweepOrdeal, SweepOrdeal]) -> None:
        killed, whole = both
        assert killed.died == self.DEATHS and (killed.code, whole.code) == (0, 0)
        assert killed.answer["rows"] == whole.answer["rows"]
        assert killed.answer["status"] == "done"

    def test_every_member_has_the_same_bits(self, both: tuple[SweepOrdeal, SweepOrdeal]) -> None:
        killed, whole = both
        assert killed.bits() == whole.bits()
        assert {len(bits) for bits in killed.bits().values()} == {ITERATIONS + 1}

    def test_no_iteration_of_a_member_is_committed_twice(
        self, both: tuple[SweepOrdeal, SweepOrdeal]
    ) -> None:
        killed, _ = both
        for member in killed.answer["members"]:
            lines = killed.store.lines(f"{member['run_id']}/history.jsonl")
            counts = Counter(line.split(b",")[0] for line in lines)
            assert set(counts.values()) == {1}, member["run_id"]

    def test_the_budget_was_never_exceeded(self, both: tuple[SweepOrdeal, SweepOrdeal]) -> None:
        killed, _ = both
        assert killed.exceeded == []


class TestWithTooLittle:
    def test_no_shot_more_than_there_is_is_ever_begun(self, lines: Any) -> None:
        """The bill has a line for every sample before it is begun, of killed drivers, too."""
        line = lines("little")
        bill, budget = line.folder / "bill", 300.0
        content = described(bill, budget=budget)
        content["group"] = [{**content["group"][0], "seeds": 8}]
        content["stop"] = {"max_iterations": 5}
        ordeal = SweepOrdeal(line, content)
        ordeal.goes_through(kills(1 / 2, by_day=1 / 4), seed=KILLS + 1)
        assert ordeal.code == 1 and ordeal.exceeded == []
        assert billed(bill) <= budget
        assert ordeal.answer["status"] == "incomplete"
        spent, lost = (ordeal.answer[name].get("shots", 0.0) for name in ("spent", "lost"))
        assert billed(bill) <= spent <= budget
        assert spent - lost <= billed(bill)
        assert budget - spent < 10  # what is left is not enough for an iteration
