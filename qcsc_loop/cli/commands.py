"""The commands as they are typed. Nothing heavy is imported here: each brings what it needs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from qcsc_loop.cli.driving import JSON, NEW_RUN_ID, STORE, Driving, DrivingCommand, RunCommand
from qcsc_loop.cli.emit_group import EVENT, EmitGroup, WatchCommand
from qcsc_loop.cli.finite import ABOVE_ZERO, AT_LEAST_ZERO
from qcsc_loop.cli.overview import overview
from qcsc_loop.cli.plugin_commands import GROUP, find_plugin_commands
from qcsc_loop.cli.sweep_commands import sweep
from qcsc_loop.errors import PluginFailed

if TYPE_CHECKING:
    from qcsc_loop.reports.listing import Order

F = TypeVar("F", bound=Callable[..., Any])  # Any: whatever a command takes

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_NEW_FILE = click.Path(path_type=Path, dir_okay=False)

_EVERY = click.option(
    "--every",
    type=ABOVE_ZERO,
    default=10,
    show_default=True,
    metavar="S",
    help="Seconds between looks.",
)
_DRY_RUN = click.option(
    "--dry-run", is_flag=True, help="Say what would change, and change nothing."
)
_FILES = click.argument("files", nargs=-1, required=True, metavar="FILE...", type=_FILE)
_RUN = click.argument("run_id", metavar="RUN")


def _parameters(command: F) -> F:
    """The options of commands that take an algorithm's parameters."""
    command = click.option(
        "--machine",
        metavar="NAME",
        help="Where classical work goes: `local`, or a saved machine's name.",
    )(command)
    return click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="NAME=VALUE",
        help="A parameter; repeatable.",
    )(command)


def _event(name: str) -> Callable[[F], F]:
    return click.option(
        "--event", default=name, show_default=True, metavar="NAME", help="The event's name."
    )


class _Commands(click.Group):
    """Our commands, and those that installed distributions offer under `qcsc_loop.commands`."""

    def get_help(self, ctx: click.Context) -> str:
        return overview()

    def list_commands(self, ctx: click.Context) -> list[str]:
        offered = [command.name for command in find_plugin_commands()]
        return [*super().list_commands(ctx), *offered]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return super().get_command(ctx, cmd_name) or _load(cmd_name)


def _load(name: str) -> click.Command | None:
    """The command of another distribution; None if nobody offers it.

    Raises:
        PluginFailed: it cannot be imported, or is none.
    """
    from qcsc_loop.plugins import distribution, load, offered

    if (point := offered(GROUP).get(name)) is None:
        return None
    command = load(point)
    if not isinstance(command, click.Command):
        raise PluginFailed(GROUP, name, distribution(point), f"{point.value} is no click command")
    return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="qcsc-loop")
def commands() -> None:
    """Iterative quantum-classical algorithms that survive being killed."""


@commands.command(cls=RunCommand)
@click.argument("algorithm")
@click.option(
    "--variable",
    "variables",
    multiple=True,
    metavar="NAME=VARIABLE",
    help="A parameter from a Prefect variable; --set goes over it.",
)
@click.option(
    "--params",
    type=_FILE,
    metavar="FILE",
    help="Parameters from a TOML file; --set goes over it.",
)
@click.option(
    "--seed", type=click.IntRange(0), metavar="S", help="Seed of all randomness.  [default: 0]"
)
@click.option(
    "--run-id", metavar="ID", help="Name of the run; the one of an existing run resumes it."
)
@click.option(NEW_RUN_ID, hidden=True)
@click.option(
    "--dry-run", is_flag=True, help="Say what would run, where and at what cost; start nothing."
)
@_parameters
def run(
    *,
    algorithm: str,
    variables: tuple[str, ...],
    params: Path | None,
    seed: int | None,
    run_id: str | None,
    new_run_id: str | None,
    dry_run: bool,
    settings: tuple[str, ...],
    machine: str | None,
    driving: Driving,
) -> None:
    """Run ALGORITHM: a known name, file.py:Class or module:Class."""
    from qcsc_loop.cli.run import drive, foretell
    from qcsc_loop.cli.run_request import request_run

    request = request_run(
        algorithm,
        settings=settings,
        machine=machine,
        variables=variables,
        params=params,
        seed=seed,
        run_id=run_id,
        new_run_id=new_run_id,
    )
    (foretell if dry_run else drive)(request, driving)


