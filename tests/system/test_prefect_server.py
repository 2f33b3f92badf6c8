"""With a Prefect server: what it shows, what a run needs of it, and that it may be away."""

from __future__ import annotations

import json
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import anyio
import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas import State
from prefect.client.schemas.objects import StateType

from loop.reports.stored_runs import StoredRun, energies
from loop.toys import Counting
from qcsc_algorithms.bitcount.bitcount import BitCount
from qcsc_algorithms.bitcount.flow import bitcount
from qcsc_loop.concurrency.process_life import here
from qcsc_loop.errors import InputError
from qcsc_loop.prefect.blocks import AerSamplerBlock
from qcsc_loop.prefect.driver_facts import FLOW_RUN
from qcsc_loop.prefect.ends import ends_superseded
from qcsc_loop.prefect.flow import run_in_flow
from qcsc_loop.prefect.predecessors import report_ends
from qcsc_loop.rules.reason import Reason
from qcsc_loop.rules.stop import MaxIterations
from qcsc_loop.sampling.aer.sampler import AerSampler
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal
from qcsc_loop.store.records import EndRecord, EpochRecord, Holder
from system.command_line import WANDER, Background, CommandLine, command_line, setting
from system.server import PrefectServer
from waiting import until

pytestmark = pytest.mark.server

RUN = ("run", WANDER)
NAMED = ("--algorithm", WANDER)
OUTAGE_SECONDS = 90.0  # how long a finished run may wait for a server that is gone
INLINE_BYTES = 64 * 1024


class Gates:
    """Holds the toy in `sample` of the iterations it is told to."""

    def __init__(self, folder: Path, *iterations: int) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self.settings = setting(gate=str(folder), gates=list(iterations))

    def reached(self, iteration: int) -> Path:
        return self._folder / f"{iteration}.reached"

    def open(self, iteration: int) -> None:
        (self._folder / f"{iteration}.open").touch()


def limit(iterations: int) -> tuple[str, ...]:
    return ("--max-iterations", str(iterations), "--json")


def lose_the_store(line: CommandLine) -> None:
    shutil.rmtree(line.store)


def whole(line: CommandLine, *words: str) -> str:
    """The state of a run that nothing happened to."""
    return str(line(*RUN, "--no-prefect", *words).well().answer["state_sha256"])


def published(server: PrefectServer, run_id: str) -> list[dict[str, Any]]:
    """A checkpoint's artifact for each iteration: after a lost answer the client sends one again."""
    rows = server.artifacts(run_id)
    by_iteration = {json.loads(row["data"])["commit"]["iteration"]: row for row in rows}
    assert list(by_iteration) == sorted(by_iteration)
    return list(by_iteration.values())


