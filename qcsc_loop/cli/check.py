"""`check`: whether an algorithm keeps the contract that its runs are resumed by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from qcsc_loop.catalog import find_algorithm
from qcsc_loop.errors import CheckFailed
from qcsc_loop.parameters.build import build, merge, parse_settings
from qcsc_loop.printing import say, say_json
from qcsc_loop.testing.checking.check import find_impurities


def check(
    algorithm: str,
    *,
    settings: Sequence[str],
    machine: str | None,
    iterations: int,
    seed: int,
    kills: int | None,
    as_json: bool,
) -> None:
    """Tries an algorithm, and says what was found.

    Raises:
        CheckFailed: it does not keep the contract.
    """
    given = parse_settings(settings)
    if machine is not None:
        given = merge(given, {"machine": machine})
    built = build(find_algorithm(algorithm), given)

    def show(text: str) -> None:
        say(text, to_stderr=as_json)

    checked = find_impurities(built, iterations=iterations, seed=seed, kills=kills, say=show)
    if as_json:
        say_json(asdict(checked))
    if checked.findings:
        raise CheckFailed(checked.algorithm, [finding.words for finding in checked.findings])
    if not as_json:
        say(
            f"{checked.algorithm} has the same bits in every life of its run: "
            f"{len(checked.done)} checks, {checked.kills} kills, {checked.seconds:.0f} s"
        )
