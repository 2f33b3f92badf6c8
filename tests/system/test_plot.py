"""`qcsc-loop plot`: a run's convergence in the terminal, and as a file."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from loop.reports.stored_runs import StoredRun
from qcsc_loop.store.live import ChartRecord
from system.command_line import CommandLine
from system.terminal import COLUMNS, on_a_terminal

SCRIPT = str(Path(sys.prefix) / "bin" / "qcsc-loop")


BITS = ChartRecord(headline="change", better="lower", beside=("shots",))


def stored(line: CommandLine, run_id: str, changes: list[float]) -> str:
    """A run of these changes, which cost 500 shots each."""
    shots = [500.0 * (k + 1) for k in range(len(changes))]
    run = StoredRun(line.store, run_id).driver()
    run.history({"change": changes, "shots": shots}, chart=BITS)
    return run_id


@pytest.fixture
def bits(qcsc_loop: CommandLine) -> str:
    """A run that is over."""
    return stored(qcsc_loop, "bits", [0.5, 0.1, 0.02, 0.01])


def test_a_run_is_drawn_in_the_terminal(qcsc_loop: CommandLine, bits: str) -> None:
    shown = on_a_terminal([SCRIPT, "plot", bits], qcsc_loop.environment)
    assert shown.code == 0
    screen = shown.screen()
    assert screen[0].startswith(f"{bits}   change ")
    assert any(0x2800 < ord(letter) < 0x2900 for line in screen for letter in line)
    assert max(map(len, screen)) <= COLUMNS


def test_a_pipe_gets_them_as_wide_as_is_said(qcsc_loop: CommandLine, bits: str) -> None:
    for width in (60, 90):
        lines = qcsc_loop("plot", bits, env={"COLUMNS": str(width)}).well().out.splitlines()
        assert max(map(len, lines[1:])) == width


def test_a_pipe_gets_lines_without_commands(qcsc_loop: CommandLine, bits: str) -> None:
    said = qcsc_loop("plot", bits, "-y", "shots", env={"PYTHONIOENCODING": "ascii"}).well().out
    assert said.startswith(f"{bits}   shots ") and "\x1b" not in said and "*" in said


def test_an_svg_is_written_whole_without_anything_installed(
    qcsc_loop: CommandLine, bits: str, tmp_path: Path
) -> None:
    picture = tmp_path / "curve.svg"
    qcsc_loop("plot", bits, "-x", "shots", "--log", "-o", picture).well()
    texts = [element.text or "" for element in ElementTree.parse(picture).iter()]
    assert "shots" in texts and "|change - best|" in texts


@pytest.mark.parametrize(("form", "begins"), [("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_other_pictures_are_matplotlibs(
    qcsc_loop: CommandLine, bits: str, tmp_path: Path, form: str, begins: bytes
) -> None:
    pytest.importorskip("matplotlib", reason="the extra `plot` is not installed")
    picture = tmp_path / f"curve.{form}"
    qcsc_loop("plot", bits, "-o", picture).well()
    assert picture.read_bytes().startswith(begins)


def test_without_matplotlib_a_png_is_refused_with_what_brings_it(
    qcsc_loop: CommandLine, bits: str, tmp_path: Path
) -> None:
    (tmp_path / "matplotlib").mkdir()
    (tmp_path / "matplotlib" / "__init__.py").write_text("raise ImportError('not here')")
    without = {"PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}
    picture = tmp_path / "curve.png"
    refused = qcsc_loop("plot", bits, "-o", picture, env=without)
    assert "pip install 'qcsc-loop[plot]'" in refused.refusal
    assert not picture.exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("-y", "chnge"), "has no scalar 'chnge' (did you mean 'change'?): it has change, shots"),
        (("-o", "curve.gif"), "curve.gif: what kind of picture it is"),
        (("-o", "nowhere/curve.svg"), "nowhere/curve.svg cannot be written: No such file"),
        (("no-such-run",), "there is no run 'no-such-run'"),
    ],
)
def test_what_cannot_be_drawn_is_one_sentence(
    qcsc_loop: CommandLine, bits: str, words: tuple[str, ...], sentence: str
) -> None:
    assert sentence in qcsc_loop("plot", bits, *words).refusal


def test_a_difference_is_drawn_as_the_two_runs_are(
    qcsc_loop: CommandLine, bits: str, tmp_path: Path
) -> None:
    stored(qcsc_loop, other := f"{bits}-3", [0.4, 0.3])
    qcsc_loop("plot", bits, other, "-o", tmp_path / "two.svg").well()

    told = qcsc_loop("diff", bits, other, "--plot", tmp_path / "difference.svg").well().out

    assert told.splitlines()[-1] == f"{tmp_path}/difference.svg: {bits}, {other}"
    assert (tmp_path / "difference.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    answer = qcsc_loop("diff", bits, other, "--plot", tmp_path / "again.svg", "--json").answer
    assert answer["one"] == bits and (tmp_path / "again.svg").exists()
    for name, why in (("x.gif", "what kind of picture"), ("no/x.svg", "another file, in a folder")):
        refused = qcsc_loop("diff", bits, other, "--plot", name).refusal
        assert name in refused and why in refused


def test_several_runs_are_one_picture_with_a_legend(
    qcsc_loop: CommandLine, bits: str, tmp_path: Path
) -> None:
    stored(qcsc_loop, f"{bits}-2", [0.4, 0.3])
    qcsc_loop("plot", bits, f"{bits}-2", "-o", tmp_path / "two.svg").well()
    texts = [element.text or "" for element in ElementTree.parse(tmp_path / "two.svg").iter()]
    assert [text.split()[0] for text in texts if text.startswith(bits)][-2:] == [bits, f"{bits}-2"]
    assert "change" in texts  # of what the two are
    assert qcsc_loop("plot", bits, f"{bits}-2").well().out.count("change ") == 2


def test_a_run_without_iterations_says_so(qcsc_loop: CommandLine) -> None:
    assert "nothing to show yet" in qcsc_loop("plot", stored(qcsc_loop, "new", [])).well().out


def test_a_damaged_run_is_drawn_from_its_history(qcsc_loop: CommandLine, bits: str) -> None:
    for record in (qcsc_loop.store / bits).rglob("*.json"):
        record.write_text("{")
    assert "change" in qcsc_loop("plot", bits).well().out
