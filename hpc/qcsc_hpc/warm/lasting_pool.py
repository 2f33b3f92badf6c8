"""The ranks of a warm job, which outlast any one pool: one that is broken or outdated is replaced."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from qcsc_hpc.warm.bell import hosts
from qcsc_hpc.warm.mailbox import Request
from qcsc_hpc.warm.orders import Orders
from qcsc_hpc.warm.pool import Answer, Pool, PoolBroken, PoolFailed, Work

START_SECONDS = 120.0  # for all ranks to start
AGAIN_SECONDS = 0.5  # before ranks that did not start are started again; more the second time


class LastingPool:
    """As many ranks as are ordered, started by `renew`."""

    def __init__(self, folder: Path, orders: Orders, say: Callable[[str], None]) -> None:
        self._folder, self._orders, self._say = folder, orders, say
        self._pool: Pool | None = None

    async def renew(self) -> None:
        """A new pool, in place of the one before. Raises `PoolFailed`."""
        if self._pool is not None:
            await self._pool.dismiss()
        script, orders = self._folder / "pool.sh", self._orders
        for attempt in (1, 2, 3):
            pool = Pool(orders.launcher, script, orders.ranks, hosts(alone=orders.alone))
            self._pool = pool
            try:
                return await pool.start(self._folder, START_SECONDS)
            except PoolBroken as error:
                await pool.stop()
                self._say(f"the ranks did not start ({attempt} of 3): {error}")
                await asyncio.sleep(attempt * AGAIN_SECONDS)
        raise PoolFailed("the ranks do not start")

    def is_good_for(self, code: dict[str, str]) -> bool:
        """Whether the ranks are there, and have no other code of these modules."""
        return self._pool is not None and self._pool.is_good_for(code)

    async def run(self, ranks: tuple[int, ...], request: Request, folder: Path) -> Answer:
        """How the request's module ended. Raises `PoolBroken`."""
        assert self._pool is not None
        self._pool.loaded |= request.code
        work = Work(request.module, request.arguments, request.environment, folder)
        return await self._pool.run(ranks, work)

    async def stop(self) -> None:
        """Ends all ranks, whatever they do."""
        if self._pool is not None:
            await self._pool.stop()

    async def dismiss(self) -> None:
        """Ends ranks that have nothing to do."""
        if self._pool is not None:
            await self._pool.dismiss()
