"""Tortures runs for as long as one wants: `python -m torture --help`, or `make torture`."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from torture.matrix import GROUNDS, drawn, every_point
from torture.point import STACKS, Point
from torture.table import summary, table
from torture.torturer import Torturer
from torture.trial import Result


def main() -> int:
    """0 if everything held."""
    given = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # in order
    for name in ("QCSC_LOOP_KEY_FILE", "QCSC_LOOP_SERVER"):
        os.environ[name] = str(Path(tempfile.gettempdir(), f"torture-{os.getpid()}-{name}"))
    results = _earlier(given.out)
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="torture-", ignore_cleanup_errors=True) as folder,
        Torturer(Path(folder)) as torturer,
    ):
        if not given.point:
            print(f"seed {given.seed}", flush=True)
        for number, point in enumerate(_points(given, torturer, len(results)), len(results) + 1):
            result = torturer.result(point)
            results.append(result)
            if given.out is not None:
                with given.out.open("a") as out:
                    out.write(result.to_line() + "\n")
            if result.wrong:
                print(f"! {point}: {result.wrong}", flush=True)
            elif given.verbose:
                print(f"{number} {point}", flush=True)
            if time.monotonic() - began > given.seconds:
                break
    print(summary(results))
    if given.table is not None:
        given.table.write_text(table(results, seed=given.seed, seconds=time.monotonic() - began))
    return int(any(result.wrong for result in results))


def _points(given: argparse.Namespace, torturer: Torturer, done: int) -> Iterator[Point]:
    if given.point:
        return map(Point.read, given.point)
    grounds = [ground for ground in GROUNDS if ground.stack in given.stacks]
    if given.every:
        all_of_them = (
            point
            for ground in grounds
            for point in every_point(ground, torturer.boundaries(ground))
        )
        return itertools.islice(all_of_them, done, given.points)
    return itertools.islice(drawn(given.seed, grounds, torturer.boundaries), done, given.points)


def _earlier(out: Path | None) -> list[Result]:
    """Of a torture that goes on."""
    if out is None or not out.exists():
        return []
    return [Result(**json.loads(line)) for line in out.read_text().splitlines()]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="torture", description=__doc__)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so many")
    parser.add_argument("--points", type=int, default=None, help="stop after so many points")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1 << 30))
    parser.add_argument("--stacks", type=_stacks, default=STACKS, help=f"of {','.join(STACKS)}")
    parser.add_argument("--every", action="store_true", help="every point, none by chance")
    parser.add_argument("--point", action="append", help="this one, by its name; may be repeated")
    parser.add_argument(
        "--out", type=Path, help="a file of results, which a later call goes on with"
    )
    parser.add_argument("--table", type=Path, help="a page for the docs")
    parser.add_argument("--verbose", action="store_true", help="name each point")
    return parser.parse_args()


def _stacks(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if unknown := set(names) - set(STACKS):
        raise argparse.ArgumentTypeError(f"no stack is called {', '.join(sorted(unknown))}")
    return names


if __name__ == "__main__":
    sys.exit(main())
