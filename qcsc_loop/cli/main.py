"""The command line. Imports nothing heavy: `--help` is instant, each command brings its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from qcsc_loop.cli.offered_commands import offered_command, offered_names
from qcsc_loop.errors import QcscLoopError

F = TypeVar("F", bound=Callable[..., Any])

INTERRUPTED = 130  # as shells report Ctrl-C

_STORE = click.option(
    "--store", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
    help="Folder that holds all runs.  [default: $QCSC_LOOP_STORE or ~/.qcsc-loop]",
)  # fmt: skip
_JSON = click.option("--json", "as_json", is_flag=True, help="End stdout with one JSON object.")


_EVERY = click.option("--every", type=click.FloatRange(0, min_open=True), default=10,
                      show_default=True, metavar="S", help="Seconds between looks.")  # fmt: skip


def _driving(command: F) -> F:
    """The options of commands that drive a run."""
    options = [
        click.option("--set", "settings", multiple=True, metavar="NAME=VALUE",
                     help="A parameter; repeatable."),
        click.option("--machine", metavar="NAME",
                     help="Where classical work goes: `local`, or a saved machine's name."),
        click.option("--max-iterations", type=click.IntRange(0), metavar="N", help="Stop at iteration N."),
        click.option("--max-qpu-seconds", type=click.FloatRange(0, min_open=True), metavar="S",
                     help="Stop before more QPU time is spent."),
        click.option("--max-shots", type=click.FloatRange(0, min_open=True), metavar="N",
                     help="Stop before more shots are spent."),
        click.option("--max-node-hours", type=click.FloatRange(0, min_open=True), metavar="H",
                     help="Stop before more node hours are spent."),
        click.option("--no-prefect", is_flag=True, help="Without Prefect: no server, tasks or artifacts."),
        click.option("--tasks", type=click.Choice(["step", "iteration", "none"]), default="step",
                     show_default=True, help="What becomes a Prefect task."),
        click.option("--retries", type=click.IntRange(0), metavar="N",
                     help="Call a hook that failed up to N more times."),
        click.option("--retry-delay", type=click.FloatRange(0), metavar="S",
                     help="Seconds before the first of them; doubles each time.  [default: 1]"),
        click.option("--retry-on", multiple=True, metavar="ERROR",
                     help="Retry after this exception class; repeatable.  [default: transient ones]"),
        click.option("--keep", type=click.IntRange(2), metavar="N",
                     help="Keep the states of the last N iterations.  [default: 10]"),
        _STORE, _JSON,
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


class _Commands(click.Group):
    """Our commands, and those that installed distributions offer under `qcsc_loop.commands`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), *offered_names()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return super().get_command(ctx, cmd_name) or offered_command(cmd_name)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="qcsc-loop")
def commands() -> None:
    """Iterative quantum-classical algorithms that survive being killed."""


@commands.command()
@click.argument("algorithm")
@click.option(
    "--variable",
    "variables",
    multiple=True,
    metavar="NAME=VARIABLE",
    help="A parameter from a Prefect variable; --set goes over it.",
)
@click.option("--params", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              metavar="FILE", help="Parameters from a TOML file; --set goes over it.")  # fmt: skip
@click.option(
    "--seed", type=click.IntRange(0), metavar="S", help="Seed of all randomness.  [default: 0]"
)
@click.option(
    "--run-id", metavar="ID", help="Name of the run; the one of an existing run resumes it."
)
@_driving
def run(**options: Any) -> None:
    """Run ALGORITHM: a known name, path/to/file.py:Class or package.module:Class."""
    from qcsc_loop.cli.run import run

    run(**options)


@commands.command()
@click.argument("run_id", metavar="RUN")
@click.option("--algorithm", metavar="ALGORITHM", help="Where its class is now, if it was moved.")
@_driving
def resume(**options: Any) -> None:
    """Go on with RUN, with its own parameters, seed and stop rules.

    --set and --machine change what does not change results.
    """
    from qcsc_loop.cli.run import resume

    resume(**options)


@commands.command(name="list")
@_STORE
@_JSON
def list_(**options: Any) -> None:
    """List the runs of a store."""
    from qcsc_loop.cli.show import list_runs

    list_runs(**options)


@commands.command()
@click.argument("run_id", metavar="RUN")
@_STORE
@_JSON
def show(**options: Any) -> None:
    """Show RUN: parameters, progress, drivers, and what went wrong."""
    from qcsc_loop.cli.show import show_run

    show_run(**options)


@commands.command()
@click.argument("run_id", metavar="RUN")
@_STORE
@_JSON
def reap(**options: Any) -> None:
    """End every job of RUN that may still be queued or running."""
    from qcsc_loop.cli.reap import reap_run

    sys.exit(reap_run(**options))


