"""What SIGTERM does to a block of a flow."""

from __future__ import annotations

import os
import signal

import anyio
import pytest
from prefect.exceptions import TerminationSignal

from qcsc_loop.deployments.sigterm import ended_by_sigterm
from qcsc_loop.errors import StoreError


async def in_block(steps: list[str]) -> None:
    async with ended_by_sigterm() as came:
        try:
            assert not came.is_set()
            os.kill(os.getpid(), signal.SIGTERM)
            await anyio.sleep_forever()
        finally:
            steps.append(f"ended in order: {came.is_set()}")


def test_it_cancels_the_block_and_is_raised_when_that_has_ended() -> None:
    steps: list[str] = []
    with pytest.raises(TerminationSignal):
        anyio.run(in_block, steps)
    assert steps == ["ended in order: True"]


def test_what_the_block_raises_comes_through_as_it_is() -> None:
    async def raises() -> None:
        async with ended_by_sigterm():
            raise StoreError("write", "a file", "the disk is full")

    with pytest.raises(StoreError):
        anyio.run(raises)


def test_the_handler_from_before_is_back() -> None:
    async def nothing() -> None:
        async with ended_by_sigterm():
            assert signal.getsignal(signal.SIGTERM) is not mine
        assert signal.getsignal(signal.SIGTERM) is mine

    def mine(*_: object) -> None: ...

    before = signal.signal(signal.SIGTERM, mine)
    try:
        anyio.run(nothing)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_in_another_thread_it_does_nothing() -> None:
    async def nothing() -> str:
        async with ended_by_sigterm():
            return "done"

    async def main() -> str:
        return await anyio.to_thread.run_sync(anyio.run, nothing)

    assert anyio.run(main) == "done"