@commands.command(cls=DrivingCommand)
@_RUN
@click.option(
    "--algorithm",
    metavar="ALGORITHM",
    help="Its code, where it was moved, or only a server says what it was.",
)
@click.option(
    "--uid",
    default="",
    metavar="UID",
    help="Which one, where a server has several runs of that name.",
)
@_parameters
def resume(
    *,
    run_id: str,
    algorithm: str | None,
    uid: str,
    settings: tuple[str, ...],
    machine: str | None,
    driving: Driving,
) -> None:
    """Go on with RUN, with its own parameters, seed and stop rules.

    --set and --machine change what does not change results.
    """
    from qcsc_loop.cli.run import drive
    from qcsc_loop.cli.run_request import request_resume

    request = request_resume(run_id, algorithm, uid=uid, settings=settings, machine=machine)
    drive(request, driving)


@commands.command()
@click.argument("words", nargs=-1, metavar="[ALGORITHM | KIND [TYPE]]")
@JSON
def describe(*, words: tuple[str, ...], as_json: bool) -> None:
    """Say what ALGORITHM takes, or a sampler, a machine, a stop rule.

    `describe sampler` lists the types of samplers, `describe sampler aer` what that one takes.
    """
    from qcsc_loop.cli.describe import describe_words

    describe_words(words, as_json=as_json)


@commands.command()
@click.argument("name")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=".",
    metavar="DIR",
    help="Where.  [default: here]",
)
@JSON
def new(*, name: str, folder: Path, as_json: bool) -> None:
    """Write an algorithm to begin with, its test and parameters.

    NAME.py, test_NAME.py and NAME.toml run as they are; nothing is overwritten.
    """
    from qcsc_loop.cli.new import write_new

    write_new(name, folder=folder, as_json=as_json)