class TestWhatTheServerShows:
    @pytest.fixture(scope="class")
    @classmethod
    def shown(
        cls, tmp_path_factory: pytest.TempPathFactory, prefect_home: Path, server: PrefectServer
    ) -> str:
        """The id of a run that stopped after 3 iterations and was resumed to 5."""
        folder = tmp_path_factory.mktemp("shown")
        with command_line(folder, prefect_home, **server.settings) as line:
            line(*RUN, "--run-id", "shown", *limit(3)).well()
            line("resume", "shown", *limit(5)).well()
        return "shown"

    def test_each_iteration_is_an_artifact_under_the_runs_key(
        self, server: PrefectServer, shown: str
    ) -> None:
        rows = published(server, shown)
        commits = [json.loads(row["data"])["commit"] for row in rows]
        assert [commit["iteration"] for commit in commits] == [0, 1, 2, 3, 4, 5]
        assert {row["type"] for row in rows} == {"qcsc-loop-checkpoint"}
        assert commits[-1]["scalars"]["steps"] == 5
        assert [commit["epoch"] for commit in commits] == [1, 1, 1, 1, 2, 2]

    def test_a_resume_is_a_further_flow_run_of_the_same_run(
        self, server: PrefectServer, shown: str
    ) -> None:
        first, second = server.flow_runs(shown)
        assert (first["name"], set(first["tags"])) == (shown, {f"run:{shown}"})
        assert second["name"] == f"{shown} resumed at 3"
        assert set(second["tags"]) == {f"run:{shown}", "resumed"}
        assert [run["state_type"] for run in (first, second)] == ["COMPLETED", "COMPLETED"]

    def test_a_flow_runs_end_says_what_came_of_the_run(
        self, server: PrefectServer, shown: str
    ) -> None:
        _, second = server.flow_runs(shown)
        assert second["state_name"] == "LimitReached"
        command = f"qcsc-loop resume {shown} --max-iterations 10"
        said = f"stopped after 5 iterations (limit of 5); to go on: {command}"
        assert second["state"]["message"] == said
        assert said in server.logged(second["id"])
        *_, report = server.artifacts(f"{shown}-report")
        assert report["description"] == said
        assert f"To go on: `{command}`" in report["data"].splitlines()

    def test_its_log_has_the_iterations(self, server: PrefectServer, shown: str) -> None:
        first, _ = server.flow_runs(shown)
        said = server.logged(first["id"])
        assert len([line for line in said if line.startswith("iteration 3: ")]) == 1, said

    def test_the_flow_runs_parameters_are_the_algorithms(
        self, server: PrefectServer, shown: str
    ) -> None:
        first, _ = server.flow_runs(shown)
        assert first["parameters"]["run_id"] == shown
        assert first["parameters"]["algorithm"]["size"] == 8

    def test_each_step_is_a_task_run_with_its_iteration(
        self, server: PrefectServer, shown: str
    ) -> None:
        _, second = server.flow_runs(shown)
        steps = [f"{step}[{k}]" for step in ("evaluate", "sample", "update") for k in (4, 5)]
        assert server.task_runs(second["id"]) == steps

    def test_each_driver_has_one_report_with_the_curve_and_how_it_ended(
        self, server: PrefectServer, shown: str
    ) -> None:
        first, second = server.artifacts(f"{shown}-report")
        assert {first["type"], second["type"]} == {"markdown"}
        assert "Stopped after 3 iterations" in first["data"]
        assert "Stopped after 5 iterations" in second["data"]
        assert "](data:image/svg+xml;base64," in second["data"]
        assert second["description"].startswith("stopped after 5 iterations")

    def test_each_driver_is_an_artifact_with_its_end(
        self, server: PrefectServer, shown: str
    ) -> None:
        drivers = [json.loads(row["data"]) for row in server.artifacts(f"{shown}-run")]
        assert [driver["epoch"]["epoch"] for driver in drivers] == [1, 2]
        assert [driver["end"]["reason"] for driver in drivers] == ["max_iterations"] * 2

    def test_a_flow_runs_artifacts_are_what_people_look_at(
        self, server: PrefectServer, shown: str
    ) -> None:
        for flow_run in server.flow_runs(shown):
            of = {"flow_runs": {"id": {"any_": [flow_run["id"]]}}}
            rows = server.post("/artifacts/filter", {**of, "limit": 200, "offset": 0})
            assert [row["key"] for row in rows] == [f"{shown}-report"]


@pytest.mark.parametrize(
    ("tasks", "names"),
    [("iteration", ["iteration[1]", "iteration[2]"]), ("none", [])],
    ids=["a task for each iteration", "no tasks"],
)
def test_tasks_are_as_fine_as_asked_for(
    with_server: CommandLine, server: PrefectServer, run_id: str, tasks: str, names: list[str]
) -> None:
    with_server(*RUN, "--run-id", run_id, "--tasks", tasks, *limit(2)).well()
    (flow_run,) = server.flow_runs(run_id)
    assert server.task_runs(flow_run["id"]) == names
    assert server.iterations(run_id) == [0, 1, 2]


def test_a_run_that_fails_is_a_failed_flow_run(
    with_server: CommandLine, server: PrefectServer, run_id: str, tmp_path: Path
) -> None:
    (tmp_path / "trace.bad").touch()
    words = (WANDER.replace("Wander", "Raises"), *setting(trace=str(tmp_path / "trace")))
    assert with_server("run", *words, "--run-id", run_id).code == 1
    (flow_run,) = server.flow_runs(run_id)
    assert flow_run["state_type"] == "FAILED"
    (driver,) = server.artifacts(f"{run_id}-run")
    assert json.loads(driver["data"])["end"]["reason"] == "failed"
    (report,) = server.artifacts(f"{run_id}-report")
    assert "Failed after " in report["data"]
    assert f"qcsc-loop resume {run_id}" in report["data"]


