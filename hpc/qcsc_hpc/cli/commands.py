"""`render`: the script of a job, without submitting it; `sites`: machines that are known."""

from __future__ import annotations

import click


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("machine")
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "--ranks", type=click.IntRange(1), metavar="N", help="MPI ranks.  [default: the profile's]"
)
@click.option(
    "--array",
    type=click.IntRange(2),
    metavar="N",
    help="The script of an array of N such jobs, each of which has its own beside it.",
)
def render(machine: str, words: tuple[str, ...], ranks: int | None, array: int | None) -> None:
    """Print the job script for MACHINE, without submitting it.

    WORDS are the command and its arguments; left out, the machine's own command.
    """
    import sys

    from qcsc_hpc.cli.rendering import render_script
    from qcsc_loop.printing import printable

    script = render_script(machine, words, ranks, array)
    # a file or a pipe gets the job's own bytes
    click.echo(printable(script) if sys.stdout.isatty() else script, nl=False)


@click.group(invoke_without_command=True)
@click.pass_context
def sites(context: click.Context) -> None:
    """Known machines: what `preset` may be."""
    from qcsc_hpc.cli.sites import list_sites

    if context.invoked_subcommand is None:
        list_sites()


@sites.command()
@click.argument("name")
def show(name: str) -> None:
    """Print the TOML blocks to start from on NAME."""
    from qcsc_hpc.cli.sites import starting_toml

    click.echo(starting_toml(name), nl=False)
