"""A rule of the user's own, and what a newer version wrote: read without code, told for what it is."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from qcsc_loop.algorithm import IterativeAlgorithm
from qcsc_loop.catalog import find_algorithm, recorded_algorithm
from qcsc_loop.deployments.run_settings import RunSettings
from qcsc_loop.errors import NewerDocument, UnknownRule
from qcsc_loop.rules.stop import MaxIterations
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal
from qcsc_loop.store.versions import newer_version, this_version
from qcsc_loop.values.document import Document
from qcsc_loop.values.record import State
from system.command_line import CommandLine, command_line

OWN = """\
from pathlib import Path
from typing import Literal

import anyio

from qcsc_loop import IterativeAlgorithm, Progress, Reason, Stop, StopRule, State

(Path(__file__).parent / "imported").open("a").write("x")


class Own(StopRule):
    type: Literal["own-rule"] = "own-rule"
    at: float

    def check(self, progress: Progress) -> Stop | None:
        place = progress.recent[-1].scalars["place"]
        return Stop(Reason.CUSTOM, f"at {place:g}") if place >= self.at else None


class Place(State):
    place: float = 0.0


class Walk(IterativeAlgorithm[Place, None, None]):
    async def initialize(self) -> Place:
        return Place()

    async def sample(self, state: Place) -> None:
        return None

    async def evaluate(self, state: Place, samples: None) -> None:
        return None

    async def update(self, state: Place, evaluation: None) -> Place:
        return Place(place=state.place + 1)


if __name__ == "__main__":
    rule = Own(at=3.0) | Own(at=5.0)
    print(anyio.run(lambda: Walk().run(run_id="walk", stop=rule)).message)
