"""A resumed run goes on as it ran: with Prefect or without, and with the same tasks."""

from __future__ import annotations

from pathlib import Path

import pytest

from system.command_line import WANDER, CommandLine

NOBODY = {"PREFECT_API_URL": "http://127.0.0.1:9/api"}  # a run in a flow is refused


@pytest.fixture
def alone(qcsc_loop: CommandLine, run_id: str) -> CommandLine:
    """A command line with a run that was started without Prefect."""
    run = ("run", WANDER, "--no-prefect", "--max-iterations", "1", "--run-id", run_id)
    qcsc_loop(*run).well()
    return qcsc_loop


@pytest.fixture
def without_prefect(tmp_path: Path) -> dict[str, str]:
    """An environment in which Prefect cannot be imported."""
    package = tmp_path / "poisoned" / "prefect"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('prefect was imported')\n")
    return {"PYTHONPATH": str(package.parent)}


def tasks(line: CommandLine, run_id: str) -> list[str]:
    return [epoch.provenance["driven"]["tasks"] for epoch in line.journal(run_id).epochs()]


class TestARunThatWasStartedWithoutPrefect:
    def test_it_is_resumed_without_and_prefect_is_not_even_imported(
        self, alone: CommandLine, run_id: str, without_prefect: dict[str, str]
    ) -> None:
        resume = ("resume", run_id, "--max-iterations", "3", "--json")
        assert alone(*resume, env=without_prefect).well().answer["iteration"] == 3

    def test_it_is_resumed_without_by_run_too(
        self, alone: CommandLine, run_id: str, without_prefect: dict[str, str]
    ) -> None:
        again = ("run", WANDER, "--run-id", run_id, "--max-iterations", "2", "--json")
        assert alone(*again, env=without_prefect).well().answer["iteration"] == 2

    def test_prefect_is_what_it_gets_when_it_is_told_so(
        self, alone: CommandLine, run_id: str
    ) -> None:
        assert NOBODY["PREFECT_API_URL"] in alone("resume", run_id, "--prefect", env=NOBODY).refusal

    def test_it_has_no_variables_and_says_how_it_would(
        self, alone: CommandLine, run_id: str
    ) -> None:
        again = ("run", WANDER, "--run-id", run_id, "--variable", "size=my_size")
        assert "with --prefect it has" in alone(*again, env=NOBODY).refusal


class TestARunThatWasStartedInAFlow:
    @pytest.fixture
    def in_flow(self, with_server: CommandLine, run_id: str) -> CommandLine:
        words = ("--tasks", "none", "--max-iterations", "1", "--run-id", run_id)
        with_server("run", WANDER, *words).well()
        return with_server

    def test_it_is_resumed_in_one_with_the_same_tasks(
        self, in_flow: CommandLine, run_id: str
    ) -> None:
        assert NOBODY["PREFECT_API_URL"] in in_flow("resume", run_id, env=NOBODY).refusal
        in_flow("resume", run_id, "--max-iterations", "2").well()
        in_flow("resume", run_id, "--max-iterations", "3", "--tasks", "iteration").well()
        in_flow("resume", run_id, "--max-iterations", "4").well()
        assert tasks(in_flow, run_id) == ["none", "none", "iteration", "iteration"]

    def test_it_is_resumed_without_when_it_is_told_so_and_stays_so(
        self, in_flow: CommandLine, run_id: str
    ) -> None:
        resume = ("resume", run_id, "--max-iterations")
        in_flow(*resume, "2", "--no-prefect", env=NOBODY).well()
        in_flow(*resume, "3", env=NOBODY).well()
        assert tasks(in_flow, run_id) == ["none", "none", "none"]


def test_a_new_run_is_driven_in_a_flow(qcsc_loop: CommandLine) -> None:
    assert NOBODY["PREFECT_API_URL"] in qcsc_loop("run", WANDER, env=NOBODY).refusal
