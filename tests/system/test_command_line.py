"""What a person does with `qcsc-loop`, and what programs read from it."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from qcsc_loop.doctor import Finding
from qcsc_loop.prefect.doctor import signing_key
from qcsc_loop.prefect.signing import Signer, key_file
from system.command_line import (
    TOYS,
    WANDER,
    CommandLine,
    command_line,
    environment,
    setting,
)
from system.interpreter import SCRIPT
from system.server import PrefectServer
from system.terminal import Shown, on_a_terminal

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))
TOY = ("run", WANDER, "--no-prefect")
COMMAND = r"qcsc-loop (?:resume|show|reap)[^;\n]*"
SMALL = setting(num_qubits=3, shots=200, tolerance=0)


class TestRun:
    def test_json_ends_stdout_with_the_outcome(self, qcsc_loop: CommandLine, run_id: str) -> None:
        words = ("--run-id", run_id, "--max-iterations", "3", "--json")
        result = qcsc_loop(*TOY, *words).well()
        answer = result.answer
        assert (answer["run_id"], answer["iteration"]) == (run_id, 3)
        assert (answer["reason"], answer["resumed_from"]) == ("max_iterations", None)
        assert list(answer["scalars"]) == ["steps", "position"]
        assert len(answer["state_sha256"]) == 64
        assert result.out.count("\n") == 1

    def test_json_is_what_is_kept(self, qcsc_loop: CommandLine, run_id: str) -> None:
        words = ("--run-id", run_id, "--max-iterations", "2", "--json")
        answer = qcsc_loop(*TOY, *words).well().answer
        last = qcsc_loop.journal(run_id).history()[-1]
        assert (last.iteration, last.state_sha256) == (2, answer["state_sha256"])
        assert last.scalars == answer["scalars"]

    def test_parameters_come_from_a_file_and_settings_go_over_it(
        self, qcsc_loop: CommandLine, run_id: str, tmp_path: Path
    ) -> None:
        file = tmp_path / "parameters.toml"
        file.write_text('shots = 50\nnum_qubits = 4\n[sampler]\nmethod = "stabilizer"\n')
        words = ("--params", str(file), *setting(num_qubits=3, ranks=1), "--max-iterations", "0")
        qcsc_loop("run", "bitcount", "--no-prefect", "--run-id", run_id, *words).well()
        parameters = qcsc_loop.journal(run_id).settings().parameters
        assert (parameters["shots"], parameters["num_qubits"], parameters["ranks"]) == (50, 3, 1)
        assert parameters["sampler"]["method"] == "stabilizer"

    def test_a_number_is_a_text_where_a_text_is_expected(
        self, qcsc_loop: CommandLine, run_id: str
    ) -> None:
        words = ("--set", "says=12", "--max-iterations", "0", "--run-id", run_id)
        qcsc_loop(*TOY, *words).well()
        assert qcsc_loop.journal(run_id).settings().parameters["says"] == "12"

    def test_the_seed_alone_decides_what_is_drawn(self, qcsc_loop: CommandLine) -> None:
        def state(*seed: str) -> str:
            answer = qcsc_loop(*TOY, *seed, "--max-iterations", "1", "--json").well().answer
            return str(answer["state_sha256"])

        assert state("--seed", "5") == state("--seed", "5")
        assert len({state("--seed", "5"), state("--seed", "6"), state()}) == 3

    def test_runs_without_an_id_are_different_runs(self, qcsc_loop: CommandLine) -> None:
        ids = {
            qcsc_loop(*TOY, "--max-iterations", "0", "--json").well().answer["run_id"]
            for _ in range(2)
        }
        assert len(ids) == 2

    def test_a_store_that_is_named_is_used(
        self, qcsc_loop: CommandLine, run_id: str, tmp_path: Path
    ) -> None:
        other = tmp_path / "other"
        words = ("--store", other, "--max-iterations", "0", "--run-id", run_id)
        qcsc_loop(*TOY, *words).well()
        assert qcsc_loop.journal(run_id, other).exists()
        assert not qcsc_loop.store.exists()

    def test_a_tilde_in_the_store_is_the_home_folder(
        self, qcsc_loop: CommandLine, run_id: str, tmp_path: Path
    ) -> None:
        env = {"HOME": str(tmp_path), "QCSC_LOOP_STORE": "~/runs"}
        qcsc_loop(*TOY, "--max-iterations", "0", "--run-id", run_id, env=env).well()
        assert qcsc_loop.journal(run_id, tmp_path / "runs").exists()

    def test_a_finished_run_of_that_id_is_told_again(
        self, qcsc_loop: CommandLine, run_id: str
    ) -> None:
        words = (*TOY, "--run-id", run_id, "--max-iterations", "3", "--json")
        first, again = qcsc_loop(*words).well().answer, qcsc_loop(*words).well().answer
        assert again["resumed_from"] == 3
        assert again["state_sha256"] == first["state_sha256"]

    def test_it_stops_when_the_algorithm_has_converged(self, qcsc_loop: CommandLine) -> None:
        answer = qcsc_loop(*TOY, *setting(goal=2), "--json").well().answer
        assert (answer["reason"], answer["iteration"]) == ("converged", 2)

    def test_a_class_in_a_module_of_this_folder_runs(
        self, qcsc_loop: CommandLine, run_id: str, tmp_path: Path
    ) -> None:
        package = tmp_path / "mine"
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "toys.py").write_text(TOYS.read_text())
        words = ("mine.toys:Wander", "--no-prefect", "--max-iterations", "1", "--run-id", run_id)
        qcsc_loop("run", *words, cwd=tmp_path).well()
        assert qcsc_loop("resume", run_id, "--no-prefect", "--json", cwd=tmp_path).well().answer

    def test_a_class_that_was_moved_is_given_to_resume(
        self, qcsc_loop: CommandLine, run_id: str, tmp_path: Path
    ) -> None:
        file, moved = tmp_path / "here.py", tmp_path / "there.py"
        file.write_text(TOYS.read_text())
        limit = ("--no-prefect", "--max-iterations")
        qcsc_loop("run", f"{file}:Wander", *limit, "1", "--run-id", run_id).well()
        file.rename(moved)
        assert "no file" in qcsc_loop("resume", run_id, *limit, "2").refusal
        words = ("resume", run_id, "--algorithm", f"{moved}:Wander", *limit, "2", "--json")
        assert qcsc_loop(*words).well().answer["iteration"] == 2

    def test_a_relative_file_is_found_again_from_another_folder(
        self, qcsc_loop: CommandLine, run_id: str, tmp_path: Path
    ) -> None:
        (tmp_path / "mine.py").write_text(TOYS.read_text())
        limit = ("--no-prefect", "--max-iterations", "1", "--run-id", run_id)
        qcsc_loop("run", "mine.py:Wander", *limit, cwd=tmp_path).well()
        qcsc_loop("resume", run_id, "--no-prefect").well()

    @pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
    def test_an_example_runs_as_its_head_says(self, qcsc_loop: CommandLine, example: Path) -> None:
        head = next(line for line in example.read_text().splitlines() if "qcsc-loop run" in line)
        words = head.split()[1:]
        root = example.parents[1]
        words += ["--no-prefect", "--max-iterations", "2", "--json"]
        assert qcsc_loop(*words, cwd=root).well().answer["iteration"] > 0

    def test_a_failing_hook_is_retried_as_asked(
        self, qcsc_loop: CommandLine, run_id: str, tmp_path: Path
    ) -> None:
        (tmp_path / "trace.bad").touch()
        words = ("run", f"{TOYS}:Raises", "--no-prefect", *setting(trace=str(tmp_path / "trace")))
        retry = ("--retries", "2", "--retry-delay", "0", "--retry-on", "ValueError")
        result = qcsc_loop(*words, *retry, "--run-id", run_id)
        assert result.refusal
        assert result.out.count("warning: evaluate of iteration 2 failed") == 2

    def test_only_the_last_states_are_kept(self, qcsc_loop: CommandLine, run_id: str) -> None:
        words = ("--keep", "2", "--max-iterations", "5", "--run-id", run_id)
        qcsc_loop(*TOY, *words).well()
        journal = qcsc_loop.journal(run_id)
        kept = [int(name.split(".")[0]) for name in journal.checkpoints()]
        assert kept == [5, 4, 2, 1, 0]
        assert [commit.iteration for commit in journal.history()] == [0, 1, 2, 3, 4, 5]


class TestResume:
    def test_it_goes_on_with_the_runs_own_parameters_seed_and_limit(
        self, qcsc_loop: CommandLine, tmp_path: Path, run_id: str
    ) -> None:
        (tmp_path / "trace.bad").touch()
        words = (
            "run",
            f"{TOYS}:Raises",
            "--no-prefect",
            "--seed",
            "7",
            "--max-iterations",
            "4",
            *setting(size=3, trace=str(tmp_path / "trace")),
            "--json",
        )
        assert qcsc_loop(*words, "--run-id", run_id).refusal
        (tmp_path / "trace.bad").unlink()
        resumed = qcsc_loop("resume", run_id, "--no-prefect", "--json").well().answer
        whole = qcsc_loop(*words).well().answer
        assert (resumed["iteration"], resumed["reason"]) == (4, "max_iterations")
        assert resumed["state_sha256"] == whole["state_sha256"]

    def test_a_higher_limit_goes_further_and_is_remembered(
        self, qcsc_loop: CommandLine, run_id: str
    ) -> None:
        qcsc_loop(*TOY, "--max-iterations", "2", "--run-id", run_id).well()
        further = ("resume", run_id, "--no-prefect", "--max-iterations", "5", "--json")
        answer = qcsc_loop(*further).well().answer
        assert (answer["resumed_from"], answer["iteration"]) == (2, 5)
        again = qcsc_loop("resume", run_id, "--no-prefect", "--json").well().answer
        assert (again["iteration"], again["reason"]) == (5, "max_iterations")

    def test_a_parameter_that_changes_no_result_may_differ(
        self, qcsc_loop: CommandLine, run_id: str
    ) -> None:
        words = ("run", "bitcount", "--no-prefect", "--run-id", run_id, *SMALL)
        qcsc_loop(*words, "--max-iterations", "1").well()
        other = (*words, *setting(ranks=1), "--max-iterations", "2", "--json")
        answer = qcsc_loop(*other).well().answer
        assert (answer["resumed_from"], answer["scalars"]["shots"]) == (1, 400)

    def test_the_iterations_of_two_drivers_are_those_of_one(
        self, qcsc_loop: CommandLine, run_id: str
    ) -> None:
        qcsc_loop(*TOY, "--max-iterations", "2", "--run-id", run_id).well()
        limit = ("--no-prefect", "--max-iterations", "4", "--json")
        parts = qcsc_loop("resume", run_id, *limit).well().answer
        whole = qcsc_loop("run", WANDER, *limit).well().answer
        assert parts["state_sha256"] == whole["state_sha256"]


class TestReading:
    @pytest.fixture(scope="class")
    @classmethod
    def line(
        cls, tmp_path_factory: pytest.TempPathFactory, prefect_home: Path
    ) -> Iterator[CommandLine]:
        """A store with two runs, which no test changes."""
        with command_line(tmp_path_factory.mktemp("reading"), prefect_home) as line:
            line(*TOY, "--max-iterations", "2", "--run-id", "first").well()
            line(*TOY, *setting(goal=1), "--run-id", "second").well()
            yield line

    def test_list_shows_every_run_in_a_line_and_what_to_type_next(self, line: CommandLine) -> None:
        head, *rows, following = line("list").well().out.splitlines()
        assert head.split() == ["run", "algorithm", "status", "iter", "headline", "last"]
        assert [row.split()[:6] for row in rows] == [
            ["·", "first", "Wander", "limit", "reached", "2/2"],
            ["✓", "second", "Wander", "converged", "1/100", "steps"],
        ]
        assert following == "next: qcsc-loop show first"

    def test_list_as_json_has_the_same_facts(self, line: CommandLine) -> None:
        rows = line("list", "--json").well().answer
        facts = [(row["run_id"], row["status"], row["iteration"]) for row in rows]
        assert facts == [("first", "max_iterations", 2), ("second", "converged", 1)]

    def test_list_of_nothing_says_how_to_begin(self, qcsc_loop: CommandLine) -> None:
        assert "qcsc-loop run bitcount" in qcsc_loop("list").well().out
        assert qcsc_loop("list", "--json").well().answer == []

    def test_show_says_what_it_is_how_far_it_is_and_who_drove_it(self, line: CommandLine) -> None:
        shown = line("show", "first").well().out
        for fact in ("Wander", "stopped after 2 iterations", "seed", "9 by default", "process "):
            assert fact in shown
        assert "size = 8\n" in line("show", "first", "--all").well().out
        header = next(row for row in shown.splitlines() if row.startswith("iteration"))
        assert header.split()[:3] == ["iteration", "steps", "position"]

    def test_show_as_json_has_the_record_the_drivers_and_the_history(
        self, line: CommandLine
    ) -> None:
        facts = line("show", "first", "--json").well().answer
        assert facts["record"]["settings"]["parameters"]["size"] == 8
        assert [driver["end"]["reason"] for driver in facts["drivers"]] == ["max_iterations"]
        assert [commit["iteration"] for commit in facts["history"]] == [0, 1, 2]

    def test_one_damaged_run_does_not_hide_the_others(
        self, line: CommandLine, tmp_path: Path
    ) -> None:
        store = shutil.copytree(line.store, tmp_path / "store")
        (store / "first" / "run.json").write_text("{}")
        shutil.rmtree(store / "first" / "epochs")  # of which it could be made again
        listed = line("list", "--json", "--store", store).well().answer
        rows = {row["run_id"]: row["status"] for row in listed}
        assert rows["second"] == "converged"
        assert rows["first"].startswith("damaged: ")


class TestAnotherStore:
    """What is printed for a run in a store that was named is typed as it stands."""

    def test_every_command_that_is_said_leads_to_the_run(
        self, qcsc_loop: CommandLine, run_id: str, tmp_path: Path
    ) -> None:
        there = ("--store", tmp_path / "other")
        missing = setting(gate=str(tmp_path / "none"), gates="[2]")  # the hook fails
        failed = qcsc_loop(*TOY, "--run-id", run_id, *missing, "--max-iterations", "2", *there)
        archive = tmp_path / "run.tar.gz"
        qcsc_loop("export", run_id, "-o", archive, *there).well()

        said = [
            failed.refusal,
            qcsc_loop("fork", run_id, "--run-id", f"{run_id}-f", *there).well().out,
            qcsc_loop("import", archive, "--run-id", f"{run_id}-i", *there).well().out,
        ]
        commands = [found for text in said for found in re.findall(COMMAND, text)]
        assert len(commands) >= 4, said
        for command in commands:
            assert f"--store {tmp_path / 'other'}" in command
        shown = [command for command in commands if command.startswith("qcsc-loop show ")]
        assert len(shown) == 2
        for command in shown:
            qcsc_loop(*shlex.split(command)[1:]).well()

    def test_a_fork_of_a_last_iteration_is_told_to_go_further(
        self, qcsc_loop: CommandLine, run_id: str
    ) -> None:
        qcsc_loop(*TOY, "--run-id", run_id, "--max-iterations", "2").well()
        (command,) = re.findall(
            COMMAND, qcsc_loop("fork", run_id, "--run-id", f"{run_id}-f").well().out
        )
        qcsc_loop(*shlex.split(command)[1:], "--no-prefect").well()
        assert qcsc_loop.journal(f"{run_id}-f").history()[-1].iteration == 4


@pytest.mark.parametrize("command", ["", "run", "resume", "list", "show", "doctor"])
def test_help_explains_every_option(qcsc_loop: CommandLine, command: str) -> None:
    text = qcsc_loop(*command.split(), "--help").well().out
    assert text.startswith("Usage: qcsc-loop")
    options = [line for line in text.splitlines() if line.startswith("  -")]
    assert options
    # an option too long for the column has its text in the next line
    bare = [line for line in options if line.endswith(("TEXT", "PATH", "INTEGER", "FLOAT"))]
    assert bare == []


def test_the_version_is_told(qcsc_loop: CommandLine) -> None:
    assert "0." in qcsc_loop("--version").well().out


def how_it_ended(out: str, run_id: str) -> str:
    """The line that says so; after it come results, and what to type next."""
    (line,) = (line for line in out.splitlines() if line.startswith(f"{run_id}: "))
    return line


class TestLinesWithoutATerminal:
    def test_each_iteration_is_a_plain_line(self, qcsc_loop: CommandLine, run_id: str) -> None:
        # slower than the ten lines a second that a fast run is held to
        words = (*setting(pause=0.04), "--max-iterations", "3", "--run-id", run_id)
        result = qcsc_loop(*TOY, *words).well()
        lines = result.out.splitlines()
        assert lines[0] == f"run {run_id}: Wander, seed 0"
        assert [line.partition(":")[0] for line in lines[1:4]] == [
            "iteration 1",
            "iteration 2",
            "iteration 3",
        ]
        assert (result.err, "\x1b" in result.out) == ("", False)

    def test_it_says_why_it_stopped_and_what_to_do(
        self, qcsc_loop: CommandLine, run_id: str
    ) -> None:
        words = ("--run-id", run_id, "--store", str(qcsc_loop.store))
        result = qcsc_loop(*TOY, "--max-iterations", "2", *words, env={"QCSC_LOOP_STORE": "/x"})
        said, _, took = how_it_ended(result.well().out, run_id).rpartition(" (")
        command = f"qcsc-loop resume {run_id} --max-iterations 4 --store {qcsc_loop.store}"
        stopped = f"{run_id}: stopped after 2 iterations (limit of 2)"
        assert (said, took[-3:]) == (f"{stopped}; to go on: {command}", " s)")
        assert f"  {command}" in result.out.splitlines()

    def test_a_converged_run_says_so(self, qcsc_loop: CommandLine, run_id: str) -> None:
        result = qcsc_loop(*TOY, *setting(goal=1), "--run-id", run_id).well()
        assert how_it_ended(result.out, run_id).startswith(f"{run_id}: converged after 1 iteration")

    def test_a_fast_run_writes_few_lines_and_its_last_iteration(
        self, qcsc_loop: CommandLine, run_id: str
    ) -> None:
        words = ("--max-iterations", "100", "--run-id", run_id)
        said = qcsc_loop(*TOY, *words).well().out
        lines = said.splitlines()
        assert len(lines) < 100
        before = lines[lines.index(how_it_ended(said, run_id)) - 1]
        assert before.startswith("iteration 100:")

    @pytest.mark.parametrize("prefect", [("--no-prefect",), ()], ids=["alone", "in a flow"])
    def test_what_a_hook_logs_is_shown_once(
        self, with_server: CommandLine, prefect: tuple[str, ...], run_id: str
    ) -> None:
        words = (*setting(says="42 of [x]"), "--max-iterations", "1", "--run-id", run_id)
        result = with_server("run", WANDER, *prefect, *words).well()
        lines = [line for line in (result.out + result.err).splitlines() if "42 of [x]" in line]
        assert lines == ["sample[1] info: 42 of [x]"]

    def test_a_resumed_run_says_from_where(self, qcsc_loop: CommandLine, run_id: str) -> None:
        qcsc_loop(*TOY, "--max-iterations", "1", "--run-id", run_id).well()
        result = qcsc_loop("resume", run_id, "--no-prefect", "--max-iterations", "2").well()
        assert result.out.startswith(f"run {run_id}: Wander, seed 0, resumed from iteration 1\n")

    def test_with_a_temporary_server_the_console_is_as_clean(
        self, qcsc_loop: CommandLine, run_id: str
    ) -> None:
        words = (*setting(pause=0.04), "--max-iterations", "2", "--run-id", run_id)
        result = qcsc_loop("run", WANDER, *words).well()
        starts = [line.split(":")[0] for line in result.out.splitlines()]
        assert starts[:5] == [
            "starting a temporary Prefect server",
            *(f"run {run_id}", "iteration 1", "iteration 2", run_id),
        ]
        assert result.err == ""


class TestOnATerminal:
    @pytest.fixture(scope="class", params=["alone", "in a flow"])
    @classmethod
    def shown(
        cls,
        tmp_path_factory: pytest.TempPathFactory,
        prefect_home: Path,
        server: PrefectServer,
        request: pytest.FixtureRequest,
    ) -> Shown:
        alone = request.param == "alone"
        run_id = f"shown-{'alone' if alone else 'in-a-flow'}"
        words = [str(SCRIPT), "run", WANDER, *(["--no-prefect"] if alone else [])]
        words += ["--run-id", run_id, "--max-iterations", "12"]
        words += setting(pause=0.02, says="a word")
        folder = tmp_path_factory.mktemp("shown")
        return on_a_terminal(words, environment(folder, prefect_home) | server.settings)

    def test_the_words_the_view_how_it_ended_and_what_to_type_are_left_and_nothing_else(
        self, shown: Shown
    ) -> None:
        screen = shown.screen()
        assert shown.code == 0
        if screen[0].startswith("on the Prefect API at http://127.0.0.1:"):
            assert screen.pop(0).endswith("/api, without pages")
        run_id = screen[0].removeprefix("run ").partition(":")[0]
        assert screen[0] == f"run {run_id}: Wander, seed 0"
        assert screen[1:13] == [f"sample[{k}] info: a word" for k in range(1, 13)]
        assert screen[13].startswith(f"{run_id}  Wander · seed 0")
        assert screen[14].startswith(" steps 12")
        at = next(at for at, line in enumerate(screen) if line.startswith(" iteration  "))
        assert screen[at].split() == ["iteration", "steps", "moved", "position", "seconds"]
        assert [row.split()[0] for row in screen[at + 1 : at + 14]] == [
            str(k) for k in range(12, -1, -1)
        ]
        assert screen[at + 14].startswith(f"{run_id}: stopped after 12 iterations (limit of 12)")
        ended, _, after = "\n".join(screen[at + 14 :]).partition("\n\n")
        assert ended.endswith(" s)")  # it may be wider than the terminal
        kept, *following = after.splitlines()
        assert kept.startswith("kept in ")
        assert all(line.startswith("  qcsc-loop ") for line in following[-3:])
        assert shown.beyond_ansi == set()
        assert shown.cursor_is_visible

    def test_while_it_runs_what_is_being_done_is_shown(self, shown: Shown) -> None:
        doing = "sample|evaluate|update|converged|commit"
        assert re.search(r"iteration .*/12", re.sub(r"\x1b\[[\d;]*m", "", shown.written))
        assert re.search(rf"▸ (\x1b\[1m)?({doing})", shown.written)


def test_an_error_on_a_terminal_leaves_the_table_and_one_sentence(
    qcsc_loop: CommandLine, run_id: str, tmp_path: Path
) -> None:
    (tmp_path / "trace.bad").touch()
    words = [str(SCRIPT), "run", f"{TOYS}:Raises", "--no-prefect", "--run-id", run_id]
    shown = on_a_terminal([*words, *setting(trace=str(tmp_path / "trace"))], qcsc_loop.environment)
    screen = shown.screen()
    assert shown.code == 1
    assert "Traceback" not in shown.written
    assert sum(line.startswith("qcsc-loop: ") for line in screen) == 1
    assert any(line.startswith(" iteration  ") for line in screen)
    assert shown.cursor_is_visible


@pytest.mark.parametrize("words", [("doctor", "--ranks", "1"), ("render", "mine", "--", "true")])
def test_who_is_new_to_prefect_is_not_told_that_it_collects_data_for_it_does_not(
    words: tuple[str, ...], with_server: CommandLine, tmp_path: Path
) -> None:
    """It says so before it does so, on a terminal, to whoever has not said DO_NOT_TRACK."""
    silencing = ("CI", "GITHUB_ACTIONS", "DO_NOT_TRACK")
    known = {
        name: value for name, value in with_server.environment.items() if name not in silencing
    }
    shown = on_a_terminal([str(SCRIPT), *words], known | {"PREFECT_HOME": str(tmp_path / "new")})
    assert "Prefect collects" not in shown.written


class TestDoctor:
    def test_all_is_well_here(self, qcsc_loop: CommandLine) -> None:
        result = qcsc_loop("doctor").well()
        assert result.out.splitlines()[-1] == "all is well"
        assert "ill" not in {line.split()[0] for line in result.out.splitlines()}

    def test_json_has_every_finding_and_nothing_is_left_in_the_store(
        self, with_server: CommandLine
    ) -> None:
        answer = with_server("doctor", "--json", "--ranks", "1").well().answer
        assert answer["well"] is True
        found = {finding["what"]: finding["fact"] for finding in answer["findings"]}
        assert {"Prefect API", "MPI on 1 ranks", "store", "qiskit"} <= found.keys()
        assert str(key_file()) in found["signing key"]
        assert list(with_server.store.iterdir()) == []

    def test_it_tells_where_the_key_is_and_which_but_nothing_of_it(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        path = tmp_path / "home" / "key"
        monkeypatch.setenv("QCSC_LOOP_KEY_FILE", str(path))
        assert signing_key() == Finding(
            "signing key", True, f"none yet: the first run makes {path}"
        )
        assert not path.exists()
        fingerprint = Signer.of_this_person().fingerprint
        fact = f"{path}, fingerprint {fingerprint}; the same on all machines of yours"
        assert signing_key().fact == fact
        assert fingerprint not in path.read_text()
        path.chmod(0o644)
        assert (signing_key().well, signing_key().cure) == (
            False,
            f"chmod 600 {path}, or remove it",
        )

    def test_a_store_that_cannot_be_written_is_found_ill(
        self, with_server: CommandLine, tmp_path: Path
    ) -> None:
        (tmp_path / "file").touch()
        env = {"QCSC_LOOP_STORE": str(tmp_path / "file" / "store")}
        result = with_server("doctor", "--json", "--ranks", "1", env=env)
        assert result.code == 1
        assert "Traceback" not in result.err
        ill = [finding for finding in result.answer["findings"] if not finding["well"]]
        assert [finding["what"] for finding in ill] == ["store"]
        assert "--store" in ill[0]["cure"]


def test_json_of_a_number_that_json_lacks_is_read_by_strict_readers(
    qcsc_loop: CommandLine,
) -> None:
    words = ("run", "bitcount", "--no-prefect", *SMALL, "--max-iterations", "1", "--json")
    out = qcsc_loop(*words).well().out

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    assert json.loads(out.splitlines()[-1], parse_constant=refuse)["scalars"]["change"] == "nan"
