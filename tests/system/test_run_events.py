"""What a run tells a real Prefect server while it goes, so that automations can act on it."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest

from qcsc_loop.prefect.emitting import event_id
from system.command_line import TOYS, WANDER, CommandLine, command_line, setting
from system.server import PrefectServer
from waiting import until

pytestmark = pytest.mark.server

STARTED, RESUMED = "qcsc-loop.run.started", "qcsc-loop.run.resumed"
COMMITTED, STOPPED = "qcsc-loop.iteration.committed", "qcsc-loop.run.stopped"


def events(server: PrefectServer, run_id: str, *, last: str) -> list[dict[str, Any]]:
    """All events of a run in the order in which they happened, once `last` is among them."""
    about = {"resource": {"id": [f"qcsc-loop.run.{run_id}"]}}
    found: list[dict[str, Any]] = []

    def arrived() -> bool:  # the server stores them a moment after it took them
        answer = httpx.post(
            f"{server.url}/events/filter",
            json={"filter": {**about, "order": "ASC"}, "limit": 50},
            timeout=30,
        )
        found[:] = sorted(
            answer.raise_for_status().json()["events"], key=lambda event: str(event["occurred"])
        )
        return any(event["event"] == last for event in found)

    until(arrived, f"the server has {last}")
    return found


def sent(store: Path, run_id: str) -> list[dict[str, Any]]:
    """The run's own log."""
    return [json.loads(line) for line in (store / run_id / "events.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def told(
    tmp_path_factory: pytest.TempPathFactory, prefect_home: Path, server: PrefectServer
) -> Any:
    """A run of two iterations that converged in its fourth after a resume: events, and its log."""
    with command_line(tmp_path_factory.mktemp("told"), prefect_home, **server.settings) as line:
        line("run", WANDER, "--run-id", "told", "--max-iterations", "2").well()
        line("resume", "told", "--max-iterations", "9", *setting(goal=4)).well()
        found = events(server, "told", last="qcsc-loop.run.converged")
        yield found, sent(line.store, "told"), line


def test_a_run_tells_what_happens_in_order(told: Any) -> None:
    found, _, _ = told
    assert [event["event"] for event in found] == [
        *(STARTED, COMMITTED, COMMITTED, COMMITTED, STOPPED),
        *(RESUMED, COMMITTED, COMMITTED, "qcsc-loop.run.converged"),
    ]


def test_each_says_which_run_and_iteration_it_is_about(told: Any) -> None:
    found, _, _ = told
    assert {event["payload"]["run_id"] for event in found} == {"told"}
    assert {event["resource"]["prefect.resource.id"] for event in found} == {"qcsc-loop.run.told"}
    iterations = [e["payload"]["iteration"] for e in found if e["event"] == COMMITTED]
    assert iterations == [0, 1, 2, 3, 4]
    assert [event["payload"]["epoch"] for event in found] == [1] * 5 + [2] * 4


def test_a_commit_carries_its_scalars_and_its_hash(told: Any) -> None:
    found, _, line = told
    last = [event for event in found if event["event"] == COMMITTED][-1]["payload"]
    shown = line("show", "told", "--json").well().answer
    assert last["scalars"]["steps"] == 4
    assert last["state_sha256"] == shown["history"][-1]["state_sha256"]


def test_the_log_says_what_was_sent(told: Any) -> None:
    found, log, _ = told
    assert [(e["event"], e["id"], e["payload"]) for e in log] == [
        (e["event"], e["id"], e["payload"]) for e in found
    ]


def test_an_events_id_depends_on_what_happened_alone(told: Any) -> None:
    found, _, line = told
    uid = line.journal("told").record().uid
    commits = [event for event in found if event["event"] == COMMITTED]
    wanted = [
        str(
            event_id(
                uid, "iteration.committed", e["payload"]["iteration"], e["payload"]["epoch"], ""
            )
        )
        for e in commits
    ]
    assert [event["id"] for event in commits] == wanted
    assert len({event["id"] for event in found}) == len(found)


def test_a_run_that_raises_says_so(
    with_server: CommandLine, server: PrefectServer, run_id: str, tmp_path: Path
) -> None:
    (tmp_path / "trace.bad").touch()
    words = setting(trace=str(tmp_path / "trace"))
    assert with_server("run", f"{TOYS}:Raises", "--run-id", run_id, *words).code == 1
    *_, failed = events(server, run_id, last="qcsc-loop.run.failed")
    assert failed["payload"]["reason"] == "failed"
    assert "the detector is off" in failed["payload"]["because"]
    assert failed["payload"]["iteration"] == 1


def test_a_run_that_is_ended_by_a_signal_has_stopped(
    with_server: CommandLine, server: PrefectServer, run_id: str, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    gate.mkdir()
    words = setting(gate=str(gate), gates=[2])
    driver = with_server.start("run", WANDER, "--run-id", run_id, *words)
    driver.until_there_is(gate / "2.reached")
    driver.send(signal.SIGTERM)
    assert driver.result().code != 0
    *_, stopped = events(server, run_id, last=STOPPED)
    assert stopped["payload"]["reason"] == "interrupted"
    assert stopped["payload"]["iteration"] == 1


@pytest.mark.thorough
def test_a_server_that_is_away_stops_nothing(
    tmp_path: Path, prefect_home: Path, fragile_server: PrefectServer
) -> None:
    fragile_server.start()
    gate = tmp_path / "gate"
    gate.mkdir()
    words = setting(gate=str(gate), gates=[1])
    with command_line(tmp_path / "line", prefect_home, **fragile_server.settings) as line:
        driver = line.start(
            "run", WANDER, "--run-id", "away", "--max-iterations", "3", "--json", *words
        )
        driver.until_there_is(gate / "1.reached")
        fragile_server.kill()
        (gate / "1.open").touch()
        assert driver.result().well().answer["iteration"] == 3
        names = [event["event"] for event in sent(line.store, "away")]
        assert names == [STARTED, *[COMMITTED] * 4, STOPPED]


class TestEmit:
    WORDS = ("emit", "lab.calibrated", "--payload", "backend=kobe", "--payload", "shots=200")

    def test_the_server_has_the_event_with_its_payload(
        self, with_server: CommandLine, server: PrefectServer, run_id: str
    ) -> None:
        said = with_server(*self.WORDS, "--about", f"qcsc-loop.run.{run_id}", "--json").well()
        (found,) = events(server, run_id, last="lab.calibrated")
        assert found["payload"] == {"backend": "kobe", "shots": 200} == said.answer["payload"]
        assert found["id"] == said.answer["id"]

    def test_what_is_sent_once_has_one_id(self, with_server: CommandLine) -> None:
        ids = [
            with_server(*self.WORDS, "--once", "tuesday", "--json").well().answer["id"]
            for _ in range(2)
        ]
        assert len(set(ids)) == 1

    def test_that_nothing_waits_for_it_is_said(self, with_server: CommandLine) -> None:
        said = with_server("emit", "nobody.waits", "--json").well()
        assert said.answer["awaited"] is False
        assert "nothing on the server waits for nobody.waits: deploy or serve" in said.err

    @pytest.mark.parametrize(
        ("words", "why"),
        [
            (("emit", "Lab calibrated"), "is no event's name"),
            (("emit", "qcsc-loop.run.started"), "are a run's own to send"),
            (("emit", "lab.calibrated", "--payload", "x"), "not of the form name=value"),
        ],
    )
    def test_what_is_wrong_is_refused(
        self, with_server: CommandLine, words: tuple[str, ...], why: str
    ) -> None:
        assert why in with_server(*words).refusal

    def test_it_needs_a_server(self, qcsc_loop: CommandLine) -> None:
        assert "it is not set" in qcsc_loop(*self.WORDS).refusal
