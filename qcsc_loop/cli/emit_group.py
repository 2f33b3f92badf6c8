"""`emit EVENT`, `emit files FOLDER`, `emit backend NAME`: one command, whose first word says which.

An event's name has dots, so that none is taken for one of the others.
"""

from __future__ import annotations

import click

EVENT = "EVENT"
MOVED = ("files", "backend")  # of `watch`, until that became the word for runs


class EmitGroup(click.Group):
    """A group of which any other word is an event's name."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, *ctx.help_option_names):
            args = [EVENT, *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands:
            args = [EVENT, *args]
        return super().resolve_command(ctx, args)

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage(ctx.command_path, "EVENT [OPTIONS] | files FOLDER | backend NAME")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        event = self.commands[EVENT]
        event.format_options(click.Context(event, parent=ctx), formatter)
        self.format_commands(ctx, formatter)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name in super().list_commands(ctx) if name != EVENT]


class WatchCommand(click.Command):
    """Names the new words of what `watch` once was."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, list(args))
        except click.UsageError as error:
            refuse_moved(args, error)
            raise


def refuse_moved(words: list[str], error: Exception) -> None:
    """Says what the command is called now, if that is what was meant.

    Raises:
        UsageError: it is.
    """
    if words and words[0] in MOVED:
        raise click.UsageError(
            f"`watch {words[0]}` is called `emit {words[0]}` now: qcsc-loop emit {' '.join(words)}"
        ) from error
