"""The commands that are printed work as they are typed, also after a call by the path."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from qcsc_loop.cli import typed
from system.command_line import CommandLine
from system.terminal import on_a_terminal, screen

PROGRAM = Path(sys.prefix, "bin", "qcsc-loop")
ELSEWHERE = os.pathsep.join(
    place for place in os.get_exec_path() if not Path(place, typed.NAME).exists()
)
ONE = ("run", "bitcount", "--no-prefect", "--run-id", "one", "--max-iterations", "1")


def shown(line: CommandLine, *words: str, path: str = ELSEWHERE, shell: str = "") -> list[str]:
    """What is left on a terminal."""
    known = line.environment | {"PATH": path, "SHELL": shell}
    ended = on_a_terminal([str(PROGRAM), *words], known, columns=400)
    return screen(ended.written)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_after_a_run_each_line_works_in_a_shell_that_does_not_know_the_program(
    qcsc_loop: CommandLine, shell: str
) -> None:
    if (program := shutil.which(shell)) is None:
        pytest.skip(f"{shell} is missing")
    said = shown(qcsc_loop, *ONE, shell=program)
    (kept,) = (number for number, text in enumerate(said) if text.startswith("kept in "))
    why, first, *commands = (text.strip() for text in said[kept + 1 :])
    assert why == "this shell does not know qcsc-loop yet; type first:"
    assert "activate" in first
    assert [command.split()[:2] for command in commands] == [
        ["qcsc-loop", "resume"],
        ["qcsc-loop", "show"],
        ["qcsc-loop", "show"],
        ["qcsc-loop", "list"],
    ]
    for command in commands:
        ended = subprocess.run(
            [program, "-c", f"{first}\n{command}"],
            env=qcsc_loop.environment | {"PATH": ELSEWHERE},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        assert ended.stderr == ""


@pytest.mark.parametrize("words", [ONE, ("show",), ()])
def test_who_has_it_on_the_path_is_told_nothing(
    qcsc_loop: CommandLine, words: tuple[str, ...]
) -> None:
    path = f"{PROGRAM.parent}{os.pathsep}{ELSEWHERE}"
    assert not any(
        typed.NAME in text and "know" in text for text in shown(qcsc_loop, *words, path=path)
    )


@pytest.mark.parametrize("words", [("show",), ()])
def test_whatever_names_a_command_says_how_it_is_known(
    qcsc_loop: CommandLine, words: tuple[str, ...]
) -> None:
    assert "this shell does not know qcsc-loop yet" in shown(qcsc_loop, *words)[-2]


def test_a_pipe_is_told_nothing(qcsc_loop: CommandLine) -> None:
    ended = subprocess.run(
        [PROGRAM],
        env=qcsc_loop.environment | {"PATH": ELSEWHERE},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "does not know" not in ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("shell", "says"),
    [
        ("/bin/bash", "export PATH='{}':\"$PATH\""),
        ("/usr/bin/fish", "fish_add_path --path '{}'"),
        ("/bin/tcsh", "setenv PATH '{}':\"$PATH\""),
    ],
)
def test_without_a_virtual_environment_its_folder_is_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shell: str, says: str
) -> None:
    folder = tmp_path / "my tools"
    folder.mkdir()
    (folder / typed.NAME).touch()
    monkeypatch.setattr(sys, "argv", [str(folder / typed.NAME), "list"])
    monkeypatch.setenv("SHELL", shell)
    assert typed.make_known() == says.format(folder)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{ELSEWHERE}")
    assert typed.make_known() == ""


def test_a_name_alone_would_be_looked_for_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in (typed.NAME, "activate"):
        (folder / name).touch()
    monkeypatch.setattr(sys, "argv", [str(folder / typed.NAME)])
    monkeypatch.setenv("SHELL", "/bin/sh")
    monkeypatch.chdir(tmp_path)
    assert typed.make_known() == ". bin/activate"
    monkeypatch.chdir(folder)
    assert typed.make_known() == f". {folder}/activate"


def test_a_folder_that_is_gone_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    monkeypatch.setattr(sys, "argv", [str(PROGRAM)])
    monkeypatch.setenv("PATH", ELSEWHERE)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    typed.say_how_to_type()
    assert capsys.readouterr().out == ""
