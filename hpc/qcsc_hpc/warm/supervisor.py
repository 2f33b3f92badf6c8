"""The supervisor of a warm job: serves a mailbox with a pool of ranks, until it is not wanted. Run as

    python -P -m qcsc_hpc.warm.supervisor JOB_FOLDER

It is no MPI program, so that ranks may die; a script starts it again should it die itself. What it
is to do stands in JOB_FOLDER/warm.json, see `Orders`. Its files are small and few: it reads and
writes them in its event loop.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from qcsc_hpc.warm import small_records as records
from qcsc_hpc.warm.bell import Bell, hosts
from qcsc_hpc.warm.epoch import Epoch, begin_epoch, newest_epoch
from qcsc_hpc.warm.execution import Claimed, Execution
from qcsc_hpc.warm.lasting_pool import LastingPool
from qcsc_hpc.warm.mailbox import OUTCOME, Mailbox, Superseded
from qcsc_hpc.warm.orders import BEGAN, END, NO_RESTART, ORDERS, Orders, Walltime
from qcsc_hpc.warm.pool import PoolFailed
from qcsc_hpc.warm.request_queue import Posted, RequestQueue
from qcsc_loop.concurrency.child import die_with
from qcsc_loop.concurrency.listed import is_listed
from qcsc_loop.concurrency.process_life import here, start_ticks
from qcsc_loop.plain import Json

SUPERSEDED = 0
SHORT_PAUSE, LONG_PAUSE = 0.002, 0.1  # between looks into the mailbox
KILL_LOOK_SECONDS = 0.25  # between looks whether running requests were withdrawn


@dataclass
class _Running:
    posted: Posted
    ranks: tuple[int, ...]
    task: asyncio.Task[None]
    began: float = field(default_factory=time.monotonic)


class Supervisor:
    """One start of it: one epoch."""

    def __init__(self, folder: Path, orders: Orders, began: float) -> None:
        self._folder, self._orders, self._job = folder, orders, _owner(folder)
        self._mailbox = box = Mailbox(Path(orders.mailbox))
        self._epoch = Epoch(box.epoch(0))  # until it has begun its own
        self._walltime = Walltime(orders.walltime, orders.reserve, began)
        self._queue = RequestQueue(box, self._job, orders.ranks, self._walltime)
        self._pool = LastingPool(folder, orders, self._say)
        self._execution = Execution(
            box, self._pool, self._job, orders.tries, lambda: self._is_terminated, self._say
        )
        self._free = set(range(orders.ranks))
        self._running: dict[str, _Running] = {}
        self._state = "starting"
        self._is_terminated = False  # its scheduler is ending the job, and what runs in it
        self._bell = Bell()
        self._busy_at = time.monotonic()

    async def serve(self) -> int:
        """Until it is idle, out of time, told to end, or another one is there; the exit code."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._terminate)
        starting = asyncio.ensure_future(self._pool.renew())
        try:
            self._epoch = await begin_epoch(self._mailbox, self._say)
            self._epoch.announce(await self._server())
            beating = asyncio.ensure_future(self._epoch.beat(self._signs))
            try:
                await starting
                self._say(f"{self._orders.ranks} ranks are ready in epoch {self._epoch.number}")
                await self._serve_until_over()
            finally:
                beating.cancel()
                self._epoch.leave()
        except PoolFailed as error:
            self._say(str(error))
            return NO_RESTART
        except Superseded:
            self._say("a newer supervisor serves this mailbox")
            return SUPERSEDED
        finally:
            starting.cancel()
            for running in self._running.values():
                running.task.cancel()
            await (self._pool.stop() if self._running else self._pool.dismiss())
        return 0

    def _terminate(self) -> None:
        self._is_terminated = True
        self._bell.ring()

    async def _server(self) -> Json:
        """Where it is, for drivers and successors."""
        alone = self._orders.alone
        port = await self._bell.listen(alone=alone)
        return {
            "job": self._job,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "start_ticks": start_ticks(os.getpid()),
            "place": asdict(here()),
            "hosts": hosts(alone=alone),
            "port": port,
            "ranks": self._orders.ranks,
            "began": self._walltime.began,
        }

    def _signs(self) -> Json:
        """What a beat says."""
        left = self._walltime.left
        return {"state": self._state, "left": left, "running": len(self._running)}

    def _say(self, text: str) -> None:
        print(f"warm job {self._job}: {text}", file=sys.stderr, flush=True)

    # until when

    async def _serve_until_over(self) -> None:
        looked = 0.0
        self._state, self._busy_at = "ready", time.monotonic()
        while True:
            if self._is_terminated or time.monotonic() - looked > KILL_LOOK_SECONDS:
                looked = time.monotonic()
                await self._drop_withdrawn()
                if newest_epoch(self._mailbox) != self._epoch:
                    raise Superseded
                if why := self._why_over():
                    return await self._drain(why)
            if self._state == "ready":
                with suppress(OSError):  # a full disk; what waits goes on waiting
                    await self._take_up()
            quiet = time.monotonic() - self._busy_at
            await self._bell.wait(min(max(SHORT_PAUSE, quiet / 50), LONG_PAUSE))

    @property
    def _is_to_end(self) -> bool:
        """Whether at once, whatever runs."""
        return self._is_terminated or is_listed(self._folder / END)

    def _why_over(self) -> str:
        if self._is_to_end:
            return "it was told to end"
        if self._epoch.is_relieved:
            return "a successor is there"
        if self._walltime.is_nearly_over:
            return "its walltime is nearly over"
        if self._queue.is_full:
            return "what waits does not fit into its walltime"
        idle = time.monotonic() - self._busy_at
        if not self._running and idle > self._orders.idle:
            return f"nobody has asked for anything for {idle:.0f} s"
        return ""

    async def _drain(self, why: str) -> None:
        """What runs comes to its end, but for a run that is over itself; nothing is begun."""
        self._say(f"ends: {why}")
        self._state = "draining"
        while self._running and not self._is_to_end:
            await self._drop_withdrawn()
            tasks = [running.task for running in self._running.values()]
            await asyncio.wait(tasks, timeout=KILL_LOOK_SECONDS)

    # what runs

    async def _take_up(self) -> None:
        """Begins what there are ranks for, in the order of asking."""
        for posted in self._queue.fitting(self._running):
            request = posted.request
            if request.ranks > len(self._free) or not await self._load(request.code):
                return
            self._begin(posted)

    async def _load(self, code: dict[str, str]) -> bool:
        """Whether the ranks are good for it now, or were replaced by new ones."""
        if self._pool.is_good_for(code):
            return True
        if self._running:  # whoever is on the old one comes to the end first
            return False
        await self._pool.renew()
        return True

    def _begin(self, posted: Posted) -> None:
        ranks = tuple(sorted(self._free)[: posted.request.ranks])
        own = self._mailbox.claim(posted.folder, self._epoch.number)
        if own is None:
            self._mailbox.unmark(posted.name)
            return
        self._free -= {*ranks}
        self._busy_at = time.monotonic()
        claimed = Claimed(posted.name, own, posted.request, ranks)
        task = asyncio.ensure_future(self._execution.do(claimed))
        self._running[posted.name] = _Running(posted, ranks, task)
        task.add_done_callback(lambda _: self._release(posted.name))

    def _release(self, name: str) -> None:
        """Its ranks are free again."""
        running = self._running.pop(name)
        self._free |= {*running.ranks}
        self._busy_at = now = time.monotonic()
        self._queue.forget(running.posted, now - running.began)
        self._bell.answer()
        self._bell.ring()

    async def _drop_withdrawn(self) -> None:
        """Ends what a driver does not want any more."""
        for running in list(self._running.values()):
            if is_listed(running.posted.folder / OUTCOME) and not running.task.done():
                running.task.cancel()
                await self._execution.kill(running.posted.request)


def _owner(folder: Path) -> str:
    """The job's id, as its script wrote it."""
    with suppress(OSError):
        return os.readlink(folder / "fence")
    return str(os.getpid())


def main() -> int:
    """Serves; the exit code."""
    die_with(os.getppid())
    folder = Path(sys.argv[1])
    orders = Orders(**records.read(folder / ORDERS))
    began = float(os.environ.get(BEGAN) or time.time())
    return asyncio.run(Supervisor(folder, orders, began).serve())


if __name__ == "__main__":
    sys.exit(main())