def test_a_run_that_is_interrupted_says_so_on_the_server(
    with_server: CommandLine, server: PrefectServer, run_id: str, tmp_path: Path
) -> None:
    gates = Gates(tmp_path / "gates", 2)
    driver = with_server.start(*RUN, "--run-id", run_id, *gates.settings)
    driver.until_there_is(gates.reached(2))
    driver.send(signal.SIGTERM)
    assert driver.result().code == 143
    (row,) = server.artifacts(f"{run_id}-run")
    assert json.loads(row["data"])["end"]["reason"] == "interrupted"
    (flow_run,) = server.flow_runs(run_id)
    assert flow_run["state_type"] in {"CRASHED", "CANCELLED", "FAILED"}
    (report,) = server.artifacts(f"{run_id}-report")
    assert "Interrupted after 1 iteration" in report["data"]


def test_a_killed_drivers_flow_run_is_set_crashed_by_the_next_driver(
    with_server: CommandLine, server: PrefectServer, run_id: str, tmp_path: Path
) -> None:
    gates = Gates(tmp_path / "gates", 2)
    driver = with_server.start(*RUN, "--run-id", run_id, *gates.settings, *limit(3))
    driver.until_there_is(gates.reached(2))
    driver.kill()
    gates.open(2)
    with_server("resume", run_id).well()
    first, second = server.flow_runs(run_id)
    assert (first["state_type"], second["state_type"]) == ("CRASHED", "COMPLETED")
    assert "driver 2 has the run" in first["state"]["message"]
    (report,) = [
        row for row in server.artifacts(f"{run_id}-report") if row["flow_run_id"] == first["id"]
    ]
    assert report["description"] == "its driver is gone without a word; driver 2 has the run"


@pytest.mark.parametrize(
    ("reason", "state", "how"),
    [
        (None, ("CRASHED", "Crashed"), "its driver is gone without a word"),
        (Reason.INTERRUPTED, ("CRASHED", "Crashed"), "interrupted after 2 iterations"),
        (Reason.MAX_ITERATIONS, ("COMPLETED", "LimitReached"), "stopped after 2 iterations"),
        (Reason.CONVERGED, ("COMPLETED", "Converged"), "converged after 2 iterations"),
        (Reason.FAILED, ("FAILED", "Failed"), "failed after 2 iterations"),
        (Reason.CANCELLED, ("CANCELLED", "Cancelled"), "cancelled after 2 iterations"),
    ],
)
def test_a_flow_run_whose_end_no_server_heard_of_ends_as_the_disk_has_it(
    server: PrefectServer,
    in_process: Callable[[], Any],
    tmp_path: Path,
    reason: Reason | None,
    state: tuple[str, str],
    how: str,
) -> None:
    made = server.post("/flows/", {"name": "water"})
    begun = {"flow_id": made["id"], "state": {"type": "RUNNING", "message": "at work"}}
    flow_run = server.post("/flow_runs/", begun)["id"]
    stored = StoredRun(tmp_path / "store", f"unheard-{flow_run[:8]}").history(energies(2)).job(1)
    dead = Holder(**asdict(here()), pid=2**22 - 1, pid_started=0.0, start_ticks=1)
    first, second = (
        EpochRecord(
            epoch=epoch,
            holder=dead,
            lease_seconds=60,
            settings=stored.settings,
            provenance={FLOW_RUN: flow_run} if epoch == 1 else {},
        )
        for epoch in (1, 2)
    )
    end = None if reason is None else EndRecord(epoch=1, reason=reason, iteration=2)
    stored.journal.adopt_driver(first, end)

    async def report() -> None:
        async with get_client() as client:
            await report_ends(client, stored.journal, second, None)

    with in_process():
        anyio.run(report)

    ended = server.get(f"/flow_runs/{flow_run}")
    assert (ended["state_type"], ended["state_name"]) == state
    assert ended["state"]["message"].endswith("; driver 2 has the run")
    (page,) = server.artifacts(f"{stored.run_id}-report")
    assert (page["flow_run_id"], page["description"]) == (flow_run, f"{how}; driver 2 has the run")
    (table,) = server.artifacts(f"{stored.run_id}-jobs")
    assert [row["job id"] for row in json.loads(table["data"])] == ["48001"]


