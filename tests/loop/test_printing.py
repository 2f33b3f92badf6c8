"""Words of others on a terminal: shown, and not obeyed."""

from __future__ import annotations

import io
import json
import logging
import unicodedata
from collections.abc import Iterator

import pytest
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from qcsc_loop import current_step
from qcsc_loop.errors import JobFailed, StoreError
from qcsc_loop.printing import as_typed, know_store, printable, say, say_json
from qcsc_loop.reports.tables import PlainConsole, plain_table

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202eabc\u2066\r\b\x7f[bold]x[/bold] :smile:"
SHOWN = r"\x1b]0;owned\x07\x1b[2J\x9b31m\u202eabc\u2066\r\x08\x7f[bold]x[/bold] :smile:"  # as it is


class TestPrintable:
    def test_what_a_terminal_obeys_is_written_out(self) -> None:
        assert printable(HOSTILE) == SHOWN

    @pytest.mark.parametrize(
        "text", ["plain", "a\tb\nc", "Grüße, 東京, 3 Å ▁▂█ 👩‍🔬", "\xa0", "", "ׁשלום"]
    )
    def test_what_can_be_seen_stays(self, text: str) -> None:
        assert printable(text) == text

    def test_no_control_or_turning_character_is_left(self) -> None:
        every = "".join(map(chr, range(0x110000)))
        left = {c for c in printable(every) if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")}
        assert left == {"\n", "\t"}
        turning = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
        assert not [c for c in printable(every) if unicodedata.bidirectional(c) in turning]

    def test_lines_of_other_systems_are_lines(self) -> None:
        assert printable("one\r\ntwo\r\n") == "one\ntwo\n"

    def test_bytes_that_are_no_text_are_shown_as_bytes(self) -> None:
        name = b"caf\xe9".decode(errors="surrogateescape")
        assert printable(name) == r"caf\xe9"
        printable(name + "\ud83d").encode()


class TestSaying:
    def test_a_line(self, capsys: pytest.CaptureFixture[str]) -> None:
        say(HOSTILE)
        say(HOSTILE, to_stderr=True)
        assert capsys.readouterr() == (f"{SHOWN}\n", f"{SHOWN}\n")

    def test_json_is_escaped_as_json_does_and_stays_exact(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        said = HOSTILE.replace("\x7f", "")
        say_json({"error": said})
        out = capsys.readouterr().out
        assert out.isascii() and out.rstrip("\n").isprintable()
        assert json.loads(out) == {"error": said}

    def test_an_error_of_ours_that_quotes_others(self) -> None:
        assert str(StoreError("read", "/tmp/\x1b[2J", "\u202eno")).isprintable()

    def test_a_jobs_tail_is_shown_in_its_error_and_kept_as_it_was(self) -> None:
        facts = {"job": "j", "state": "FAILED", "job_id": "1", "site": "s", "folder": "/f"}
        error = JobFailed(**facts, exit_code=1, reason="\x1b[5m", tail=HOSTILE)
        assert str(error).isprintable()
        assert error.tail == HOSTILE

    def test_what_steps_log(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, "qcsc_loop.hooks")
        current_step().logger.info("job: %s", HOSTILE)
        assert caplog.messages == [f"job: {SHOWN}"]


def written(console: PlainConsole) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def a_console() -> PlainConsole:
    console = PlainConsole(width=300)
    console.file = io.StringIO()
    return console


class TestConsole:
    def test_texts_are_no_markup(self) -> None:
        console = a_console()
        console.say(HOSTILE)
        console.say_fact("name", HOSTILE)
        assert written(console) == f"{SHOWN}\nname        {SHOWN}\n"

    @pytest.mark.parametrize("cell", [HOSTILE, Text(HOSTILE)], ids=["str", "text"])
    def test_nor_is_a_cell_of_a_table(self, cell: str | Text) -> None:
        console = a_console()
        table: Table = plain_table("name", "value")
        table.add_row(cell, "1")
        console.print(table)
        assert isinstance(cell, Text) or SHOWN in written(console)
        assert written(console).replace("\n", "").isprintable()

    def test_nor_is_a_bar_of_progress(self) -> None:
        console = a_console()
        with Progress(console=console) as bar:
            bar.add_task(HOSTILE.replace("[", "("), total=1)
        assert written(console).replace("\n", "").isprintable()

    def test_its_own_colours_are(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("TERM", "xterm-256color")
        console = a_console()
        console.say("fine", style="green")
        assert written(console).startswith("\x1b[32mfine\x1b[0m")


class TestCommandsInAText:
    """Where a command line names a store, commands in what it says name it, too."""

    @pytest.fixture(autouse=True)
    def _forget(self) -> Iterator[None]:
        yield
        know_store([])

    @pytest.mark.parametrize("words", [["--store", "/my runs"], ["show", "a", "--store=/my runs"]])
    @pytest.mark.parametrize(
        ("text", "typed"),
        [
            ("to go on: qcsc-loop resume a.b", "to go on: qcsc-loop resume a.b STORE"),
            (
                "qcsc-loop show a; then: qcsc-loop reap a --unread.",
                "qcsc-loop show a STORE; then: qcsc-loop reap a STORE --unread.",
            ),
            ("qcsc-loop sweep s --take-over", "qcsc-loop sweep s STORE --take-over"),
            ("qcsc-loop sweep show s", "qcsc-loop sweep show s STORE"),
        ],
    )
    def test_it_is_said(self, words: list[str], text: str, typed: str) -> None:
        know_store(words)
        assert as_typed(text) == typed.replace("STORE", "--store '/my runs'")

    @pytest.mark.parametrize(
        "text",
        [
            "qcsc-loop resume a --max-hours 0.5 --store b",
            "qcsc-loop doctor, qcsc-loop server start",
        ],
    )
    def test_a_command_that_says_it_or_needs_none_stays(self, text: str) -> None:
        know_store(["--store", "/my runs"])
        assert as_typed(text) == text

    @pytest.mark.parametrize("words", [[], ["run", "a"], ["render", "--", "--store", "b"]])
    def test_without_one_they_stay(self, words: list[str]) -> None:
        know_store(["--store", "before"])
        know_store(words)
        assert as_typed("qcsc-loop resume a") == "qcsc-loop resume a"
