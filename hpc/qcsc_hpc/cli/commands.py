"""`render`: the script of a job, without submitting it."""

from __future__ import annotations

import click


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("machine")
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "--ranks", type=click.IntRange(1), metavar="N", help="MPI ranks.  [default: the profile's]"
)
def render(machine: str, words: tuple[str, ...], ranks: int | None) -> None:
    """Print the job script for MACHINE, without submitting it.

    WORDS are the command and its arguments; left out, the machine's own command.
    """
    import sys

    from qcsc_hpc.cli.rendering import render_script
    from qcsc_loop.printing import printable

    script = render_script(machine, words, ranks)
    # a file or a pipe gets the job's own bytes
    click.echo(printable(script) if sys.stdout.isatty() else script, nl=False)
