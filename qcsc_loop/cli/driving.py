"""The options of the commands that drive a run, as one record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from qcsc_loop.cli.finite import AT_LEAST_ZERO, Finite
from qcsc_loop.prefect.driver_facts import Granularity

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from qcsc_loop.loop.options import RunOptions
    from qcsc_loop.rules.limits import Limit, Limits
    from qcsc_loop.rules.retry import Retry

STORE = click.option(
    "--store",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder that holds all runs.  [default: $QCSC_LOOP_STORE or ~/.qcsc-loop]",
)
ALGORITHM = f"{__name__}.algorithm"  # in a context's meta: whose parameters the help tells, too
ATTACHED = "--attached"  # said to the driver that `--detach` starts
NEW_RUN_ID = "--new-run-id"  # the same, of an id that nobody has named
JSON = click.option("--json", "as_json", is_flag=True, help="End stdout with one JSON object.")


@dataclass(frozen=True, kw_only=True)
class Driving:
    """How a run is to be driven; None: as it was, and for a new run the default.

    Attributes:
        prefect: whether in a Prefect flow.
        tasks: what becomes a Prefect task there.
        take_over: from a driver that holds the run, even if it lives.
        detach: by a process of its own, which outlives this one.
    """

    limits: Limits
    retry: Retry | None
    keep: int | None
    prefect: bool | None
    tasks: Granularity | None
    take_over: bool
    store: Path | None
    as_json: bool
    detach: bool = False

    def options(self) -> RunOptions:
        """As the loop takes them."""
        options: RunOptions = {}
        if (rule := self.limits.stop_rule()) is not None:
            options["stop"] = rule
        if self.keep is not None:
            options["keep"] = self.keep
        if self.retry is not None:
            options["retry"] = self.retry
        if self.take_over:
            options["take_over"] = True
        return options


class DrivingCommand(click.Command):
    """A command that drives a run: it is called with a `driving` beside its own arguments."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        *own, of_help = super().get_params(ctx)
        return [*own, *_options(), of_help]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        left = super().parse_args(ctx, args)
        words = {str(option.name): ctx.params.pop(str(option.name)) for option in _options()}
        words["detach"] &= not words.pop("attached")
        ctx.params["driving"] = read_driving(**words)
        return left


def read_driving(
    *,
    retries: int | None,
    retry_delay: float | None,
    retry_on: tuple[str, ...],
    keep: int | None,
    prefect: bool | None,
    tasks: Granularity | None,
    take_over: bool,
    store: Path | None,
    as_json: bool,
    detach: bool = False,
    **limits: float | None,
) -> Driving:
    """What the options say, once they are parsed."""
    from qcsc_loop.rules.limits import Limits
    from qcsc_loop.rules.retry import Retry

    retry = None
    if retries is not None:
        delay = Retry().delay if retry_delay is None else retry_delay
        retry = Retry(times=retries, on=retry_on, delay=delay)
    return Driving(
        limits=Limits.model_validate(limits),
        retry=retry,
        keep=keep,
        prefect=prefect,
        tasks=tasks,
        take_over=take_over,
        store=store,
        as_json=as_json,
        detach=detach,
    )


class RunCommand(DrivingCommand):
    """Its help tells an algorithm's parameters, too, if one is named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not set(ctx.help_option_names).isdisjoint(args):
            found, _, _ = self.make_parser(ctx).parse_args(list(args))
            ctx.meta[ALGORITHM] = found.get("algorithm")
        return super().parse_args(ctx, args)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if isinstance(algorithm := ctx.meta.get(ALGORITHM), str):
            from qcsc_loop.cli.describe import parameters_of

            formatter.write(f"\n{parameters_of(algorithm)}\n")


@cache  # click tells options from each other by what they are
def _options() -> Sequence[click.Option]:
    @click.command()
    @click.option(
        "--prefect/--no-prefect",
        default=None,
        help="With Prefect's server, tasks and artifacts, or without."
        "  [default: as before; at first --prefect]",
    )
    @click.option(
        "--tasks",
        type=click.Choice(get_args(Granularity)),
        help="What becomes a Prefect task.  [default: as before; at first step]",
    )
    @click.option(
        "--retries",
        type=click.IntRange(0),
        metavar="N",
        help="Call a hook that failed up to N more times.",
    )
    @click.option(
        "--retry-delay",
        type=AT_LEAST_ZERO,
        metavar="S",
        help="Seconds before the first of them; doubles each time.  [default: 1]",
    )
    @click.option(
        "--retry-on",
        multiple=True,
        metavar="ERROR",
        help="Retry after this exception class; repeatable.  [default: transient ones]",
    )
    @click.option(
        "--keep",
        type=click.IntRange(2),
        metavar="N",
        help="Keep the states of the last N iterations.  [default: 10]",
    )
    @click.option(
        "--take-over",
        is_flag=True,
        help="Take the run from the driver that holds it, even if that one lives.",
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
    def others() -> None: ...

    return [*_limits(), *(p for p in others.params if isinstance(p, click.Option))]


def _limits() -> list[click.Option]:
    """An option for each field of `Limits`, with its bounds."""
    # pydantic takes longer to import than all else that a command's help needs
    from qcsc_loop.rules.limits import Limits, limits

    return [_limit_option(name, limit, Limits.model_fields[name]) for name, limit in limits()]


def _limit_option(name: str, limit: Limit, field: FieldInfo) -> click.Option:
    word = f"--{name.replace('_', '-')}"
    return click.Option([word], type=_number(field), metavar=limit.unit, help=limit.words)


def _number(field: FieldInfo) -> click.IntRange | Finite:
    """Numbers within the field's own bound."""
    bounds = {
        word: getattr(bound, word)
        for bound in field.metadata
        for word in ("ge", "gt")
        if hasattr(bound, word)
    }
    if int in get_args(field.annotation):
        return click.IntRange(bounds.get("ge"))
    return Finite(bounds.get("gt"), min_open="gt" in bounds)
