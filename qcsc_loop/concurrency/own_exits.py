"""What people's code raises that is no `Exception`, as by `sys.exit`: it fails that code alone."""

from __future__ import annotations

import asyncio
import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import CodeType

from qcsc_loop.errors import leaves


class Exited(Exception):
    """Code raised what would have ended the process, or a task, without a word: `__cause__`."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(f"{type(cause).__name__}: {cause}")


@contextmanager
def exits_as_errors() -> Iterator[None]:
    """Turns what a person's code raises itself into an error.

    What reaches that code from elsewhere goes on: a cancellation, what a signal's handler raises,
    and a coroutine's end by whoever holds it.

    Raises:
        Exited: it raised SystemExit or another one that is no `Exception`.
    """
    task = _task()
    try:
        yield
    except Exception:
        raise
    except BaseException as error:
        if any(_is_from_elsewhere(each, task) for each in leaves(error)):
            raise
        raise Exited(error) from error


def raised_by_code(error: Exception) -> BaseException:
    """What the code itself raised, of what `exits_as_errors` may have turned into an error."""
    cause = error.__cause__
    return cause if isinstance(error, Exited) and cause is not None else error


def _is_from_elsewhere(error: BaseException, task: asyncio.Task[object] | None) -> bool:
    match error:
        case Exception():
            return False
        case asyncio.CancelledError():
            return True
        case GeneratorExit():
            return _task() is not task  # closed from without: no task is in it then
        case KeyboardInterrupt() if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            return True  # Python's own handler leaves no trace
        case _:
            codes = {frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)}
            return not codes.isdisjoint(_handlers())


def _handlers() -> Iterator[CodeType]:
    """The code of what handles signals now."""
    for number in signal.valid_signals():
        handler: object = signal.getsignal(number)
        while isinstance(handler, partial):
            handler = handler.func
        code = getattr(handler, "__code__", None)  # a method has its function's
        if isinstance(code, CodeType):
            yield code


def _task() -> asyncio.Task[object] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # no event loop is running
        return None
