"""A driver that is to end because somebody says so who may not see its process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from anyio import to_thread

from qcsc_loop.errors import RunCancelled, StoreError
from qcsc_loop.store.journal import Lease
from qcsc_loop.store.records import CancelOrder

LOOK_SECONDS = 1.0


@asynccontextmanager
async def ends_when_ordered(
    lease: Lease, obey: Callable[[CancelOrder], None]
) -> AsyncIterator[None]:
    """Cancels the block, as Ctrl-C does, once the driver is ordered to end.

    Args:
        obey: told of the order before anything is cancelled.

    Raises:
        RunCancelled: that is what ended the block.
    """
    task = asyncio.current_task()
    assert task is not None
    order: list[CancelOrder] = []

    async def look() -> None:
        while not order:
            await asyncio.sleep(LOOK_SECONDS)
            with suppress(StoreError):  # it is asked again; a damaged order is none
                found = await to_thread.run_sync(
                    lease.journal.end_ordered, lease.epoch, abandon_on_cancel=True
                )
                order.extend([] if found is None else [found])
        obey(order[0])
        task.cancel()

    looking = asyncio.create_task(look())
    try:
        yield
    except asyncio.CancelledError:
        # somebody else may have cancelled it as well: that one is waiting for it
        if not order or task.uncancel() > 0:
            raise
        raise RunCancelled(lease.journal.run_id, order[0].by) from None
    else:
        if order and not looking.cancelled():  # too late: the block had come to its end
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0)
            task.uncancel()
    finally:
        looking.cancel()
