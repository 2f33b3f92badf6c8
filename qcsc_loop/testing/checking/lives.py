"""Lives of a run, each in a child of a process that has imported the algorithm once.

Run as `python -m qcsc_loop.testing.checking.lives REFERENCE PARAMETERS [elsewhere]`: each line of stdin
is a `Life`, each line of stdout a `Lived`. Elsewhere the algorithm is imported on what looks like
another machine, at another time.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from qcsc_loop.algorithm import AnyAlgorithm
from qcsc_loop.catalog import find_algorithm
from qcsc_loop.errors import HookError, ImpureHook, QcscLoopError
from qcsc_loop.parameters.build import build
from qcsc_loop.rules.stop import MaxIterations
from qcsc_loop.steps import parts
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.testing.checking.calls import HookCalls
from qcsc_loop.testing.checking.clock import set_the_clock_back
from qcsc_loop.testing.checking.elsewhere import go_elsewhere
from qcsc_loop.testing.checking.orders import RUN_ID, Asked, Life, Lived, When
from qcsc_loop.testing.checking.reading import Readings, note_readings
from qcsc_loop.testing.checking.watching import folders_of, watching
from qcsc_loop.testing.instants import Instants
from qcsc_loop.testing.submissions import Submission, submissions_told
from qcsc_loop.values.document import Document

KILLED = 137  # as a shell reports SIGKILL
_UNFINISHED = "unfinished"


def main() -> None:
    """Lives the lives that it is told to."""
    # what hooks print and read is not what is said and told here
    said, told = os.fdopen(os.dup(1), "w"), os.fdopen(os.dup(0))
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    reference, parameters, *where = sys.argv[1:]
    readings = note_readings()
    if where:
        go_elsewhere()
        set_the_clock_back()
    algorithm = build(find_algorithm(reference), json.loads(parameters))
    said.write("\n")
    said.flush()
    for line in told:
        said.write(_live_in_child(algorithm, Life.from_json(line), readings).to_json() + "\n")
        said.flush()


def _live_in_child(algorithm: AnyAlgorithm, life: Life, readings: Readings) -> Lived:
    # a file: what a hook has started may live on, and would hold a pipe open
    with tempfile.TemporaryFile() as answer:
        _write(answer, Lived(error=_UNFINISHED))
        if (child := os.fork()) == 0:
            try:
                lived = live(algorithm, life, _noting_calls(algorithm, answer))
                read = readings.of(folders_of(type(algorithm))) if life.watch else ()
                _write(answer, replace(lived, asked=(*lived.asked, *read)))
            except BaseException as error:  # of the check itself: it must be seen, and end here
                _write(answer, Lived(error=f"{type(error).__name__}: {error}"))
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        answer.seek(0)
        lived = Lived.from_json(answer.read().decode())
    if lived.error != _UNFINISHED:
        return lived
    return replace(lived, error=_ended(type(algorithm).__name__, lived, status))


def _write(answer: IO[bytes], lived: Lived) -> None:
    answer.seek(0)
    answer.truncate()
    answer.write(lived.to_json().encode())
    answer.flush()


def _noting_calls(algorithm: AnyAlgorithm, answer: IO[bytes]) -> HookCalls:
    def begun(hook: str, iteration: int) -> None:
        _write(answer, Lived(error=_UNFINISHED, hook=hook, iteration=iteration))

    return HookCalls(algorithm, begun)


def _ended(name: str, lived: Lived, status: int) -> str:
    """What is said for a process that can say nothing any more."""
    code = os.waitstatus_to_exitcode(status)
    how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    where = f"{name}.{lived.hook} in iteration {lived.iteration}" if lived.hook else name
    return f"the process of {where} ended: {how}"


def live(algorithm: AnyAlgorithm, life: Life, calls: HookCalls) -> Lived:
    """Drives the run through one life; does not return from one that is killed."""
    for name, value in life.variables.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
    folder = life.folder or tempfile.mkdtemp(prefix="qcsc-loop-check-")
    os.chdir(folder)
    if life.elsewhere:
        go_elsewhere()
    if life.earlier:
        set_the_clock_back()
    if life.reverse:
        parts.in_turn = _reversed  # type: ignore[assignment]  # of a function that is generic
    if life.twice:
        before = Path(folder) / "before"
        _drive(algorithm, DirectoryStore(before), life, HookCalls(algorithm))
    random.seed(life.start)
    np.random.seed(life.start)  # the global one is what hooks must not draw from
    store = MortalStore(life.store, life.die_at, life.when)
    try:
        nobody = nullcontext(list[Asked]())
        instants = Instants(store.root / RUN_ID, life.boundary)
        with (
            watching(type(algorithm)) if life.watch else nobody as asked,
            instants.watching(),
            _noting_submissions(life.submissions),
        ):
            lived = _drive(algorithm, store, life, calls)
        return replace(
            lived,
            writes=store.writes,
            asked=(*asked, *calls.drawn.values()),
            boundaries=tuple(instants.passed),
        )
    finally:
        if not life.folder:
            os.chdir("/")
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _noting_submissions(file: str) -> Iterator[None]:
    """The innermost: a submission is noted before anything else can happen to this process."""
    if not file:
        yield
        return

    def note(accepted: Submission) -> None:
        with open(file, "a") as notes:
            notes.write(json.dumps(asdict(accepted)) + "\n")

    with submissions_told(lambda _asked: None, note):
        yield


def _reversed(calls: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    return list(calls.items())[::-1]


def _drive(algorithm: AnyAlgorithm, store: DirectoryStore, life: Life, calls: HookCalls) -> Lived:
    run = algorithm.run
    options: dict[str, Any] = {
        "store": store,
        "run_id": RUN_ID,
        "seed": life.seed,
        "stop": MaxIterations(life.iterations),
        "keep": life.keep,
        "check_hooks": True,
        "around": calls,
    }
    try:
        asyncio.run(run(**options))
    except BaseException as error:  # a hook may ask the whole process to exit
        return _failed(type(algorithm).__name__, calls, error)
    return Lived()


def _failed(name: str, calls: HookCalls, error: BaseException) -> Lived:
    hook, iteration = calls.hook, calls.iteration
    if isinstance(error, ImpureHook):
        part = error.changed.removeprefix("the parameter ")
        return Lived(error=error.happened, hook=hook, iteration=iteration, part=part)
    is_own = isinstance(error, QcscLoopError)
    words = error.happened if isinstance(error, QcscLoopError) else str(error)
    if not (isinstance(error, HookError) or calls.inside):
        return Lived(error=words if is_own else f"{type(error).__name__}: {words}")
    if not is_own:
        words = f"{name}.{hook} raised {type(error).__name__} in iteration {iteration}: {words}"
    return Lived(error=words, hook=hook, iteration=iteration)


class MortalStore(DirectoryStore):
    """A store whose process dies at one of its writes."""

    def __init__(self, root: str, die_at: int, when: When) -> None:
        super().__init__(root)
        self.writes, self._die_at, self._when = 0, die_at, when

    def write(self, name: str, document: Document) -> None:
        with self._counted():
            super().write(name, document)

    def create(self, name: str, document: Document) -> bool:
        with self._counted():
            return super().create(name, document)

    def append(self, name: str, lines: Iterable[bytes]) -> None:
        with self._counted():
            super().append(name, lines)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self.writes += 1
        if self.writes == self._die_at and self._when == "before":
            os._exit(KILLED)
        yield
        if self.writes == self._die_at:
            os._exit(KILLED)


if __name__ == "__main__":
    main()