@commands.command()
@click.argument("algorithm")
@click.option(
    "--iterations",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    metavar="N",
    help="How many each life of the run has.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, metavar="N")
@click.option(
    "--kills",
    type=click.IntRange(0),
    metavar="N",
    help="How many of the kills are made.  [default: before and after every write]",
)
@_parameters
@JSON
def check(
    *,
    algorithm: str,
    iterations: int,
    seed: int,
    kills: int | None,
    settings: tuple[str, ...],
    machine: str | None,
    as_json: bool,
) -> None:
    """Try whether an algorithm has the same bits in every life.

    Drives a short run again and again: in other surroundings, resumed, killed at every write.
    """
    from qcsc_loop.cli.check import check

    check(
        algorithm,
        settings=settings,
        machine=machine,
        iterations=iterations,
        seed=seed,
        kills=kills,
        as_json=as_json,
    )


@commands.command(name="list")
@click.option("--all", "all_", is_flag=True, help="All of them; else the newest 20.")
@click.option(
    "--status",
    "statuses",
    multiple=True,
    metavar="WORD",
    help="Those that stand so: running, failed, ..., or trouble, finished; repeatable.",
)
@click.option(
    "--algorithm", "algorithms", multiple=True, metavar="NAME", help="Of this class; repeatable."
)
@click.option("--since", metavar="TIME", help="Those that did something since: 12h, 3d or a date.")
@click.option(
    "--sort",
    "order",
    type=click.Choice(["trouble", "age", "best", "cost"]),
    help="What comes first.  [default: trouble]",
)
@click.option(
    "-l", "--long", "long_", is_flag=True, help="A second line each: seed, best, cost, times."
)
@STORE
@JSON
def list_(
    *,
    all_: bool,
    statuses: tuple[str, ...],
    algorithms: tuple[str, ...],
    since: str | None,
    order: Order | None,
    long_: bool,
    store: Path | None,
    as_json: bool,
) -> None:
    """List the runs of a store, those that want you first.

    ! wants you, > is running, + has converged.
    """
    from qcsc_loop.cli.list_runs import Listing, list_runs

    asked = Listing(
        store=store,
        all=all_,
        statuses=statuses,
        algorithms=algorithms,
        since=since,
        order=order,
        long=long_,
        as_json=as_json,
    )
    list_runs(asked)


@commands.command()
@_RUN
@click.option("--tables", is_flag=True, help="The results instead: the tables of its last state.")
@click.option("--log", is_flag=True, help="Its log instead: troubles, retries, what hooks said.")
@click.option("--traceback", is_flag=True, help="All of the traceback; else your own line of it.")
@click.option(
    "--all", "all_", is_flag=True, help="All parameters, scalars, drivers and jobs there are."
)
@STORE
@JSON
def show(
    *,
    run_id: str,
    tables: bool,
    log: bool,
    traceback: bool,
    all_: bool,
    store: Path | None,
    as_json: bool,
) -> None:
    """Show RUN: how it stands, why, what it cost, and what is next."""
    from qcsc_loop.cli.run_page import Showing
    from qcsc_loop.cli.show import open_run, show_log, show_run

    asked = Showing(store=store, all=all_, traceback=traceback, as_json=as_json)
    if tables:
        from qcsc_loop.cli.results import show_tables

        show_tables(open_run(run_id, store), as_json=as_json)
    elif log:
        show_log(run_id, asked)
    else:
        show_run(run_id, asked)


@commands.command(cls=WatchCommand)
@click.argument("run_ids", nargs=-1, required=True, metavar="RUN...")
@STORE
def watch(*, run_ids: tuple[str, ...], store: Path | None) -> None:
    """Watch RUNs go on, from any machine that sees the store.

    On a terminal a view of each, with the keys q (leave), l (log) and j (jobs); elsewhere a line for
    all that happens. It ends when no run has a driver any more: with 1 if one of them is in trouble.
    """
    from qcsc_loop.cli.watch import watch_runs

    sys.exit(watch_runs(run_ids, store))


@commands.command()
@click.argument("run_ids", nargs=-1, required=True, metavar="RUN...")
@click.option("-y", "name", metavar="NAME", help="The scalar.  [default: the run's headline]")
@click.option(
    "-x",
    "along",
    type=click.Choice(["iteration", "shots", "qpu", "wall"]),
    default="iteration",
    show_default=True,
    help="What it is drawn along; `wall` is the time that drivers worked.",
)
@click.option(
    "--log", is_flag=True, help="The distance to the reference, or to the best, on a log axis."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A picture instead: .svg, .png or .pdf.",
)
@STORE
def plot(
    *,
    run_ids: tuple[str, ...],
    name: str | None,
    along: Literal["iteration", "shots", "qpu", "wall"],
    log: bool,
    output: Path | None,
    store: Path | None,
) -> None:
    """Draw the convergence of RUNs, here or into a file."""
    from qcsc_loop.cli.plot import plot_runs

    plot_runs(run_ids, name=name, along=along, log=log, output=output, store=store)


@commands.command()
@_RUN
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The file; `-` is stdout.  [default: RUN.html]",
)
@STORE
def report(*, run_id: str, output: Path | None, store: Path | None) -> None:
    """Write RUN as one HTML file, to look at and to send to somebody."""
    from qcsc_loop.cli.report import write_report

    write_report(run_id, output=output, store=store)


@commands.command()
@click.option(
    "--port",
    type=click.IntRange(1024, 65535),
    metavar="N",
    help="Where it answers, on this machine alone.  [default: one of yours, or a free one]",
)
@click.option(
    "--uds",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="A socket that nobody else may open, instead of a port.",
)
@STORE
def ui(*, port: int | None, uds: Path | None, store: Path | None) -> None:
    """Look at all runs in a browser, live.

    It goes on until it is ended. Its address has a key in it: whoever has that can look, and nobody
    can change anything.
    """
    from qcsc_loop.cli.ui import serve_pages

    serve_pages(store=store, port=port, uds=uds)


@commands.command()
@click.argument("run_ids", nargs=-1, required=True, metavar="RUN...")
@click.option(
    "--to", required=True, metavar="TRACKER", help="tensorboard, mlflow, or one that is installed."
)
@click.option(
    "--follow", is_flag=True, help="Go on for as long as they are driven, and until all is taken."
)
@STORE
def track(*, run_ids: tuple[str, ...], to: str, follow: bool, store: Path | None) -> None:
    """Hand RUNs on to an experiment tracker, each iteration once.

    A driver knows nothing of it: a tracker that is slow, away or broken holds up no run.
    """
    from qcsc_loop.cli.track import track_runs

    sys.exit(track_runs(run_ids, to=to, follow=follow, store=store))