class TestBitCount:
    WORDS = ("run", "bitcount", *setting(num_qubits=3, shots=200, tolerance=0))

    def test_its_counts_are_a_table_under_its_own_name(
        self, with_server: CommandLine, server: PrefectServer, run_id: str
    ) -> None:
        with_server(*self.WORDS, "--run-id", run_id, *limit(1)).well()
        (table,) = server.artifacts(f"{run_id}-sampler-count-dict")
        rows = json.loads(table["data"])
        assert table["type"] == "table"
        assert sorted(row["bitstring"] for row in rows) == ["000", "111"]
        assert sum(row["count"] for row in rows) == 200

    def test_a_saved_block_says_where_it_samples(
        self,
        with_server: CommandLine,
        server: PrefectServer,
        run_id: str,
        in_process: Callable[[], Any],
    ) -> None:
        block = AerSamplerBlock(settings=AerSampler(method="matrix_product_state"))
        with in_process():
            anyio.run(block.asave, run_id)
        words = (*self.WORDS, "--set", f"sampler=aer-sampler/{run_id}", "--run-id", run_id)
        with_server(*words, *limit(1)).well()
        settings = with_server.journal(run_id).settings()
        assert settings.resolved["sampler"]["method"] == "matrix_product_state"
        assert settings.parameters["sampler"] == f"aer-sampler/{run_id}"
        _, samples = with_server.journal(run_id).step(1, "sample") or (None, None)
        assert samples is not None
        assert b"matrix_product_state" in samples.body

    def test_a_block_that_is_no_sampler_is_refused_with_those_there_are(
        self,
        with_server: CommandLine,
        server: PrefectServer,
        run_id: str,
        in_process: Callable[[], Any],
    ) -> None:
        with in_process():
            anyio.run(AerSamplerBlock().asave, run_id)
        begun = server.post("/flow_runs/count", {})
        for wrong in (
            ("--set", f"sampler=aer-sampler/not-{run_id}"),
            ("--machine", "fkae"),
        ):
            result = with_server(*self.WORDS, *wrong)
            said = result.refusal
            assert "/flow-run/" not in result.out + result.err
            assert f"aer-sampler/{run_id}" in said or "--set" not in wrong
        assert server.post("/flow_runs/count", {}) == begun


