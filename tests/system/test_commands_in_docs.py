"""Every `qcsc-loop` command that a page or an example shows is one that the command line takes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from qcsc_loop.cli import commands

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.toml")]
COMMAND = re.compile(r"^(?:#\s+|\$ )?(qcsc-loop (?!\.).*)$", flags=re.MULTILINE)
IN_TEXT = re.compile(r"`(qcsc-loop [a-z][^`]*)`")


def shown() -> Iterator[str]:
    """The commands as they are written, without comments and without what a shell does with them."""
    for page in PAGES:
        text = page.read_text()
        blocks = re.findall(r"```\w*\n(.*?)```", text, flags=re.DOTALL)
        for part in [text] if page.suffix == ".toml" else blocks:
            for line in COMMAND.findall(re.sub(r"\\\n\s*", "", part)):
                parts = re.split(r"&+|[|>]", re.sub(r"\s#.*", "", line))
                yield from (part.strip() for part in parts if part.lstrip().startswith("qcsc-loop"))
        yield from IN_TEXT.findall(text)


@pytest.mark.parametrize("written", sorted({*shown()} - {""}))
def test_the_command_line_takes_it(written: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    words = ["1" if word == "..." else word for word in shlex.split(written)][1:]
    command: click.Command = commands.commands
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        _, found, words = command.resolve_command(click.Context(command), words)
        assert found is not None
        command = found
    try:
        command.make_context(command.name, words)
    except (click.MissingParameter, click.exceptions.Exit):
        pass  # named in the text without its arguments; or --help
    except click.BadParameter as error:
        if "does not exist" not in error.message:  # a file that is the reader's
            raise