@commands.command()
@click.argument("name", metavar="EVENT")
@click.option(
    "--payload",
    multiple=True,
    metavar="KEY=VALUE",
    help="What an automation may make parameters of; repeatable.",
)
@click.option("--about", metavar="RESOURCE", help="What it is about.  [default: EVENT.source]")
@click.option("--once", metavar="KEY",
              help="Whatever tells this event from the next: sent again it triggers nothing.")  # fmt: skip
@_JSON
def emit(**options: Any) -> None:
    """Tell the Prefect server that something happened, such as lab.calibrated."""
    from qcsc_loop.cli.emit import emit_event

    emit_event(**options)


_FILES = click.argument(
    "files", nargs=-1, required=True, metavar="FILE...",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
)  # fmt: skip


@commands.command()
@_FILES
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@_JSON
def deploy(**options: Any) -> None:
    """Create or update the deployments that TOML FILEs describe."""
    from qcsc_loop.cli.deploy import deploy_files

    deploy_files(**options)


@commands.command()
@_FILES
@click.option("--limit", type=click.IntRange(1), default=5, show_default=True, metavar="N",
              help="Flow runs at a time.")  # fmt: skip
@click.option("--poll", type=click.FloatRange(0, min_open=True), default=2, show_default=True,
              metavar="S", help="Seconds between looks for new flow runs.")  # fmt: skip
def serve(**options: Any) -> None:
    """Deploy FILEs and run them here, without a work pool, until ended."""
    from qcsc_loop.cli.deploy import serve_files

    serve_files(**options)


@commands.command()
@_EVERY
@click.option("--once", is_flag=True, help="Look once, as cron and scheduled flows do.")
@_STORE
@_JSON
def supervise(**options: Any) -> None:
    """Bring deployed runs back whose driver is gone, until ended."""
    from qcsc_loop.cli.deploy import supervise

    supervise(**options)


@commands.group()
def watch() -> None:
    """Tell the Prefect server of what happens elsewhere, each once."""


@watch.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--event", default="file.appeared", show_default=True, metavar="NAME",
              help="The event's name.")  # fmt: skip
@click.option("--pattern", default="*", show_default=True, metavar="GLOB", help="Names that count.")
@_EVERY
@click.option("--once", is_flag=True, help="Look twice, and end.")
@_STORE
@_JSON
def files(**options: Any) -> None:
    """Send an event for every file's content that appears in FOLDER."""
    from qcsc_loop.cli.watch import watch_files

    watch_files(**options)


@watch.command()
@click.argument("backend")
@click.option("--event", default="backend.calibrated", show_default=True, metavar="NAME",
              help="The event's name.")  # fmt: skip
@click.option("--credentials", default="", metavar="BLOCK",
              help="A saved block, ibm-credentials/NAME.  [default: $QISKIT_IBM_TOKEN]")  # fmt: skip
@_EVERY
@click.option("--once", is_flag=True, help="Look once, as cron does.")
@_STORE
@_JSON
def backend(**options: Any) -> None:
    """Send an event for every new calibration of an IBM BACKEND."""
    from qcsc_loop.cli.watch import watch_backend

    watch_backend(**options)


@commands.group()
def blocks() -> None:
    """Saved blocks: machines, profiles, samplers."""


@blocks.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@_JSON
def apply(**options: Any) -> None:
    """Create or update the blocks that a TOML FILE describes."""
    from qcsc_loop.cli.blocks import apply_blocks

    apply_blocks(**options)


@commands.command()
@click.option(
    "--ranks", type=click.IntRange(1), default=2, show_default=True, help="MPI ranks to start."
)
@click.option(
    "--machine", default="local", show_default=True, metavar="NAME",
    help="Where to start them: `local`, or a saved machine's name; a small job.",
)  # fmt: skip
@_STORE
@_JSON
def doctor(**options: Any) -> None:
    """Check this installation: versions, Prefect API, MPI, the store's disk."""
    from qcsc_loop.cli.doctor import examine

    sys.exit(examine(**options))


def main() -> None:
    """The console script: errors are one sentence, and the exit code tells what happened."""
    try:
        commands(prog_name="qcsc-loop", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        print("qcsc-loop: interrupted before the run began", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except QcscLoopError as error:
        sys.stdout.flush()
        print(f"qcsc-loop: {error}", file=sys.stderr)
        if "--json" in sys.argv:
            print(json.dumps({"error": str(error), "kind": type(error).__name__}))
        from qcsc_loop.cli.signals import LAST_WORDS_SECONDS, leave_within

        leave_within(LAST_WORDS_SECONDS, error.exit_code)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