# Prefect asks for its default storage with a client that it does not close
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
class TestTheDeployableFlow:
    def test_it_runs_with_an_algorithm_alone(
        self,
        server: PrefectServer,
        in_process: Callable[[], Any],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("QCSC_LOOP_STORE", str(tmp_path / "store"))
        algorithm = BitCount(num_qubits=3, shots=2000, tolerance=0.05)
        with in_process():
            summary = anyio.run(bitcount, algorithm)
        assert isinstance(summary, dict)
        assert summary["reason"] == "converged"
        assert server.iterations(summary["run_id"]) == list(range(summary["iteration"] + 1))
        (flow_run,) = server.flow_runs(summary["run_id"])
        assert re.fullmatch(r"bitcount-\d{4}-\d{4}-[a-z0-9]{4}", summary["run_id"])
        assert flow_run["state_name"] == "Converged"

    def test_its_form_has_titles_and_limits(self) -> None:
        schema = bitcount.parameters.model_dump()
        assert list(schema["properties"]) == ["algorithm", "run"]
        form = schema["definitions"]["BitCount"]["properties"]
        assert (form["num_qubits"]["title"], form["num_qubits"]["minimum"]) == ("Num Qubits", 2)
        assert (form["num_qubits"]["maximum"], form["shots"]["minimum"]) == (1000, 1)
        assert "description" in form["shots"]
        assert "aer" in json.dumps(form["sampler"]) + json.dumps(schema["definitions"])


# as above
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
class TestAFlowOfYourOwn:
    def test_ends_as_superseded_where_another_driver_has_its_run(
        self, in_process: Callable[[], Any], run_id: str, tmp_path: Path
    ) -> None:
        store = DirectoryStore(tmp_path)

        @flow(persist_result=False)
        @ends_superseded
        async def mine(count: int) -> int:
            outcome = await run_in_flow(
                Counting(), store=store, run_id=run_id, stop=MaxIterations(count)
            )
            return outcome.iteration

        async def ended(count: int) -> State[Any]:
            state: State[Any] = await mine(count, return_state=True)
            return state

        with in_process():
            assert anyio.run(ended, 1).is_completed()
            journal = Journal(store, run_id)
            lease = journal.claim(journal.settings(), {}, 30.0)
            state = anyio.run(ended, 2)
            lease.release(None)
        assert (state.type, state.name) == (StateType.COMPLETED, "Superseded")
        assert "another driver has the run: run" in str(state.message)

    def test_that_is_not_async_is_refused(self) -> None:
        with pytest.raises(InputError, match="between @flow and an async function; len is none"):
            ends_superseded(len)  # type: ignore[arg-type]  # that is its fault


@pytest.mark.guarantee("G26")
class TestWithoutTheDisk:
    """A run whose store is gone goes on from what the server has."""

    def test_a_resume_ends_with_the_same_state(self, with_server: CommandLine, run_id: str) -> None:
        with_server(*RUN, "--run-id", run_id, "--seed", "3", *limit(3)).well()
        lose_the_store(with_server)
        answer = with_server("resume", run_id, *NAMED, *limit(5)).well().answer
        assert answer["resumed_from"] == 3
        assert answer["state_sha256"] == whole(with_server, "--seed", "3", *limit(5))
        assert [c.iteration for c in with_server.journal(run_id).history()] == list(range(6))

    def test_it_says_what_it_found_and_asks_for_the_code_to_be_named(
        self, with_server: CommandLine, run_id: str
    ) -> None:
        with_server(*RUN, "--run-id", run_id, *limit(1)).well()
        lose_the_store(with_server)
        said = with_server("resume", run_id, *limit(2)).refusal
        assert f"this disk has no run '{run_id}'; the Prefect server has one of {WANDER}" in said
        assert f"qcsc-loop resume {run_id} --algorithm {WANDER}" in said
        assert not with_server.store.exists()

    def test_it_may_be_asked_for_with_run_too(self, with_server: CommandLine, run_id: str) -> None:
        words = (*RUN, "--run-id", run_id)
        with_server(*words, *limit(3)).well()
        lose_the_store(with_server)
        assert with_server(*words, *limit(4)).well().answer["resumed_from"] == 3

    def test_other_parameters_are_refused_as_with_the_disk(
        self, with_server: CommandLine, run_id: str
    ) -> None:
        with_server(*RUN, "--run-id", run_id, *limit(1)).well()
        lose_the_store(with_server)
        result = with_server(*RUN, *setting(size=3), "--run-id", run_id, *limit(2))
        assert "(size: 8 -> 3)" in result.refusal

    def test_the_newest_artifacts_are_stepped_past_however_they_are_damaged(
        self, with_server: CommandLine, server: PrefectServer, run_id: str
    ) -> None:
        damages: list[Callable[[str], str]] = [
            lambda text: text[: len(text) // 2],
            lambda text: text.replace('"state":{', '"state":{"x":1},"was":{'),
            lambda text: text.replace('"place"', '"palace"'),
            lambda text: text.replace('steps\\":', 'steps\\":1'),
            lambda text: "{}",
        ]
        with_server(*RUN, "--run-id", run_id, *limit(6)).well()
        lose_the_store(with_server)
        newest = server.artifacts(run_id)[-len(damages) :]
        for row, damage in zip(newest, damages, strict=True):
            assert damage(row["data"]) != row["data"]
            server.change(row["id"], damage(row["data"]))
        answer = with_server("resume", run_id, *NAMED, *limit(6)).well().answer
        assert answer["resumed_from"] == 1
        assert answer["state_sha256"] == whole(with_server, *limit(6))

    def test_the_newest_is_found_though_the_servers_clock_stepped_back(
        self, with_server: CommandLine, server: PrefectServer, run_id: str
    ) -> None:
        with_server(*RUN, "--run-id", run_id, *limit(4)).well()
        lose_the_store(with_server)
        rows = server.artifacts(run_id)
        for row, other in zip(rows, [rows[-1], *rows[:-1]], strict=True):
            server.change(row["id"], other["data"])
        assert with_server("resume", run_id, *NAMED, *limit(5)).well().answer["resumed_from"] == 4

    @pytest.mark.parametrize(
        "damage",
        [lambda text: text[:-400], lambda text: f"{text[:-400]}{'A' * 396}{text[-4:]}"],
        ids=["cut off", "other numbers"],
    )
    def test_a_newest_artifact_with_a_damaged_array_is_stepped_past(
        self,
        with_server: CommandLine,
        server: PrefectServer,
        run_id: str,
        damage: Callable[[str], str],
    ) -> None:
        words = (*setting(size=500), *limit(3))
        with_server(*RUN, "--run-id", run_id, *words).well()
        lose_the_store(with_server)
        newest = server.artifacts(run_id)[-1]
        data = json.loads(newest["data"])
        ((name, text),) = data["state"]["arrays"].items()
        data["state"]["arrays"][name] = damage(text)
        server.change(newest["id"], json.dumps(data))
        answer = with_server("resume", run_id, *NAMED, *limit(3)).well().answer
        assert answer["resumed_from"] == 2
        assert answer["state_sha256"] == whole(with_server, *words)

    def test_a_large_state_is_not_on_the_server_and_the_refusal_says_on_which_disk_it_is(
        self, with_server: CommandLine, server: PrefectServer, run_id: str
    ) -> None:
        large = setting(size=INLINE_BYTES // 8 + 1)
        with_server(*RUN, *large, "--run-id", run_id, *limit(2)).well()
        data = [json.loads(row["data"]) for row in server.artifacts(run_id)]
        assert [artifact["state"] for artifact in data] == [None] * 3
        assert {artifact["place"] for artifact in data} == {str(with_server.store)}
        lose_the_store(with_server)
        said = with_server("resume", run_id, *NAMED, *limit(3)).refusal
        assert f"its state is in {with_server.store}, too large for an artifact" in said

    def test_a_state_that_left_the_history_is_stripped_from_its_artifact(
        self, with_server: CommandLine, server: PrefectServer, run_id: str
    ) -> None:
        # 16 kB a state; slow enough that each one is published while it is in the history
        words = (*setting(size=2000, pause=0.1), "--keep", "2", "--run-id", run_id)
        with_server(*RUN, *words, *limit(4)).well()
        states = [json.loads(row["data"])["state"] for row in server.artifacts(run_id)]
        assert [state is not None for state in states] == [False] * 3 + [True] * 2


class TestAnotherMachine:
    def test_it_is_refused_while_the_driver_lives(
        self, with_server: CommandLine, run_id: str, tmp_path: Path
    ) -> None:
        gates = Gates(tmp_path / "gates", 2)
        driver = with_server.start(*RUN, "--run-id", run_id, *gates.settings, *limit(3))
        driver.until_there_is(gates.reached(2))
        refused = with_server("resume", run_id, "--store", tmp_path / "elsewhere", "--json")
        assert f"process {driver.pid} on " in refused.refusal
        assert refused.answer["kind"] == "RunLocked"
        assert not (tmp_path / "elsewhere").exists()
        gates.open(2)
        assert driver.result().well().answer["state_sha256"] == whole(with_server, *limit(3))

    def test_it_hears_of_a_driver_whose_hook_blocks_the_event_loop(
        self, with_server: CommandLine, server: PrefectServer, run_id: str, tmp_path: Path
    ) -> None:
        with_server.environment |= {"QCSC_LOOP_LEASE_SECONDS": "1"}
        gates = Gates(tmp_path / "gates", 1)
        words = ("--run-id", run_id, *gates.settings, *setting(busy=True), *limit(1))
        driver = with_server.start(*RUN, *words)

        def heard_at() -> list[str]:
            return [row["updated"] for row in server.artifacts(f"{run_id}-run")]

        driver.until_there_is(gates.reached(1))
        for _ in range(2):
            last = heard_at()
            assert last
            until(lambda: heard_at() != last, "the server hears of it")  # noqa: B023
        gates.open(1)
        driver.result().well()

    def test_it_goes_on_once_the_driver_is_done(
        self, with_server: CommandLine, run_id: str, tmp_path: Path
    ) -> None:
        with_server(*RUN, "--run-id", run_id, *limit(2)).well()
        elsewhere = ("resume", run_id, *NAMED, "--store", str(tmp_path / "elsewhere"))
        assert with_server(*elsewhere, *limit(4)).well().answer["resumed_from"] == 2
        # and the first machine takes it back, with what the other one did
        answer = with_server("resume", run_id, *limit(5)).well().answer
        assert answer["resumed_from"] == 4
        assert answer["state_sha256"] == whole(with_server, *limit(5))


@pytest.mark.guarantee("G25")
class TestAServerThatGoesAway:
    @pytest.fixture
    def line(
        self, tmp_path: Path, prefect_home: Path, fragile_server: PrefectServer
    ) -> Iterator[CommandLine]:
        fragile_server.kill()
        fragile_server.start()
        with command_line(tmp_path / "line", prefect_home, **fragile_server.settings) as line:
            yield line

    @staticmethod
    def held(line: CommandLine, run_id: str, gates: Gates, last: int, *more: str) -> Background:
        return line.start(*RUN, "--run-id", run_id, *gates.settings, *limit(last), *more)

    @pytest.mark.parametrize("tasks", ["step", "none"])
    def test_a_run_goes_on_and_all_is_published_in_order_after_the_restart(
        self,
        line: CommandLine,
        fragile_server: PrefectServer,
        run_id: str,
        tmp_path: Path,
        tasks: str,
    ) -> None:
        gates = Gates(tmp_path / "gates", 3, 20)
        driver = self.held(line, run_id, gates, 22, "--tasks", tasks)
        driver.until_there_is(gates.reached(3))
        fragile_server.kill()
        gates.open(3)
        driver.until_there_is(gates.reached(20))  # further than it may be ahead of a server
        fragile_server.start()
        gates.open(20)
        result = driver.result().well()
        assert result.answer["state_sha256"] == whole(line, *limit(22))
        assert "the Prefect server does not take checkpoints at the moment" in result.err
        assert fragile_server.iterations(run_id) == list(range(23))

    def test_a_run_ends_without_its_server_and_a_later_resume_sends_what_is_missing(
        self, line: CommandLine, fragile_server: PrefectServer, run_id: str, tmp_path: Path
    ) -> None:
        gates = Gates(tmp_path / "gates", 3)
        driver = self.held(line, run_id, gates, 8)
        driver.until_there_is(gates.reached(3))
        fragile_server.kill()
        began = time.monotonic()
        gates.open(3)
        result = driver.result().well()
        assert time.monotonic() - began < OUTAGE_SECONDS
        assert result.answer["state_sha256"] == whole(line, *limit(8))
        assert f"`qcsc-loop resume {run_id}` sends what is missing" in result.err
        fragile_server.start()
        assert fragile_server.iterations(run_id) != list(range(9))
        line("resume", run_id).well()
        assert fragile_server.iterations(run_id) == list(range(9))

    def test_what_a_killed_driver_could_not_publish_is_published_by_the_next(
        self, line: CommandLine, fragile_server: PrefectServer, run_id: str, tmp_path: Path
    ) -> None:
        gates = Gates(tmp_path / "gates", 3, 6)
        driver = self.held(line, run_id, gates, 8)
        driver.until_there_is(gates.reached(3))
        fragile_server.kill()
        gates.open(3)
        driver.until_there_is(gates.reached(6))
        driver.kill()
        fragile_server.start()
        gates.open(6)
        answer = line("resume", run_id, "--json").well().answer
        assert (answer["resumed_from"], answer["iteration"]) == (5, 8)
        assert fragile_server.iterations(run_id) == list(range(9))
