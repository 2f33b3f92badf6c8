"""Commands that installed distributions offer under `qcsc_loop.commands`."""

from __future__ import annotations

import click

from qcsc_loop.errors import PluginFailed
from qcsc_loop.plugins import distribution, load, offered

GROUP = "qcsc_loop.commands"


def offered_names() -> list[str]:
    """Their names, sorted. Imports none of them."""
    return list(offered(GROUP))


def offered_command(name: str) -> click.Command | None:
    """The command; for a plug-in that fails one that says so; None if nobody offers it."""
    point = offered(GROUP).get(name)
    if point is None:
        return None
    try:
        command = load(point)
    except PluginFailed as failure:
        return _failing(name, failure)
    if not isinstance(command, click.Command):
        why = f"{point.value} is no click command"
        return _failing(name, PluginFailed(GROUP, name, distribution(point), why))
    return command


def _failing(name: str, failure: PluginFailed) -> click.Command:
    """Listed as all others are; whatever it is called with, it says why it does not work."""

    def say(words: tuple[str, ...]) -> None:
        raise failure

    return click.Command(
        name,
        callback=say,
        params=[click.Argument(["words"], nargs=-1, type=click.UNPROCESSED)],
        context_settings={"ignore_unknown_options": True},
        help=f"(Does not load: a plug-in of {failure.distribution}. See qcsc-loop doctor.)",
        add_help_option=False,
    )
