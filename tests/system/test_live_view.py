"""A run on a terminal: its view is what `watch` shows, and all that hooks say stands above it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from system.command_line import TOYS, WANDER, CommandLine, setting
from system.interpreter import SCRIPT
from system.terminal import Shown, terminal

TALKS = f"{TOYS}:Talks"


def run(line: CommandLine, algorithm: str, *words: str, limit: int = 4) -> Shown:
    """A new run on a terminal, to its end."""
    command = [str(SCRIPT), "run", algorithm, "--no-prefect", "--run-id", "shown"]
    with terminal([*command, "--max-iterations", str(limit), *words], line.environment) as shown:
        return shown.end()


def said_in(k: int) -> list[str]:
    """What the toy says in an iteration, as it has to be seen."""
    return [
        f"printed {k}",
        f"to stderr {k}",
        f"by C {k}",
        f"by a child {k}",
        f"sample[{k}] info: logged {k}",
        f"100 % of {k}",
        f"no end {k}, and its end {k}",
    ]


def table(screen: list[str]) -> list[str]:
    """The iterations in the table, the newest first."""
    head = next(
        at
        for at, line in enumerate(screen)
        if line.split()[:1] == ["iteration"] and "moved" in line
    )
    rows = [line.split()[0] for line in screen[head + 1 :] if line.startswith("  ")]
    return [row for row in rows if row.isdigit()]


def test_what_hooks_print_and_log_is_whole_in_order_and_once(qcsc_loop: CommandLine) -> None:
    shown = run(qcsc_loop, TALKS)
    assert shown.code == 0
    screen = shown.screen()
    wanted = [line for k in range(1, 5) for line in said_in(k)]
    assert screen[: 1 + len(wanted)] == ["run shown: Talks, seed 0", *wanted]
    assert screen[1 + len(wanted)].startswith("shown  Talks · seed 0")


def test_a_failure_leaves_the_view_with_what_was_said_and_one_sentence(
    qcsc_loop: CommandLine,
) -> None:
    shown = run(qcsc_loop, TALKS, *setting(fails_at=3))
    assert shown.code == 1
    screen = shown.screen()
    assert screen[1:22] == [line for k in range(1, 4) for line in said_in(k)]
    assert "! failed" in screen[22]
    assert sum(line.startswith("qcsc-loop: ") for line in screen) == 1
    assert table(screen) == ["2", "1", "0"]
    assert not any("▸" in line for line in screen)  # nothing is being done any more


def test_ctrl_c_leaves_the_view(qcsc_loop: CommandLine, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    gate.mkdir()
    words = [str(SCRIPT), "run", WANDER, "--no-prefect", "--run-id", "shown"]
    with terminal([*words, *setting(gate=str(gate), gates=[3])], qcsc_loop.environment) as shown:
        shown.until(lambda p: "▸ sample" in p and "iteration 3/" in p, "it waits in iteration 3")
        shown.press("\x03")
        ended = shown.end()
    assert ended.code == 128 + signal.SIGINT
    screen = ended.screen()
    assert any("! interrupted" in line for line in screen)
    assert table(screen) == ["2", "1", "0"]
    assert any(line.startswith("shown: interrupted by SIGINT") for line in screen)


def test_after_a_resume_the_curve_is_that_of_the_whole_run(qcsc_loop: CommandLine) -> None:
    words = ("run", WANDER, "--no-prefect", "--run-id", "shown", "--max-iterations", "30")
    qcsc_loop(*words).well()
    command = [str(SCRIPT), "resume", "shown", "--max-iterations", "32"]
    with terminal(command, qcsc_loop.environment) as shown:
        screen = shown.end().screen()
    assert ["0", "16", "32"] in [line.split() for line in screen]  # the lower axis
    assert any("┊" in line for line in screen)  # where the second driver went on


def test_a_line_that_does_not_end_is_seen_at_once(qcsc_loop: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "asks.py"
    file.write_text(
        "import sys, time\n"
        "from pathlib import Path\n"
        f"sys.path.insert(0, {str(TOYS.parent.parent)!r})\n"
        "from system.toys import Wander\n"
        "class Asks(Wander):\n"
        "    async def sample(self, state):\n"
        "        sys.stdout.write('how much? ')\n"
        "        sys.stdout.flush()\n"
        "        sys.stdin.readline()\n"
        "        return 1.0\n"
    )
    words = [str(SCRIPT), "run", f"{file}:Asks", "--no-prefect", "--max-iterations", "1"]
    with terminal(words, qcsc_loop.environment) as shown:
        shown.until(lambda picture: "how much?" in picture, "the question is seen")
        shown.press("\n")
        assert shown.end().code == 0


def test_a_warning_stays_above_the_view(qcsc_loop: CommandLine, tmp_path: Path) -> None:
    bad = tmp_path / "trace.bad"
    bad.touch()
    words = setting(trace=str(tmp_path / "trace"))
    shown = run(qcsc_loop, f"{TOYS}:Raises", *words, "--retries", "1", "--retry-on", "ValueError")
    assert any(
        line.startswith("warning: evaluate of iteration 2 failed") for line in shown.screen()
    )


@pytest.mark.parametrize("size", [(24, 80), (5, 20)])
def test_what_is_said_is_whole_on_small_terminals_too(
    qcsc_loop: CommandLine, size: tuple[int, int]
) -> None:
    rows, columns = size
    words = [str(SCRIPT), "run", TALKS, "--no-prefect", "--max-iterations", "2"]
    with terminal(words, qcsc_loop.environment, rows=rows, columns=columns) as shown:
        written = shown.end().written
    for line in (*said_in(1), *said_in(2)):
        assert f"\r{line}\x1b[K" in written or f"{line}\x1b[K" in written