@commands.command()
@click.argument("one", metavar="RUN")
@click.argument("other", metavar="RUN")
@click.option(
    "--plot",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Both curves in one picture, too: .svg, .png or .pdf.",
)
@STORE
@JSON
def diff(*, one: str, other: str, plot: Path | None, store: Path | None, as_json: bool) -> None:
    """Say how two RUNs differ: parameters, results, cost, from where."""
    from qcsc_loop.cli.diff import diff_runs

    diff_runs(one, other, plot=plot, store=store, as_json=as_json)


@commands.command()
@_RUN
@click.option(
    "-o",
    "--output",
    type=_NEW_FILE,
    help="The file; `-` is stdout.  [default: RUN.tar.gz, RUN.csv or RUN.parquet]",
)
@click.option("--csv", "form", flag_value="csv", help="Its history as a table instead.")
@click.option("--parquet", "form", flag_value="parquet", help="The same as Apache Parquet.")
@click.option("--no-work", is_flag=True, help="Without the files of its steps.")
@click.option("--snapshot", is_flag=True, help="Even while it is being driven.")
@STORE
@JSON
def export(
    *,
    run_id: str,
    output: Path | None,
    form: Literal["csv", "parquet"] | None,
    no_work: bool,
    snapshot: bool,
    store: Path | None,
    as_json: bool,
) -> None:
    """Write RUN into one file, to be kept or taken elsewhere."""
    from qcsc_loop.cli.moving import export_to_file

    export_to_file(
        run_id,
        output=output,
        form=form,
        work=not no_work,
        snapshot=snapshot,
        store=store,
        as_json=as_json,
    )


@commands.command(name="import")
@click.argument("file", type=_FILE)
@click.option("--run-id", metavar="ID", help="Its id here.  [default: the one that it has]")
@STORE
@JSON
def import_(*, file: Path, run_id: str | None, store: Path | None, as_json: bool) -> None:
    """Put a run into the store that `export` has written into FILE."""
    from qcsc_loop.cli.moving import import_from_file

    import_from_file(file, run_id=run_id, store=store, as_json=as_json)


@commands.command()
@_RUN
@click.option(
    "--from",
    "at",
    metavar="K|best",
    help="The iteration that it begins after.  [default: the last one that is kept]",
)
@click.option("--run-id", "new_id", metavar="ID", help="The new run's id.")
@click.option(
    "--replay", is_flag=True, help="Take RUN's samples where they are kept: no shot is spent."
)
@click.option("--algorithm", metavar="NAME", help="Where its class is, if it was moved.")
@_parameters
@STORE
@JSON
def fork(
    *,
    run_id: str,
    at: str | None,
    new_id: str | None,
    replay: bool,
    algorithm: str | None,
    settings: tuple[str, ...],
    machine: str | None,
    store: Path | None,
    as_json: bool,
) -> None:
    """Make a run that begins with a state of RUN, to go another way.

    RUN itself is only read. Unchanged, it is the same run again.
    """
    from qcsc_loop.cli.moving import fork

    fork(
        run_id,
        at=at,
        new_id=new_id,
        settings=settings,
        machine=machine,
        replay=replay,
        algorithm=algorithm,
        store=store,
        as_json=as_json,
    )


@commands.command()
@click.argument("run_ids", nargs=-1, required=True, metavar="RUN...")
@click.option(
    "--wait",
    type=AT_LEAST_ZERO,
    default=60,
    show_default=True,
    metavar="S",
    help="Seconds that a driver has to answer.",
)
@click.option(
    "--force", is_flag=True, help="Take a run from a driver that has not answered by then."
)
@click.option(
    "--leave-jobs", is_flag=True, help="End the driver alone: a resume goes on with its jobs."
)
@STORE
@JSON
def cancel(
    *,
    run_ids: tuple[str, ...],
    wait: float,
    force: bool,
    leave_jobs: bool,
    store: Path | None,
    as_json: bool,
) -> None:
    """End RUNs in order, wherever they are driven, with their jobs.

    What was finished is kept; resume goes on with it.
    """
    from qcsc_loop.cli.cancel import cancel_runs

    sys.exit(
        cancel_runs(
            run_ids, store=store, wait=wait, force=force, leave_jobs=leave_jobs, as_json=as_json
        )
    )


