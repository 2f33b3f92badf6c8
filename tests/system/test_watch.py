"""`watch`: runs that others drive, on a real terminal, in a pipe, and on what is hardly a terminal.

`golden/` keeps what is left on two terminals. After a wanted change,
`QCSC_LOOP_REWRITE_GOLDEN=1 pytest -n0 tests/system/test_watch.py` writes them anew; read the
difference.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psutil
import pytest

from loop.reports.sqd_like import Actor
from qcsc_loop.rules.reason import Reason
from qcsc_loop.store.directory import DirectoryStore
from system.command_line import CommandLine
from system.interpreter import SCRIPT
from system.terminal import Terminal, terminal
from waiting import DEADLINE_SECONDS, until

GOLDEN = Path(__file__).with_name("golden")
REWRITE = bool(os.environ.get("QCSC_LOOP_REWRITE_GOLDEN"))
AGAIN = pytest.mark.thorough  # shows the same again
WORDS = (str(SCRIPT), "watch", "sqd-long")


@pytest.fixture
def actor(qcsc_loop: CommandLine) -> Iterator[Actor]:
    acting = Actor(DirectoryStore(qcsc_loop.store))
    yield acting
    acting.vanish()


@contextmanager
def watching(
    line: CommandLine,
    *more: str,
    rows: int = 24,
    columns: int = 80,
    term: str = "xterm-256color",
    **environment: str,
) -> Iterator[Terminal]:
    with terminal(
        [*WORDS, *more], line.environment | environment, rows=rows, columns=columns, term=term
    ) as shown:
        yield shown


def shows(words: str, picture: str) -> bool:
    return words in picture


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (160, 50)])
def test_what_is_left_on_a_terminal_is_kept_here(
    qcsc_loop: CommandLine, actor: Actor, columns: int, rows: int
) -> None:
    del actor
    with watching(qcsc_loop, rows=rows, columns=columns) as shown:
        shown.until(lambda picture: "q leave" in picture, "it is drawn")
        shown.press("q")
        ended = shown.end()
    assert ended.code == 0
    assert ended.beyond_ansi <= {"\t"}
    file = GOLDEN / f"watch-{columns}x{rows}.txt"
    text = "\n".join(_without_times(line) for line in ended.screen()) + "\n"
    if REWRITE:
        GOLDEN.mkdir(exist_ok=True)
        file.write_text(text)
    assert text == file.read_text()
    assert len(ended.screen()) <= rows  # with the sentence: nothing has left the screen


def _without_times(line: str) -> str:
    """What differs from run to run is written T."""
    line = re.sub(r"vm:\d+|[\w.-]+:\d+(?= )", "HOST:PID", line) if "seed" in line else line
    line = re.sub(r" +● running .*", " ● running T", line)
    line = re.sub(r"evaluate [\d.:]+( s)? of", "evaluate T of", line)
    return re.sub(r"(nodes|\(Priority\)) [\d.:]+( s)?", r"\1 T", line)


def test_what_is_committed_meanwhile_is_seen_and_the_end_is_said(
    qcsc_loop: CommandLine, actor: Actor
) -> None:
    with watching(qcsc_loop) as shown:
        shown.until(lambda picture: "\n       109 " in picture, "what was committed is there")
        actor.commit(3)
        actor.act(phase="sample")
        shown.until(lambda p: "\n       112 " in p and "▸ sample" in p, "and what came later")
        actor.end()
        ended = shown.end()
    assert ended.code == 0
    left = ended.screen()
    assert "✓ converged" in left[0]
    assert left[-1] == "sqd-long: converged after 112 iterations"
    assert ended.written.count("\x1b[?2026h") == ended.written.count("\x1b[?2026l")


def test_keys_show_the_log_and_the_jobs_and_back(qcsc_loop: CommandLine, actor: Actor) -> None:
    del actor
    with watching(qcsc_loop) as shown:
        for keys, words in (
            ("l", "nothing is in its log"),
            ("j", "no jobs"),
            ("j", "\n iteration "),
            ("L", "l iterations"),
        ):
            shown.press(keys)
            shown.until(partial(shows, words), f"{keys} shows {words}")
        shown.press("q")
        ended = shown.end()
    assert ended.code == 0
    assert "\n iteration " in "\n".join(ended.screen())


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"]
)
def test_a_signal_leaves_the_last_table_and_the_sentence(
    qcsc_loop: CommandLine, actor: Actor, number: signal.Signals, code: int
) -> None:
    del actor
    with watching(qcsc_loop) as shown:
        shown.until(lambda picture: "q leave" in picture, "it is drawn")
        shown.send(number)
        ended = shown.end()
    assert ended.code == code
    assert "Traceback" not in ended.written
    assert any(line.split()[:1] == ["109"] for line in ended.screen())
    if number == signal.SIGINT:
        assert ended.screen()[-1].startswith("sqd-long: running, in evaluate of iteration 110")


def test_a_dead_driver_is_said_with_the_command(qcsc_loop: CommandLine) -> None:
    code = (
        "import os, sys\n"
        "from loop.reports.sqd_like import Actor\n"
        "from qcsc_loop.store.directory import DirectoryStore\n"
        "Actor(DirectoryStore(sys.argv[1]))\n"
        "os._exit(9)\n"
    )
    tests = str(Path(__file__).parents[1])
    path = os.pathsep.join([tests, *sys.path])
    done = qcsc_loop.start(
        "-c", code, str(qcsc_loop.store), program=Path(sys.executable), env={"PYTHONPATH": path}
    )
    assert done.result().code == 9
    with watching(qcsc_loop) as shown:
        ended = shown.end()
    text = " ".join(" ".join(ended.screen()).split())
    assert ended.code == 1
    assert re.search(r"driver gone since \d\d:\d\d \(in evaluate of 110\)", text)
    assert ended.screen()[-1] == "  qcsc-loop resume sqd-long"


def test_two_watchers_see_the_same_and_write_nothing(qcsc_loop: CommandLine, actor: Actor) -> None:
    folder = qcsc_loop.store / "sqd-long"

    def files() -> set[tuple[str, int]]:
        kept = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".beat")
        return {(str(path), path.stat().st_mtime_ns) for path in kept if ".now" not in path.name}

    before = files()
    with watching(qcsc_loop) as one, watching(qcsc_loop, rows=50, columns=160) as other:
        for shown in (one, other):
            shown.until(lambda picture: "\n       109 " in picture, "both see it")
        assert files() == before
        actor.commit()
        for shown in (one, other):
            shown.until(lambda picture: "\n       110 " in picture, "both see the next")
        one.press("q")
        assert one.end().code == 0
        actor.end(Reason.FAILED)
        assert other.end().code == 1


@pytest.mark.parametrize(
    ("columns", "rows"),
    [(20, 5), *(pytest.param(*size, marks=AGAIN) for size in ((6, 3), (40, 10), (300, 7)))],
)
def test_no_terminal_is_too_small(
    qcsc_loop: CommandLine, actor: Actor, columns: int, rows: int
) -> None:
    del actor
    with watching(qcsc_loop, rows=rows, columns=columns) as shown:
        picture = shown.until(lambda picture: picture.strip(), "something is drawn")
        shown.press("q")
        ended = shown.end()
    assert ended.code == 0
    drawn = picture.split("\n")
    assert len(drawn) < rows and max(map(len, drawn)) < max(columns, 5)


def test_a_terminal_that_changes_its_size_is_drawn_anew(
    qcsc_loop: CommandLine, actor: Actor
) -> None:
    del actor
    with watching(qcsc_loop) as shown:
        shown.until(lambda picture: "q leave" in picture, "it is drawn")
        shown.resize(12, 40)

        def is_narrow(picture: str) -> bool:
            first, *others = picture.split("\n")[-11:]
            return first.startswith("sqd-long") and max(map(len, others)) < 40

        shown.until(is_narrow, "it is drawn anew, and fits")
        shown.press("q")
        assert shown.end().code == 0


@pytest.mark.parametrize("coding", ["latin-1", pytest.param("ascii", marks=AGAIN)])
def test_a_terminal_that_lacks_letters_has_a_picture_as_well(
    qcsc_loop: CommandLine, actor: Actor, coding: str
) -> None:
    actor.end()
    with watching(qcsc_loop, PYTHONIOENCODING=coding) as shown:
        ended = shown.end()
    assert ended.code == 0
    assert ended.written.isascii()
    assert any(line.count("*") > 5 for line in ended.screen())


def test_a_dumb_terminal_gets_lines(qcsc_loop: CommandLine, actor: Actor) -> None:
    actor.end()
    with watching(qcsc_loop, term="dumb") as shown:
        ended = shown.end()
    assert ended.code == 0
    assert "\x1b" not in ended.written
    assert ended.screen()[0] == "run sqd-long: SQD, converged"


def test_in_a_pipe_each_thing_that_happens_is_a_line(qcsc_loop: CommandLine, actor: Actor) -> None:
    watcher = qcsc_loop.start("watch", "sqd-long")
    until(lambda: "iteration 109: " in watcher.said, "it has begun")
    actor.commit(2)
    actor.act(warnings=("sample failed",), warned=1)
    until(lambda: "iteration 111: " in watcher.said, "what came later")
    until(lambda: "warning: sample failed" in watcher.said, "and the warning")
    actor.end()
    result = watcher.result().well()
    first, second, *_ = result.out.splitlines()
    assert first == "run sqd-long: SQD, running"
    assert second.startswith("iteration 109: energy = -76.1047460, current = -76.09925")
    assert "Slurm job 48214: PENDING (Priority)" in result.out
    assert result.out.splitlines()[-1] == "sqd-long: converged after 111 iterations"
    assert "\x1b" not in result.out


def test_a_reader_who_wants_no_more_ends_it(qcsc_loop: CommandLine, actor: Actor) -> None:
    words = ("bash", "-c", f"{SCRIPT} watch sqd-long | head -n 1")
    with subprocess.Popen(
        words, env=qcsc_loop.environment, stdout=subprocess.PIPE, text=True
    ) as piped:
        out, _ = piped.communicate(timeout=DEADLINE_SECONDS)
    assert out == "run sqd-long: SQD, running\n"
    actor.commit()  # it still runs


def test_several_runs_are_one_below_the_other(qcsc_loop: CommandLine, actor: Actor) -> None:
    del actor
    other = Actor(DirectoryStore(qcsc_loop.store), "another", 3)
    try:
        with watching(qcsc_loop, "another", rows=30) as shown:
            picture = shown.until(lambda p: "sqd-long" in p and "another" in p, "both are there")
            assert picture.index("sqd-long") < picture.index("another")
            shown.press("q")
            assert shown.end().code == 0
    finally:
        other.vanish()


def test_a_run_that_is_not_there_is_named(qcsc_loop: CommandLine) -> None:
    assert "there is no run 'nothing'" in qcsc_loop("watch", "nothing").refusal


@pytest.mark.parametrize(
    "words", [("files", "/tmp", "--pattern", "*.h5"), ("backend", "kobe", "--once"), ("files", ".")]
)
def test_what_it_was_called_before_is_refused_with_its_new_name(
    qcsc_loop: CommandLine, words: tuple[str, ...]
) -> None:
    result = qcsc_loop("watch", *words)
    assert result.code == 2
    assert f"qcsc-loop emit {' '.join(words)}" in result.err


def test_the_terminal_is_as_it_was(qcsc_loop: CommandLine, actor: Actor) -> None:
    """A shell asks after each way to leave."""
    del actor
    watch = f"{SCRIPT} watch sqd-long"
    code = f'before=$(stty -a); {watch}; [ "$before" = "$(stty -a)" ] && echo the same'
    with terminal(["bash", "-c", code], qcsc_loop.environment) as shown:
        shown.until(lambda picture: "q leave" in picture, "it is drawn")
        (watcher,) = psutil.Process(shown.process.pid).children()
        watcher.send_signal(signal.SIGTERM)
        assert shown.end().screen()[-1] == "the same"


NOBODY = 65534
_AS_NOBODY = f"""
import os, sys
import qcsc_loop.cli.watch
from qcsc_loop.cli.commands import commands
from qcsc_loop.cli.main import main
os.setgroups([])
os.setgid({NOBODY})
os.setuid({NOBODY})
sys.argv = ["qcsc-loop", "watch", "sqd-long", *sys.argv[1:]]
main()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="to act as another user needs root")
def test_somebody_who_may_only_read_the_store_sees_the_run() -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own is nobody else's to look into
        Path(folder).chmod(0o755)
        acting = Actor(DirectoryStore(Path(folder, "store")))
        for path in Path(folder).rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        watcher = subprocess.Popen(
            [sys.executable, "-c", _AS_NOBODY, "--store", f"{folder}/store"],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert watcher.stdout is not None
        assert watcher.stdout.readline() == "run sqd-long: SQD, running\n"
        acting.end()
        out, _ = watcher.communicate(timeout=DEADLINE_SECONDS)
        assert out.splitlines()[-1] == "sqd-long: converged after 109 iterations"
