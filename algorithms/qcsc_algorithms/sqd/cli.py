"""`sqd-compare`: the optimiser of closed-loop SQD beside its controls."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("sqd-compare")
@click.option(
    "--set", "settings", multiple=True, metavar="NAME=VALUE", help="A parameter of sqd; repeatable."
)
@click.option("--machine", metavar="NAME", help="Where diagonalisations go.")
@click.option(
    "--arms",
    default="de,de-anew,perturb,random,fixed,cisd,hci",
    show_default=True,
    metavar="LIST",
    help="The first one is what the others are compared with.",
)
@click.option("--seeds", type=click.IntRange(1), default=8, show_default=True, metavar="N")
@click.option("--iterations", type=click.IntRange(1), default=4, show_default=True, metavar="N")
@click.option(
    "--store",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder that holds all runs.  [default: $QCSC_LOOP_STORE or ~/.qcsc-loop]",
)
@click.option("--json", "as_json", is_flag=True, help="End stdout with one JSON object.")
def sqd_compare(
    settings: tuple[str, ...],
    machine: str | None,
    arms: str,
    seeds: int,
    iterations: int,
    store: Path | None,
    as_json: bool,
) -> None:
    """Compare SQD's optimiser with its controls at one subspace size.

    Two sweeps: called again it goes on where it was, and more seeds are added to those there are. With
    fewer than 6 seeds, or 8 with all arms, nothing can be claimed.
    """
    from qcsc_algorithms.sqd.comparison_cli import print_comparison

    print_comparison(settings, machine, arms.split(","), seeds, iterations, store, as_json)
