"""What others wrote, on a person's terminal; and a person's terminal that takes nothing."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from qcsc_loop.store.records import RunRecord, Settings
from system.command_line import WANDER, CommandLine, command_line
from system.interpreter import SCRIPT
from system.terminal import on_a_terminal

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202etxt\u2066\r\b[bold]x[/bold] :smile:"
SHOWN = r"\x1b]0;owned\x07\x1b[2J\x9b31m\u202etxt\u2066\r\x08[bold]x[/bold] :smile:"

ALGORITHM = f"""
from qcsc_loop import IterativeAlgorithm, State, current_step

class Here(State):
    at: int
    def scalars(self):
        return {{{HOSTILE!r}: 1.0, "at": float(self.at)}}

class Hostile(IterativeAlgorithm[Here, int, int]):
    async def initialize(self) -> Here:
        return Here(at=0)
    async def sample(self, state: Here) -> int:
        current_step().logger.info({HOSTILE!r})
        if state.at == 2:
            raise RuntimeError({HOSTILE!r})
        return 1
    async def evaluate(self, state: Here, samples: int) -> int:
        return samples
    async def update(self, state: Here, evaluation: int) -> Here:
        return Here(at=state.at + evaluation)
    async def converged(self, previous: Here, current: Here) -> bool:
        return False
"""


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory, prefect_home: Path) -> Iterator[CommandLine]:
    with command_line(tmp_path_factory.mktemp("hostile"), prefect_home) as line:
        (line.folder / "hostile.py").write_text(ALGORITHM)
        yield line


@pytest.fixture(scope="module")
def failed(line: CommandLine) -> str:
    """What `run` said of a run whose hook raised."""
    file = line.folder / "hostile.py"
    result = line("run", f"{file}:Hostile", "--no-prefect", "--run-id", "bad")
    assert result.code == 1
    name = "Sly\x1b[2J\u202e:smile:[bold]"
    sly = RunRecord(run_id="sly", seed=0, settings=Settings(algorithm=f"x:{name}"))
    line.journal("sly").create(sly)
    return result.out + result.err


@pytest.mark.guarantee("S18")
def test_a_hooks_error_its_log_and_its_scalars_as_they_happen(failed: str) -> None:
    assert failed.count(SHOWN) >= 3
    assert failed.replace("\n", "").isprintable()


@pytest.mark.guarantee("S18")
@pytest.mark.parametrize("words", [("list",), ("show", "bad"), ("show", "sly"), ("resume", "sly")])
@pytest.mark.usefixtures("failed")
def test_what_is_printed_afterwards(line: CommandLine, words: tuple[str, ...]) -> None:
    result = line(*words)
    said = result.out + result.err
    assert ":smile:" in said and "[bold]" in said and r"\x1b[2J" in said
    assert said.replace("\n", "").isprintable()


@pytest.mark.usefixtures("failed")
def test_on_a_terminal_there_is_no_escape_but_of_colours(line: CommandLine) -> None:
    shown = on_a_terminal([str(SCRIPT), "show", "bad"], line.environment)
    assert shown.beyond_ansi == set()
    assert "\x1b[2J" not in shown.written and "\x9b" not in shown.written
    assert "\u202e" not in shown.written


@pytest.mark.usefixtures("failed")
def test_json_says_what_it_was(line: CommandLine) -> None:
    out = line("show", "bad", "--json").out
    assert out.isascii() and out.replace("\n", "").isprintable()
    assert HOSTILE in json.loads(out)["drivers"][0]["end"]["traceback"]
    assert HOSTILE in json.loads(out)["history"][-1]["scalars"]


def test_a_wrong_word_is_quoted_and_not_obeyed(line: CommandLine) -> None:
    for words in (("run", "\x1b[2J"), ("list", "--no\x1b[2J"), ("deploy", "\x1b[2J.toml")):
        result = line(*words)
        assert result.code == 2 and "\x1b" not in result.err, result


def start(line: CommandLine, words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """A command as a shell starts it, with redirections."""
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"'{SCRIPT}' {words}"],
        env=line.environment | env,
        cwd=line.folder,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("coding", ["latin-1", "ascii"])
@pytest.mark.usefixtures("failed")
def test_a_terminal_that_lacks_letters(line: CommandLine, coding: str) -> None:
    done = start(line, "show bad; true", PYTHONIOENCODING=coding)
    assert (done.returncode, done.stderr) == (0, "")
    assert SHOWN in done.stdout


RUN = f"run {WANDER} --no-prefect --max-iterations 3 --run-id"


def test_a_full_disk_behind_stdout_ends_no_run(line: CommandLine) -> None:
    done = start(line, f"{RUN} full --json > /dev/full")
    assert done.returncode == 1
    *_, said = done.stderr.splitlines()
    assert said == "qcsc-loop: could not write all of this to stdout: No space left on device"
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
    assert line.status("full").startswith("max_iterations")
    assert start(line, "watch full > /dev/full").returncode == 1  # which says itself how it ends


def test_closed_streams_end_no_run_and_get_no_file_of_it(line: CommandLine) -> None:
    done = start(line, f"{RUN} closed <&- >&- 2>&-")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert line.status("closed").startswith("max_iterations")
    files = [path for path in (line.store / "closed").rglob("*.json*") if path.is_file()]
    assert files and not any(b"iteration 1:" in path.read_bytes() for path in files)


def test_a_reader_who_has_gone_ends_no_run_and_hears_of_no_error(line: CommandLine) -> None:
    done = start(line, f"{RUN} piped | true")
    assert (done.returncode, done.stderr) == (0, "")
    assert line.status("piped").startswith("max_iterations")


def test_full_stderr_takes_no_exit_code(line: CommandLine) -> None:
    assert start(line, "show nobody 2> /dev/full").returncode == 2
    assert start(line, "show nobody >&- 2>&-").returncode == 2


def test_help_is_printed_where_letters_are_missing(line: CommandLine) -> None:
    done = start(line, "--help", PYTHONIOENCODING="ascii")
    assert done.returncode == 0 and "Usage" in done.stdout
    assert start(line, "--help > /dev/full").returncode == 1


def test_a_folder_whose_name_is_no_utf_8_is_refused_before_anything_is_paid(
    line: CommandLine,
) -> None:
    done = start(line, f"{RUN} abroad --store $'caf\\xe9'")
    assert done.returncode == 2 and r"caf\xe9: its name is not UTF-8" in done.stderr
    place = line.folder / os.fsdecode(b"caf\xe9")
    place.mkdir()
    (place / "hostile.py").write_text(ALGORITHM)
    done = start(line, "run $'caf\\xe9/hostile.py:Hostile' --no-prefect")
    assert done.returncode == 2 and "is not UTF-8" in done.stderr
    assert "Traceback" not in done.stderr
