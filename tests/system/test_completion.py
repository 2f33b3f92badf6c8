"""What a shell offers at Tab, and how little that takes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from qcsc_loop.cli import completing
from qcsc_loop.cli.commands import commands
from qcsc_loop.cli.completing import answer, offers
from system.command_line import WANDER, CommandLine
from system.interpreter import SCRIPT

HEAVY = {"prefect", "pydantic", "numpy", "qiskit", "rich", "anyio", "click", "typing"}
IMPORTED = """
import sys
from qcsc_loop.cli.main import main
sys.argv = ["qcsc-loop", *sys.argv[1:]]
try:
    main()
except SystemExit:
    pass
print(*sys.modules, file=sys.stderr)
"""


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two runs by their folders, one of which was begun."""
    store = tmp_path / "store"
    for run in ("water", "wall"):
        (store / run / "checkpoints").mkdir(parents=True)
    (store / "file").touch()
    (store / ".import-0").mkdir()
    monkeypatch.setenv("QCSC_LOOP_STORE", str(store))
    return store


def offered(*words: str) -> list[str]:
    return list(offers(words))


def test_commands_are_offered_by_their_beginning() -> None:
    assert offered("rep") == ["report"]
    assert {"resume", "report", "reap", "render"} <= set(offered("re"))


def test_runs_are_offered_where_a_command_takes_them(store: Path) -> None:
    assert offered("show", "wa") == ["wall", "water"]
    assert offered("diff", "water", "wal") == ["wall"]
    assert offered("show", "--store", str(store / "nowhere"), "") == []


@pytest.mark.parametrize("name", sorted(commands.commands))
def test_every_command_that_takes_runs_is_known(name: str) -> None:
    command = commands.commands[name]
    taken = [p for p in command.params if isinstance(p, click.Argument)]
    words = [argument.make_metavar(click.Context(command)) for argument in taken]
    assert any("RUN" in word for word in words) == (name in completing.RUNS)


def test_algorithms_and_their_files_are_offered() -> None:
    assert offered("run", "bit") == ["bitcount", "@files"]
    assert f"{WANDER}" in offered("run", WANDER.partition(":")[0] + ":Wan")


def test_parameters_are_offered_with_those_of_base_classes() -> None:
    assert offered("run", "bitcount", "--set", "num") == ["num_qubits="]
    sqd = offered("run", "sqd", "--set", "")
    assert {"max_strings=", "system=", "shots=", "solver="} <= set(sqd)
    assert not any(name.startswith(("_", "type=")) for name in sqd)
    assert {"size=", "goal="} <= set(offered("check", WANDER, "--set", ""))


def test_a_runs_own_parameters_scalars_and_states_are_offered(
    qcsc_loop: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ("run", WANDER, "--no-prefect", "--max-iterations", "4", "--run-id", "wander")
    qcsc_loop(*run).well()
    monkeypatch.setenv("QCSC_LOOP_STORE", str(qcsc_loop.store))
    assert offered("fork", "wander", "--set", "go") == ["goal="]
    assert offered("fork", "wander", "--from", "") == ["best", "0", "1", "2", "3", "4"]
    assert offered("plot", "wander", "-y", "pos") == ["position"]


def test_options_and_what_they_take_are_offered() -> None:
    assert "--force" in offered("cancel", "--")
    assert offered("list", "--sort", "") == ["trouble", "age", "best", "cost"]
    assert offered("list", "--store", "") == ["@folders"]
    assert offered("run", "bitcount", "--params", "") == ["@files"]
    assert offered("run", "bitcount", "--seed", "") == []
    assert offered("server", "st") == ["start", "status", "stop"]


def test_bash_which_breaks_words_gets_what_follows_the_break() -> None:
    file = WANDER.partition(":")[0]
    assert "Wander" in answer("bash", ["run", file, ":", "Wan"])
    assert answer("bash", ["run", "bitcount", "--set", "num"]) == ["num_qubits="]


@pytest.mark.parametrize(
    "words", [("",), ("show", "w"), ("run", "s"), ("run", "sqd", "--set", ""), ("cancel", "")]
)
def test_it_imports_nothing_heavy_and_runs_no_code_of_anybodys(
    store: Path, words: tuple[str, ...]
) -> None:
    environment = {**os.environ, "_QCSC_LOOP_COMPLETE": "zsh"}
    command = [sys.executable, "-c", IMPORTED, *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout
    imported = set(done.stderr.split())
    assert not imported & HEAVY
    assert not {name for name in imported if name.startswith(("qcsc_algorithms", "qcsc_hpc"))}


def test_whatever_goes_wrong_offers_nothing_and_says_nothing(
    qcsc_loop: CommandLine, tmp_path: Path
) -> None:
    (tmp_path / "broken.py").write_text("class (")
    asked = {"_QCSC_LOOP_COMPLETE": "fish"}
    done = qcsc_loop.start("run", f"{tmp_path}/broken.py:", env=asked).result()
    assert (done.code, done.out, done.err) == (0, "", "")


def in_bash(line: CommandLine, folder: Path, typed: str) -> list[str]:
    """What bash offers for words that end where the cursor is."""
    script = """
    eval "$(qcsc-loop completion bash)"
    COMP_WORDS=($1); [[ $1 == *" " ]] && COMP_WORDS+=("")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _qcsc_loop
    printf '%s|\\n' "${COMPREPLY[@]}"
    """
    path = f"{SCRIPT.parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "--norc", "-c", script, "bash", typed],
        env={**line.environment, "PATH": path},
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
    )
    return done.stdout.splitlines()


def test_bash_completes(qcsc_loop: CommandLine, tmp_path: Path) -> None:
    (qcsc_loop.store / "water").mkdir(parents=True)
    assert in_bash(qcsc_loop, tmp_path, "qcsc-loop show wa") == ["water |"]
    assert in_bash(qcsc_loop, tmp_path, "qcsc-loop run bitcount --set num") == ["num_qubits=|"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_can_read_theirs(qcsc_loop: CommandLine, shell: str) -> None:
    script = qcsc_loop("completion", shell).well().out
    assert f"_QCSC_LOOP_COMPLETE={shell}" in script
    if (program := shutil.which(shell)) is None:
        pytest.skip(f"there is no {shell} here: apt-get install {shell}")
    words = ["-n", "-c"] if shell == "zsh" else ["--no-execute", "-c"]
    subprocess.run([program, *words, script], check=True, capture_output=True)
