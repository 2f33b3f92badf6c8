"""`sweep FILE`, and `sweep list`, `show`, `plot`, `report`: the first word says which."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from qcsc_loop.cli.driving import ATTACHED, JSON, STORE

DRIVE = "FILE|SWEEP"
_SWEEP = click.argument("name", metavar="SWEEP")
_NEW_FILE = click.Path(path_type=Path, dir_okay=False)


class SweepGroup(click.Group):
    """A group of which any other word is a file, or a sweep that is there."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, *ctx.help_option_names):
            args = [DRIVE, *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands:
            args = [DRIVE, *args]
        return super().resolve_command(ctx, args)

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        words = f"{DRIVE} [OPTIONS] | list | show SWEEP | plot SWEEP | report SWEEP"
        formatter.write_usage(ctx.command_path, words)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        drive = self.commands[DRIVE]
        drive.format_options(click.Context(drive, parent=ctx), formatter)
        self.format_commands(ctx, formatter)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name in super().list_commands(ctx) if name != DRIVE]


@click.group(cls=SweepGroup)
def sweep() -> None:
    """Run a grid, a list or seeds of settings, each as an ordinary run.

    FILE is TOML; a sweep that was begun goes on when it, or its name, is given again.
    """


@sweep.command(name=DRIVE)
@click.argument("target", metavar=DRIVE)
@click.option("--name", metavar="NAME", help="The sweep's name, instead of the file's.")
@click.option(
    "--at-once",
    type=click.IntRange(1),
    metavar="N",
    help="Members that go at once.  [default: as the file says, or 4]",
)
@click.option(
    "--dry-run", is_flag=True, help="Say what would run and what it may cost; start nothing."
)
@click.option(
    "--take-over",
    is_flag=True,
    help="Take the sweep from the process that drives it, even if that one lives.",
)
@click.option(
    "-d",
    "--detach",
    is_flag=True,
    help="Drive it in the background, where it outlives this terminal; return once it has begun.",
)
@click.option(ATTACHED, is_flag=True, hidden=True)
@STORE
@JSON
def drive(
    *,
    target: str,
    name: str | None,
    at_once: int | None,
    dry_run: bool,
    take_over: bool,
    detach: bool,
    attached: bool,
    store: Path | None,
    as_json: bool,
) -> None:
    """Run the sweep of a file, or go on with one."""
    from qcsc_loop.cli.sweep import Asked, drive_sweep

    asked = Asked(
        target=target,
        name=name,
        at_once=at_once,
        dry_run=dry_run,
        take_over=take_over,
        detach=detach and not attached,
        store=store,
        as_json=as_json,
    )
    sys.exit(drive_sweep(asked))


@sweep.command(name="list")
@STORE
@JSON
def list_(*, store: Path | None, as_json: bool) -> None:
    """List the sweeps of a store, newest first."""
    from qcsc_loop.cli.sweep_show import list_sweeps

    list_sweeps(store=store, as_json=as_json)


@sweep.command()
@_SWEEP
@click.option("--csv", "as_csv", is_flag=True, help="Its members as a table instead.")
@click.option("--all", "all_", is_flag=True, help="Every member; else those that want you.")
@STORE
@JSON
def show(*, name: str, as_csv: bool, all_: bool, store: Path | None, as_json: bool) -> None:
    """Show SWEEP: how it stands, its table, and paired differences."""
    from qcsc_loop.cli.sweep_show import show_sweep

    show_sweep(name, as_csv=as_csv, all_=all_, store=store, as_json=as_json)


@sweep.command()
@_SWEEP
@click.option("--group", metavar="GROUP", help="Which one, where a sweep has several.")
@click.option(
    "-o",
    "--output",
    type=_NEW_FILE,
    metavar="FILE",
    help="The file: .svg, .png or .pdf.  [default: SWEEP.svg]",
)
@STORE
def plot(*, name: str, group: str | None, output: Path | None, store: Path | None) -> None:
    """Draw all members of SWEEP, with medians and what they lie between."""
    from qcsc_loop.cli.sweep_show import plot_sweep

    plot_sweep(name, group=group, output=output, store=store)


@sweep.command()
@_SWEEP
@click.option(
    "-o",
    "--output",
    type=_NEW_FILE,
    metavar="FILE",
    help="The file; - is stdout.  [default: SWEEP.html]",
)
@STORE
def report(*, name: str, output: Path | None, store: Path | None) -> None:
    """Write SWEEP as one HTML file, to look at and to send to somebody."""
    from qcsc_loop.cli.sweep_show import report_sweep

    report_sweep(name, output=output, store=store)
