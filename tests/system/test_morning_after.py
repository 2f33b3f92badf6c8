"""The morning after five runs, as a new user: `list`, and one more command a run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from system.command_line import CommandLine
from system.interpreter import SCRIPT
from system.morning import RAISES, morning_after
from system.terminal import on_a_terminal
from thorough import first
from waiting import until

RUNS = ["ghz-wall", "ising-s4", "sqd-long", "ghz-budget", "ising-s3"]


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory, prefect_home: Path) -> Iterator[CommandLine]:
    with morning_after(tmp_path_factory.mktemp("morning"), prefect_home) as line:
        yield line


def listed(line: CommandLine, columns: int, *words: str) -> list[str]:
    """What is on a terminal of that width after `list`."""
    shown = on_a_terminal([str(SCRIPT), "list", *words], line.environment, columns=columns)
    assert shown.code == 0
    return shown.screen()


def test_the_list_says_at_eighty_columns_what_and_why_and_what_is_next(line: CommandLine) -> None:
    head, *rows, following = listed(line, 80)
    assert head.split() == ["run", "status", "iter", "headline", "last"]
    assert [row.split()[1] for row in rows] == RUNS
    killed, failed, running, budget, converged = rows
    assert "! ghz-wall    driver gone" in killed and "1 job left" in killed
    assert "! ising-s4    failed         5/100  -4.84375" in failed
    assert f"RuntimeError ising.py:{RAISES}" in failed
    assert "▸ sqd-long    running" in running
    assert "out of budget  4/60   -4.6875" in budget and "4000 of 4500 shots spent" in budget
    assert "✓ ising-s3    converged      8/100  -4.98046875" in converged
    assert following == "next: qcsc-loop resume ghz-wall · qcsc-loop show ising-s4"


@pytest.mark.parametrize("columns", first(2, [60, 200, 50, 80, 100]))
def test_a_run_is_a_line_and_no_number_is_cut_at_any_width(line: CommandLine, columns: int) -> None:
    rows = listed(line, columns)[1:6]
    assert [row.split()[1] for row in rows] == RUNS
    assert max(map(len, rows)) <= columns
    for row, value in zip(rows, ("0", "-4.84375", "8", "-4.6875", "-4.98046875"), strict=True):
        assert value in row.split()


def test_where_there_is_room_it_says_the_algorithm_too(line: CommandLine) -> None:
    head, killed, failed, *_ = listed(line, 120)
    assert head.split()[:3] == ["run", "algorithm", "status"]
    assert "1 job left, in evaluate of 1" in killed
    assert "Ising" in failed and "energy -4.84375" in failed


def test_a_terminal_without_our_signs_gets_letters(line: CommandLine) -> None:
    environment = line.environment | {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    shown = on_a_terminal([str(SCRIPT), "list"], environment, columns=80)
    rows = shown.screen()
    assert [row[0] for row in rows[1:6]] == list("!!>-+")
    assert "\n".join(rows).isascii() and "\\u" not in "\n".join(rows)


def test_what_is_next_works_as_typed(line: CommandLine) -> None:
    *_, following = line("list").well().out.splitlines()
    commands = following.removeprefix("next: ").split(" · ")
    assert len(commands) == 2
    shown = [command.split()[1:] for command in commands if " show " in command]
    assert shown and all(line(*words).well() for words in shown)
    elsewhere = line("list", "--store", line.store, env={"QCSC_LOOP_STORE": "/nowhere"}).well().out
    assert f"qcsc-loop show ising-s4 --store {line.store}" in elsewhere
    out = line("show", "ising-s4", "--store", line.store).well().out
    assert f"qcsc-loop resume ising-s4 --store {line.store}\n" in out


def test_what_is_said_of_a_report_has_the_whole_command(line: CommandLine) -> None:
    words = ("report", "ising-s4", "-o", str(line.folder / "s4.html"), "--store", str(line.store))
    out = line(*words, env={"QCSC_LOOP_STORE": "/nowhere"}).well().out
    assert out.endswith(f"; after the fix: qcsc-loop resume ising-s4 --store {line.store}\n")


def test_the_list_is_filtered_and_sorted(line: CommandLine) -> None:
    def runs(*words: str) -> list[str]:
        return [row.split()[1] for row in line("list", *words).well().out.splitlines()[1:-1]]

    assert runs("--status", "trouble") == ["ghz-wall", "ising-s4"]
    assert runs("--algorithm", "ising", "--sort", "age")[0] == "ghz-budget"
    assert runs("--algorithm", "ising", "--sort", "best") == ["ising-s3", "ising-s4", "ghz-budget"]
    assert runs("--sort", "cost")[:3] == ["ising-s3", "ising-s4", "ghz-budget"]
    assert runs("--since", "12h") == RUNS
    assert "no such runs" in line("list", "--status", "plateau").well().out
    assert "did you mean 'failed'?" in line("list", "--status", "faild").refusal


def test_the_long_list_says_seed_best_and_cost(line: CommandLine) -> None:
    out = line("list", "-l").well().out
    assert "seed 4, began " in out and "best -4.84375 at 5, exact -5, 5,000 shots" in out


# one more command a run


def shown(line: CommandLine, run_id: str, *words: str) -> str:
    return line("show", run_id, *words).well().out


def test_a_killed_driver_left_a_job_and_what_to_do_about_it(line: CommandLine) -> None:
    out = shown(line, "ghz-wall")
    assert out.startswith(
        "ghz-wall: its driver is gone without a word, in evaluate of iteration 1\n"
        "to go on: qcsc-loop resume ghz-wall\n"
    )
    assert "Slurm job 1, ghz-wall/1/evaluate/link.0: RUNNING since " in out
    assert ", by its driver's last word\n" in out
    assert "to end it: qcsc-loop reap ghz-wall" in out
    assert "gone without a word" in out


def test_a_failed_hook_is_shown_by_its_users_line(line: CommandLine) -> None:
    first, following, _, where, code, error, more, *rest = shown(line, "ising-s4").splitlines()
    assert first == f"ising-s4: failed after 5 iterations (RuntimeError at ising.py:{RAISES})"
    assert following == "after the fix: qcsc-loop resume ising-s4"
    assert where == f"{line.folder}/ising.py:{RAISES} in evaluate"
    assert code == '    raise RuntimeError("the lattice has no sites")'
    assert error == "RuntimeError: the lattice has no sites"
    assert more.endswith("frames more: qcsc-loop show ising-s4 --traceback")
    assert not any("hook_caller" in row for row in rest)
    assert "hook_caller" in line("show", "ising-s4", "--traceback").out


def test_what_it_came_to_and_cost_is_said_with_its_references_and_budgets(
    line: CommandLine,
) -> None:
    converged = shown(line, "ising-s3")
    assert "best        -4.98046875 J at iteration 8\n" in converged
    assert "exact       -5 J; the best is 0.0195 J above\n" in converged
    assert "spent       8,000 shots\n" in converged
    budget = shown(line, "ghz-budget")
    assert "spent       4,000 shots of 4,500\n" in budget
    further = "to go on: qcsc-loop resume ghz-budget --max-iterations 60 --max-shots 9000\n"
    assert further in budget


def test_a_running_one_says_what_it_does(line: CommandLine) -> None:
    said = "sqd-long: running, in sample of iteration 9\n"  # within a second of its beginning
    until(lambda: shown(line, "sqd-long").startswith(said), "it says what it does")


def test_only_parameters_that_were_given_are_shown(line: CommandLine) -> None:
    out = shown(line, "ising-s4")
    assert "parameters  fails_at = 6\n" in out and "spins" not in out
    assert "and 1 by default: qcsc-loop show ising-s4 --all\n" in out
    assert "spins = 5\n" in shown(line, "ising-s4", "--all")


def test_scalars_stand_whole_in_eighty_columns(line: CommandLine) -> None:
    narrow = on_a_terminal([str(SCRIPT), "show", "ising-s3"], line.environment, columns=60)
    screen = narrow.screen()
    head = next(row for row in screen if row.startswith("iteration"))
    assert head.split()[:3] == ["iteration", "energy", "moved"]
    assert any(row.split()[:2] == ["8", "-4.98046875"] for row in screen)
    (left,) = (row for row in screen if row.startswith("beside these: "))
    assert "temperature" in left
    every = on_a_terminal([str(SCRIPT), "show", "ising-s3", "--all"], line.environment, columns=60)
    text = "\n".join(every.screen())
    assert "2.26918531" in text and "beside these" not in text


def test_every_next_command_that_is_shown_is_one_that_there_is(line: CommandLine) -> None:
    for run_id in RUNS:
        out = shown(line, run_id)
        commands = [row.partition("qcsc-loop ")[2].split() for row in out.splitlines()]
        named = {words[0] for words in commands if words}
        assert named <= {"resume", "show", "reap", "watch"}


def test_the_answers_are_the_same_as_json(line: CommandLine) -> None:
    rows = {row["run_id"]: row for row in line("list", "--json").well().answer}
    assert [rows[run_id]["status"] for run_id in RUNS] == [
        "crashed",
        "failed",
        "running",
        "budget",
        "converged",
    ]
    assert [job["job_id"] for job in rows["ghz-wall"]["live_jobs"]] == ["1"]
    assert rows["ising-s3"]["best"] == {"iteration": 8, "value": -4.98046875}
    assert rows["ising-s4"]["fact"] == f"RuntimeError at ising.py:{RAISES}"