@commands.command()
@click.argument("run_ids", nargs=-1, metavar="[RUN]...")
@click.option("--yes", is_flag=True, help="Remove it; else it is only said.")
@click.option(
    "--older",
    metavar="SPAN",
    help="Of runs alone that did nothing for so long: 12h, 30d.  [default: 30d; of named RUNs 0s]",
)
@click.option(
    "--keep",
    type=click.IntRange(2),
    metavar="N",
    help="Of runs that a rule has ended: fewer states than they were to keep.",
)
@STORE
@JSON
def gc(
    *,
    run_ids: tuple[str, ...],
    yes: bool,
    older: str | None,
    keep: int | None,
    store: Path | None,
    as_json: bool,
) -> None:
    """Say what nobody needs any more, and remove it with --yes.

    Records, histories and the states to go on or fork from stay; so does all of runs that are
    driven or whose jobs may be alive.
    """
    from qcsc_loop.cli.gc import Collecting, collect

    collect(
        Collecting(run_ids=run_ids, yes=yes, older=older, keep=keep, store=store, as_json=as_json)
    )


@commands.command()
@_RUN
@click.option(
    "--unread",
    is_flag=True,
    help="Give up jobs, too, that ended well and whose results cannot be read: a resume has their "
    "work done, and paid, anew.",
)
@STORE
@JSON
def reap(*, run_id: str, unread: bool, store: Path | None, as_json: bool) -> None:
    """End every job of RUN that may still be queued or running."""
    from qcsc_loop.cli.reap import reap_run

    sys.exit(reap_run(run_id=run_id, store=store, unread=unread, as_json=as_json))


@commands.command()
@click.option(
    "--ranks", type=click.IntRange(1), default=2, show_default=True, help="MPI ranks to start."
)
@click.option(
    "--machine",
    default="local",
    show_default=True,
    metavar="NAME",
    help="Where to start them: `local`, or a saved machine's name; a small job.",
)
@STORE
@JSON
def doctor(*, ranks: int, machine: str, store: Path | None, as_json: bool) -> None:
    """Check versions, the Prefect API, MPI and the store's disk."""
    from qcsc_loop.cli.doctor import examine

    sys.exit(examine(ranks=ranks, machine=machine, store=store, as_json=as_json))


@commands.command()
@_FILES
@_DRY_RUN
@JSON
def deploy(*, files: tuple[Path, ...], dry_run: bool, as_json: bool) -> None:
    """Create or update the deployments that TOML FILEs describe."""
    from qcsc_loop.cli.deploy import deploy_files

    deploy_files(files=files, dry_run=dry_run, as_json=as_json)


@commands.command()
@_FILES
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=5,
    show_default=True,
    metavar="N",
    help="Flow runs at a time.",
)
@click.option(
    "--poll",
    type=ABOVE_ZERO,
    default=2,
    show_default=True,
    metavar="S",
    help="Seconds between looks for new flow runs.",
)
def serve(*, files: tuple[Path, ...], limit: int, poll: float) -> None:
    """Deploy FILEs and run them here, without a work pool.

    It goes on until it is ended.
    """
    from qcsc_loop.cli.deploy import serve_files

    serve_files(files=files, limit=limit, poll=poll)


@commands.command()
@_EVERY
@click.option("--once", is_flag=True, help="Look once, as cron and scheduled flows do.")
@STORE
@JSON
def supervise(*, every: float, once: bool, store: Path | None, as_json: bool) -> None:
    """Bring deployed runs back whose driver is gone.

    It goes on until it is ended.
    """
    from qcsc_loop.cli.deploy import supervise

    supervise(store=store, every=every, once=once, as_json=as_json)


@commands.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(*, shell: Literal["bash", "zsh", "fish"]) -> None:
    """Say what a shell is to read, to offer runs and names at Tab.

    eval "$(qcsc-loop completion bash)" in ~/.bashrc; qcsc-loop completion fish | source.
    """
    from qcsc_loop.cli.completion import say_script

    say_script(shell)