"""


@pytest.fixture
def line(tmp_path: Path) -> Iterator[CommandLine]:
    with command_line(tmp_path / "line", tmp_path / "prefect") as line:
        yield line


@pytest.fixture
def own(line: CommandLine, tmp_path: Path) -> Path:
    """A file with an algorithm and a rule of its own, of which a run was made and stopped."""
    file = tmp_path / "own.py"
    file.write_text(OWN)
    done = line.start(file, program=Path(sys.executable)).result().well()
    assert done.out.strip() == "stopped after 3 iterations (at 3)"
    (tmp_path / "imported").unlink()
    return file


def test_a_run_with_a_rule_of_its_own_is_read_without_its_code(
    line: CommandLine, own: Path
) -> None:
    assert "stopped" in line("list").well().out
    shown = line("show", "walk").well().out
    assert '{"type": "own-rule", "at": 3.0}' in shown
    facts = line("show", "walk", "--json").well().answer
    assert facts["settings"]["stop"]["rules"][1] == {"type": "own-rule", "at": 5.0}
    line("reap", "walk").well()
    assert not own.with_name("imported").exists()


def test_it_is_resumed_to_the_rule_that_it_had(line: CommandLine, own: Path) -> None:
    own.write_text(OWN.replace("place >= self.at", "place >= self.at + 1"))
    done = line("resume", "walk", "--no-prefect", "--json").well().answer
    assert (done["iteration"], done["reason"]) == (4, "custom")
    assert own.with_name("imported").read_text() == "x"


def test_a_rule_that_left_the_file_is_told_for_what_it_is(line: CommandLine, own: Path) -> None:
    before = len(line.journal("walk").epochs())
    own.write_text(OWN.replace("own-rule", "other-rule"))
    said = line("resume", "walk", "--no-prefect").refusal
    assert "run 'walk' stops by the rule 'own-rule', which cannot be read here" in said
    assert "a plug-in that is not installed" in said
    assert "type must be one of all, any" in said
    assert len(line.journal("walk").epochs()) == before  # nothing was claimed
    again = ("resume", "walk", "--no-prefect", "--max-iterations", "4", "--json")
    assert line(*again).well().answer["iteration"] == 4


# what a newer version wrote

NEWER = "9.1.0"


class Still(State):
    value: float = 0.0


class Idle(IterativeAlgorithm[Still, None, None]):
    async def initialize(self) -> Still:
        return Still()

    async def sample(self, state: Still) -> None:
        return None

    async def evaluate(self, state: Still, samples: None) -> None:
        return None

    async def update(self, state: Still, evaluation: None) -> Still:
        return state


Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    store = DirectoryStore(tmp_path / "store")
    anyio.run(lambda: Idle().run(store=store, run_id="idle", stop=MaxIterations(1)))
    return store


def rewrite(store: DirectoryStore, name: str, change: Change) -> None:
    """The document as another version would have written it: whole, and of other content."""
    document = store.read(f"idle/{name}")
    content = json.loads(document.body)
    change(content)
    store.write(f"idle/{name}", Document(json.dumps(content).encode()))


def of_version(version: str) -> Change:
    return lambda content: content["provenance"]["versions"].update({"qcsc-loop": version})


def with_newer(content: dict[str, Any], *path: str, value: Any) -> None:
    *above, last = path
    inner = content
    for name in above:
        inner = inner[name]
    inner[last] = value


def test_a_record_that_a_newer_version_wrote_is_not_damaged(store: DirectoryStore) -> None:
    rewrite(store, "run", of_version(NEWER))
    rewrite(store, "run", lambda c: with_newer(c, "seed", value={"words": [1, 2]}))
    with pytest.raises(NewerDocument, match=rf"idle was written by qcsc-loop {NEWER}, and this is"):
        Journal(store, "idle").record()


def test_an_end_that_a_newer_version_wrote_is_told_by_its_driver_s_version(
    store: DirectoryStore,
) -> None:
    rewrite(store, "epochs/0001", of_version(NEWER))
    rewrite(store, "epochs/0001-end", lambda c: with_newer(c, "reason", value="bored"))
    with pytest.raises(NewerDocument, match="0001-end was written by"):
        Journal(store, "idle").end(1)


def test_the_same_of_this_version_is_damaged_and_says_nothing(store: DirectoryStore) -> None:
    rewrite(store, "epochs/0001-end", lambda c: with_newer(c, "reason", value="bored"))
    assert Journal(store, "idle").end(1) is None


def test_what_it_wrote_can_be_read_as_far_as_it_is_understood(store: DirectoryStore) -> None:
    rewrite(store, "run", of_version(NEWER))
    rewrite(store, "run", lambda c: with_newer(c, "mood", value="good"))
    assert Journal(store, "idle").record().seed == 0


def test_a_rule_of_a_newer_version_is_told_as_one(store: DirectoryStore) -> None:
    rewrite(store, "epochs/0001", of_version(NEWER))
    rule = {"type": "any", "rules": [{"type": "lunch-time"}]}
    rewrite(store, "epochs/0001", lambda c: with_newer(c, "settings", "stop", value=rule))
    with pytest.raises(UnknownRule, match=rf"'lunch-time'.* by qcsc-loop {NEWER}, which is newer"):
        anyio.run(lambda: Idle().run(store=store, run_id="idle"))


def test_a_class_of_a_newer_version_is_told_as_one(store: DirectoryStore) -> None:
    rewrite(store, "epochs/0001", of_version(NEWER))
    named = "qcsc_algorithms.bitcount:BitCountDeluxe"
    for name in ("run", "epochs/0001"):
        rewrite(store, name, lambda c: with_newer(c, "settings", "algorithm", value=named))
    with pytest.raises(NewerDocument, match="BitCountDeluxe is not in it"):
        recorded_algorithm(Journal(store, "idle"))


def test_a_machine_of_a_newer_version_is_told_as_one(store: DirectoryStore) -> None:
    settings = {
        "algorithm": "qcsc_algorithms.bitcount:BitCount",
        "parameters": {"machine": {"type": "abacus"}},
    }
    rewrite(store, "epochs/0001", of_version(NEWER))
    for name in ("run", "epochs/0001"):
        rewrite(store, name, lambda c: c["settings"].update(settings))
    with pytest.raises(NewerDocument, match="machine: type must be one of"):
        recorded_algorithm(Journal(store, "idle"))
    assert find_algorithm("bitcount")  # nothing but the machine was the matter


def test_list_says_newer_and_not_damaged(line: CommandLine, own: Path) -> None:
    journal = line.journal("walk")
    content = json.loads(journal.store.read("walk/run").body)
    content["provenance"]["versions"]["qcsc-loop"] = NEWER
    content["seed"] = "by dice"
    journal.store.write("walk/run", Document(json.dumps(content).encode()))
    (row,) = line("list", "--json").well().answer
    assert row["status"].startswith(f"newer: walk was written by qcsc-loop {NEWER}")


@pytest.mark.parametrize(
    ("version", "newer"),
    [(NEWER, True), (f"{NEWER}.dev3+g1", True), ("0.0.9", False), (None, False), (7, False)],
)
def test_a_version_is_newer_by_its_release(version: object, newer: bool) -> None:
    found = newer_version({"versions": {"qcsc-loop": version}})
    assert found == (version if newer else None)


def test_this_version_is_not_newer_than_itself() -> None:
    assert newer_version({"versions": {"qcsc-loop": this_version()}}) is None
    assert newer_version({}) is None and newer_version(None) is None


# deployments

FLOW = (
    OWN.partition("if __name__")[0]
    + """
from typing import Any

from prefect import flow

from qcsc_loop.deployments import RunSettings, drive


@flow(persist_result=False)
async def walk(algorithm: Walk = Walk(), run: RunSettings = RunSettings()) -> Any:
    return await drive(algorithm, run)
"""
)
DEPLOYMENT = """
name = "nightly"
flow = "own_flow:walk"

[run]
stop = [{ type = "TYPE", at = 3.0 }]
"""


@pytest.mark.parametrize(
    ("rule", "says"), [("own-rule", "Prefect"), ("no-rule", "run.stop.0: type must be one of all")]
)
def test_a_deployment_may_have_a_rule_of_its_flow_s_own(
    line: CommandLine, tmp_path: Path, rule: str, says: str
) -> None:
    (tmp_path / "own_flow.py").write_text(FLOW)
    (tmp_path / "nightly.toml").write_text(DEPLOYMENT.replace("TYPE", rule))
    said = line("deploy", "nightly.toml", cwd=tmp_path).refusal  # no server is configured
    assert says in said
    assert ("type must be" in said) == (rule == "no-rule")


def test_a_supervisor_needs_no_rule_of_an_algorithm_s() -> None:
    written = {"run_id": "walk", "drive": "chain", "stop": [{"type": "not-here", "at": 3.0}]}
    assert RunSettings.without_rules(written).drive == "chain"
    assert RunSettings.without_rules(written).stop == ()
