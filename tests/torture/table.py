"""What came of many points, as a table for people, and for the docs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from torture.point import Point
from torture.trial import Result

HEAD = (
    "points",
    "kills",
    "equal bits",
    "extra submissions",
    "runs that cannot go on",
    "work lost, longest (s)",
)


def table(results: Sequence[Result], *, seed: int) -> str:
    """A page of Markdown."""
    seconds = sum(result.seconds for result in results)
    faults = _rows(results, lambda point: point.fault)
    grounds = _rows(results, lambda point: str(point.ground))
    total = ["all", *_figures(results)]
    return "\n".join(
        [
            "# Torture: what became of runs that met a fault",
            "",
            f"`make torture SEED={seed} POINTS={len(results)}`, {seconds:.0f} s of points, of which",
            "some are tried at once. Each is a run of two iterations that meets the fault at a write",
            "boundary, and is resumed. Its states are compared with those of a run that nobody hurt,",
            "its jobs with what its site accepted.",
            "",
            *_table("fault", faults, total),
            "",
            *_table("stack/store/placement", grounds, total),
            "",
        ]
    )


def summary(results: Sequence[Result]) -> str:
    """A line."""
    return ", ".join(
        f"{what}: {figure}" for what, figure in zip(HEAD, _figures(results), strict=True)
    )


def _rows(results: Iterable[Result], of: Callable[[Point], str]) -> list[list[str]]:
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(of(Point.read(result.point)), []).append(result)
    return [[name, *_figures(group)] for name, group in sorted(groups.items())]


def _figures(results: Sequence[Result]) -> list[str]:
    count = len(results)
    equal = sum(result.same_bits for result in results)
    return [
        str(count),
        str(sum(result.kills for result in results)),
        f"{equal} of {count}",
        str(sum(max(result.extra, 0) for result in results)),
        str(sum(not result.went_on for result in results)),
        f"{max((result.lost for result in results), default=0.0):.2f}",
    ]


def _table(first: str, rows: Sequence[Sequence[str]], total: Sequence[str]) -> list[str]:
    heads = [first, *HEAD]
    lines = [f"| {' | '.join(heads)} |", f"|---|{'---:|' * len(HEAD)}"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in (*rows, total))]