@commands.group(cls=EmitGroup)
def emit() -> None:
    """Tell the Prefect server of an event, a new file or calibration.

    EVENT is a name with dots, such as lab.calibrated.
    """


@emit.command(name=EVENT)
@click.argument("name", metavar="EVENT")
@click.option(
    "--payload",
    multiple=True,
    metavar="KEY=VALUE",
    help="What an automation may make parameters of; repeatable.",
)
@click.option("--about", metavar="RESOURCE", help="What it is about.  [default: EVENT.source]")
@click.option(
    "--once",
    metavar="KEY",
    help="Whatever tells this event from the next: sent again it triggers nothing.",
)
@JSON
def event(
    *, name: str, payload: tuple[str, ...], about: str | None, once: str | None, as_json: bool
) -> None:
    """Tell the Prefect server that something happened.

    EVENT is a name with dots, such as lab.calibrated.
    """
    from qcsc_loop.cli.emit import emit_event

    emit_event(name=name, payload=payload, about=about, once=once, as_json=as_json)


@emit.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@_event("file.appeared")
@click.option("--pattern", default="*", show_default=True, metavar="GLOB", help="Names that count.")
@_EVERY
@click.option("--once", is_flag=True, help="Look twice, and end.")
@STORE
@JSON
def files(
    *,
    folder: Path,
    event: str,
    pattern: str,
    every: float,
    once: bool,
    store: Path | None,
    as_json: bool,
) -> None:
    """Send an event for every file's content that appears in FOLDER."""
    from qcsc_loop.cli.emit_seen import Watch, emit_files

    emit_files(folder, pattern, Watch(event, store, every, once, as_json))


@emit.command()
@click.argument("backend")
@_event("backend.calibrated")
@click.option(
    "--credentials",
    default="",
    metavar="BLOCK",
    help="A saved block, ibm-credentials/NAME.  [default: $QISKIT_IBM_TOKEN]",
)
@_EVERY
@click.option("--once", is_flag=True, help="Look once, as cron does.")
@STORE
@JSON
def backend(
    *,
    backend: str,
    event: str,
    credentials: str,
    every: float,
    once: bool,
    store: Path | None,
    as_json: bool,
) -> None:
    """Send an event for every new calibration of an IBM BACKEND."""
    from qcsc_loop.cli.emit_seen import Watch, emit_backend

    emit_backend(backend, credentials, Watch(event, store, every, once, as_json))


class _Blocks(click.Group):
    """Our commands about blocks, and those that distributions offer as `blocks.NAME`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        from qcsc_loop.plugins import offered

        others = [n.partition(".")[2] for n in offered(GROUP) if n.startswith("blocks.")]
        return sorted({*super().list_commands(ctx), *others})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return super().get_command(ctx, cmd_name) or _load(f"blocks.{cmd_name}")


@commands.group(cls=_Blocks)
def blocks() -> None:
    """Saved blocks: machines, profiles, samplers."""


@blocks.command()
@click.argument("file", type=_FILE)
@_DRY_RUN
@JSON
def apply(*, file: Path, dry_run: bool, as_json: bool) -> None:
    """Create or update the blocks that a TOML FILE describes."""
    from qcsc_loop.cli.blocks import apply_blocks

    apply_blocks(file=file, dry_run=dry_run, as_json=as_json)


@commands.group()
def server() -> None:
    """A Prefect server of your own that outlives the runs.

    It answers on this machine alone, to whoever has the password in its folder.
    """


@server.command()
@click.option(
    "--port",
    type=click.IntRange(1024, 65535),
    metavar="N",
    help="Where it answers.  [default: as before; at first a free one]",
)
@JSON
def start(*, port: int | None, as_json: bool) -> None:
    """Start it, or say where it is: it goes on when you log out."""
    from qcsc_loop.cli.server import start_server

    sys.exit(start_server(port=port, as_json=as_json))


@server.command()
@JSON
def status(*, as_json: bool) -> None:
    """Say how it is and how to get in; start it again if it was killed."""
    from qcsc_loop.cli.server import server_status

    sys.exit(server_status(as_json=as_json))


@server.command()
@JSON
def stop(*, as_json: bool) -> None:
    """End it; what it knows stays."""
    from qcsc_loop.cli.server import stop_server

    sys.exit(stop_server(as_json=as_json))


commands.add_command(sweep)
