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
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Lock

from torture.matrix import GROUNDS, LANES, drawn, every_point, lane_of
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
    tally = Tally(given)
    with tempfile.TemporaryDirectory(prefix="torture-", ignore_cleanup_errors=True) as folder:
        if given.point or given.every:
            with Torturer(Path(folder)) as torturer:
                tally.take(torturer, _told(given, torturer, len(tally.results)))
        else:
            print(f"seed {given.seed}", flush=True)
            _by_chance(given, tally, Path(folder))
    print(summary(tally.results))
    if given.table is not None:
        given.table.write_text(table(tally.results, seed=given.seed))
    return int(any(result.wrong for result in tally.results))


class Tally:
    """What became of all points, also of those of earlier calls."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.results = _earlier(given.out)
        self._given, self._ends = given, time.monotonic() + given.seconds
        self._lock = Lock()
        self._stopped = False

    def take(self, torturer: Torturer, points: Iterator[Point]) -> None:
        """Lives through points for as long as there are any, and it is wanted."""
        while not self._is_enough and (point := next(points, None)) is not None:
            self._note(point, torturer.result(point))

    @property
    def _is_enough(self) -> bool:
        most = self._given.points
        enough = most is not None and len(self.results) >= most
        return enough or self._stopped or time.monotonic() > self._ends

    def stop(self) -> None:
        """Once the points have ended that are being tried."""
        self._stopped = True

    def _note(self, point: Point, result: Result) -> None:
        with self._lock:
            self.results.append(result)
            if self._given.out is not None:
                with self._given.out.open("a") as out:
                    out.write(result.to_line() + "\n")
            if result.wrong:
                print(f"! {point}: {result.wrong}", flush=True)
            elif self._given.verbose:
                print(f"{len(self.results)} {point}", flush=True)


class Lot:
    """The points of a lane, of which several threads take one after the other."""

    def __init__(self, points: Iterator[Point]) -> None:
        self._points, self._lock = points, Lock()

    def __iter__(self) -> Iterator[Point]:
        return self

    def __next__(self) -> Point:
        with self._lock:
            return next(self._points)


def _by_chance(given: argparse.Namespace, tally: Tally, folder: Path) -> None:
    """All lanes beside each other, each thread with what it has started, and ends."""
    earlier = Counter(lane_of(Point.read(result.point).ground) for result in tally.results)
    with ThreadPoolExecutor(sum(LANES.values())) as pool, ExitStack() as all_of_them:
        all_of_them.callback(tally.stop)
        begun = []
        for lane, at_once in LANES.items():
            grounds = [g for g in GROUNDS if g.stack in given.stacks and lane_of(g) == lane]
            if not grounds:
                continue
            torturers = [Torturer(folder / lane / str(number)) for number in range(at_once)]
            points = drawn(given.seed, grounds, torturers[0].boundaries)
            lot = Lot(itertools.islice(points, earlier[lane], None))
            begun += [pool.submit(_live, tally, torturer, lot) for torturer in torturers]
        for lane_run in begun:
            lane_run.result()


def _live(tally: Tally, torturer: Torturer, lot: Lot) -> None:
    with torturer:
        tally.take(torturer, lot)


def _told(given: argparse.Namespace, torturer: Torturer, done: int) -> Iterator[Point]:
    """Those that are named, or every one there is."""
    if given.point:
        return map(Point.read, given.point)
    grounds = [ground for ground in GROUNDS if ground.stack in given.stacks]
    all_of_them = (
        point for ground in grounds for point in every_point(ground, torturer.boundaries(ground))
    )
    return itertools.islice(all_of_them, done, None)


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
