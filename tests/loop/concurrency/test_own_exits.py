"""What code raises itself is its error; what reaches it from elsewhere goes on."""

from __future__ import annotations

import asyncio
import os
import signal
import types
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from qcsc_loop.concurrency.own_exits import Exited, exits_as_errors, raised_by_code


class Panic(BaseException):
    """As a compiled module's."""


def leave(_number: int, _frame: types.FrameType | None) -> None:
    raise Panic


@contextmanager
def handled_by(handler: signal.Handlers | object) -> Iterator[None]:
    before = signal.signal(signal.SIGINT, handler)  # type: ignore[arg-type]  # either kind
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("error", [SystemExit(3), GeneratorExit(), Panic("lid"), KeyError("lid")])
def test_whatever_it_raises_is_an_exception(error: BaseException) -> None:
    with pytest.raises((Exited, KeyError)) as raised, exits_as_errors():
        raise error
    assert raised_by_code(raised.value) is error


def test_a_keyboard_interrupt_is_its_own_where_ctrl_c_raises_none() -> None:
    with handled_by(leave), pytest.raises(Exited, match="KeyboardInterrupt"), exits_as_errors():
        raise KeyboardInterrupt
    with (
        handled_by(signal.default_int_handler),
        pytest.raises(KeyboardInterrupt),
        exits_as_errors(),
    ):
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("handler", "raised"), [(leave, Panic), (signal.default_int_handler, KeyboardInterrupt)]
)
def test_what_a_signal_raises_goes_on(handler: object, raised: type[BaseException]) -> None:
    with handled_by(handler), pytest.raises(raised), exits_as_errors():
        os.kill(os.getpid(), signal.SIGINT)


def test_a_cancellation_and_a_coroutine_s_end_go_on() -> None:
    async def forever() -> None:
        with exits_as_errors():
            await asyncio.Event().wait()

    async def cancelled() -> None:
        task = asyncio.create_task(forever())
        asyncio.get_running_loop().call_soon(task.cancel)
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())

    async def held() -> None:
        with exits_as_errors():
            await asyncio.sleep(0)

    async def begin() -> None:
        unfinished.send(None)

    unfinished = held()
    asyncio.run(begin())
    unfinished.close()
