"""A page for each command, from click: usage, arguments, options, and where pages use it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path

import click

from docs.builder.pages import OF_NO_TREE, pages, place
from qcsc_loop.cli.commands import commands
from qcsc_loop.cli.emit_group import EVENT

WORD = "qcsc-loop"
SHOWN = 4  # examples at most


def write_commands(folder: Path) -> None:
    """Writes the pages, and their index."""
    folder.mkdir(parents=True)
    every = [*all_commands()]
    for words, command in every:
        page = f"{'-'.join(words)}.md"
        (folder / page).write_text("\n".join(_page(words, command)), encoding="utf-8")
    rows = [
        f"[`{WORD} {' '.join(words)}`]({'-'.join(words)}.md)\n: {_summary(command)}\n"
        for words, command in every
    ]
    text = "\n".join(["# Commands", "", f"`{WORD} COMMAND --help` says the same.", "", *rows, ""])
    (folder / "index.md").write_text(text, encoding="utf-8")


def all_commands() -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Each command that a person may type, with its words."""
    yield from _below((), commands)


def _below(
    words: tuple[str, ...], command: click.Command
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if words:
        yield words, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=WORD)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None and not inner.hidden and "." not in name:
                yield from _below((*words, name), inner)


def _summary(command: click.Command) -> str:
    return cleandoc(command.help or "").split("\n\n")[0].replace("\n", " ")


def _page(words: tuple[str, ...], command: click.Command) -> Iterator[str]:
    name = " ".join((WORD, *words))
    context = click.Context(command, info_name=name)
    yield OF_NO_TREE
    yield from (f"# {name}", "", cleandoc(command.help or ""), "")
    yield from ("```text", command.get_usage(context), "```", "")
    if isinstance(command, click.Group):
        inner = [n for n in command.list_commands(context) if n != EVENT]
        rows = (f"- [`{name} {n}`]({'-'.join((*words, n))}.md)" for n in inner)
        yield from (*rows, "")
        if EVENT in command.commands:
            context, command = click.Context(command.commands[EVENT]), command.commands[EVENT]
    yield from _options(command, context)
    if examples := [*examples_of(words)][:SHOWN]:
        yield "## As pages use it\n"
        for line, page in examples:
            up = "../../"
            yield f"From [{_title(page)}]({up}{place(page)}.md):\n\n```\n{line}\n```\n"


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    records = [p.get_help_record(context) for p in command.get_params(context)]
    rows = [record for record in records if record is not None]
    if rows:
        yield "## Options\n"
    for left, text in rows:
        yield f"`{left}`\n: {_plain(text) or 'see above'}\n"


def _plain(text: str) -> str:
    """As Markdown, which would take `[default: x]` and `*` for markup."""
    return re.sub(r"([\[\]*<>])", r"\\\1", " ".join(text.split()))


def examples_of(words: tuple[str, ...]) -> Iterator[tuple[str, Path]]:
    """The lines of pages that type a command, and the page: the shortest word chain decides."""
    begins = re.compile(rf"^(?:\$ )?({WORD} {' '.join(words)}(?: .*)?)$", re.MULTILINE)
    seen: set[str] = set()
    for page in pages():
        for block in re.findall(r"```\w*\n(.*?)```", page.read_text(), re.DOTALL):
            for line in begins.findall(re.sub(r"\\\n\s*", "", block)):
                typed = re.sub(r"\s+#.*", "", line)
                if typed not in seen:
                    seen.add(typed)
                    yield line, page


def _title(page: Path) -> str:
    return page.read_text().splitlines()[0].removeprefix("# ").replace("`", "")
