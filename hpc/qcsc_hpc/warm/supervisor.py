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
from dataclasses import dataclass, field, replace
from pathlib import Path

from qcsc_hpc.warm import small_records as records
from qcsc_hpc.warm.mailbox import (
    BROKE,
    OUTCOME,
    Ended,
    Mailbox,
    Request,
    Superseded,
    Try,
    request_in,
    times_broken,
)
from qcsc_hpc.warm.pool import Pool, PoolBroken, PoolFailed, Work
from qcsc_hpc.warm.rank import LOG
from qcsc_loop.concurrency.child import die_with, tie_to_this_process
from qcsc_loop.errors import DamagedDocument

ORDERS, END, BEGAN = "warm.json", "end", "QCSC_WARM_BEGAN"
SERVER, BEAT, GONE, RELIEVED = "server.json", "beat.json", "gone", "relieved"
NO_RESTART = 65  # the exit code after which the script does not start it again
SUPERSEDED = 0
BEAT_SECONDS = 1.0
SILENT_SECONDS = 5.0  # without a beat, after which a predecessor counts as dead
SHORT_PAUSE, LONG_PAUSE = 0.002, 0.1  # between looks into the mailbox
KILL_LOOK_SECONDS = 0.25  # between looks whether running requests were withdrawn
AGAIN_SECONDS = 0.5  # before ranks that did not start are started again; more the second time
TERM_SECONDS = 0.5  # in which all of a job hears that it is ended
START_SECONDS = 120.0  # for all ranks to start


@dataclass(frozen=True)
class Orders:
    """What a warm job is to do.

    Attributes:
        mailbox: its folder.
        launcher: the words that start the ranks of the pool.
        alone: whether all ranks are on this machine.
        walltime: of the job, seconds; None: not known.
        reserve: the job's last seconds, in which nothing is begun.
        idle: seconds without work after which it ends.
        tries: how often ranks may die in one request.
    """

    mailbox: str
    launcher: list[str]
    ranks: int
    alone: bool
    walltime: float | None
    reserve: float
    idle: float
    tries: int


@dataclass
class _Running:
    request: Request
    folder: Path
    ranks: tuple[int, ...]
    task: asyncio.Task[None]
    began: float = field(default_factory=time.monotonic)


class Supervisor:
    """One start of it: one epoch."""

    def __init__(self, folder: Path, orders: Orders, began: float) -> None:
        self._folder, self._orders, self._began = folder, orders, began
        self._mailbox = Mailbox(Path(orders.mailbox))
        self._job = _owner(folder)
        self._epoch = 0
        self._pool: Pool | None = None
        self._free = set(range(orders.ranks))
        self._running: dict[str, _Running] = {}
        self._known: dict[str, Request] = {}
        self._longest: dict[str, float] = {}  # seconds that requests of a name have taken
        self._state = "starting"
        self._terminated = False  # its scheduler is ending the job, and what runs in it
        self._full = False  # something waits that does not fit any more
        self._rang = asyncio.Event()
        self._busy_at = time.monotonic()

    async def serve(self) -> int:
        """Until it is idle, out of time, told to end, or another one is there; the exit code."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._terminate)
        starting = asyncio.ensure_future(self._started())
        try:
            await self._predecessor_gone()
            self._epoch = self._mailbox.begin_epoch()
            await self._listen()
            beating = asyncio.ensure_future(self._beat())
            try:
                await starting
                self._say(f"{self._orders.ranks} ranks are ready in epoch {self._epoch}")
                await self._until_over()
            finally:
                beating.cancel()
                with suppress(OSError):
                    (self._mailbox.epoch(self._epoch) / GONE).touch()
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
            if self._pool is not None:
                await (self._pool.stop() if self._running else self._pool.dismiss())
        return 0

    # its own life

    def _terminate(self) -> None:
        self._terminated = True
        self._rang.set()

    @property
    def _is_to_end(self) -> bool:
        """Whether at once, whatever runs."""
        return self._terminated or (self._folder / END).exists()

    async def _predecessor_gone(self) -> None:
        """Returns once no older supervisor serves: it has gone, or shows no sign of life."""
        number = self._mailbox.newest_epoch()
        if not number:
            return
        epoch = self._mailbox.epoch(number)
        if _is_dead(epoch):
            return
        (epoch / RELIEVED).touch()
        beat, since = b"", time.monotonic()
        while not (epoch / GONE).exists() and not _is_dead(epoch):
            now = _content(epoch / BEAT)
            if now != beat:
                beat, since = now, time.monotonic()
            if time.monotonic() - since > SILENT_SECONDS:
                self._say(f"epoch {number} has shown no sign of life for {SILENT_SECONDS:g} s")
                return
            await asyncio.sleep(LONG_PAUSE)

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        local = ("127.0.0.1" if self._orders.alone else "0.0.0.0", 0)
        bell, _ = await loop.create_datagram_endpoint(lambda: _Bell(self._rang), local)
        facts = {
            "job": self._job,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "hosts": self._hosts(),
            "port": bell.get_extra_info("sockname")[1],
            "ranks": self._orders.ranks,
            "began": self._began,
        }
        records.write_once(self._mailbox.epoch(self._epoch) / SERVER, facts)

    def _hosts(self) -> list[str]:
        if self._orders.alone:
            return ["127.0.0.1"]
        name = socket.gethostname()
        found = [name, socket.getfqdn()]
        with suppress(OSError):
            found += socket.gethostbyname_ex(name)[2]
        return [*dict.fromkeys(found), "127.0.0.1"]

    async def _beat(self) -> None:
        number = 0
        while True:
            number += 1
            facts = {"number": number, "state": self._state, "left": self._left(),
                     "running": len(self._running)}  # fmt: skip
            with suppress(OSError):  # a full disk: the next one may get through
                records.replace(self._mailbox.epoch(self._epoch) / BEAT, facts)
            await asyncio.sleep(BEAT_SECONDS)

    def _left(self) -> float | None:
        """Seconds until the walltime is over."""
        if self._orders.walltime is None:
            return None
        return self._orders.walltime - (time.time() - self._began)

    def _why_over(self) -> str:
        left = self._left()
        if self._is_to_end:
            return "it was told to end"
        if (self._mailbox.epoch(self._epoch) / RELIEVED).exists():
            return "a successor is there"
        if left is not None and left < self._orders.reserve:
            return "its walltime is nearly over"
        if self._full:
            return "what waits does not fit into its walltime"
        idle = time.monotonic() - self._busy_at
        if not self._running and idle > self._orders.idle:
            return f"nobody has asked for anything for {idle:.0f} s"
        return ""

    async def _until_over(self) -> None:
        looked = 0.0
        self._state, self._busy_at = "ready", time.monotonic()
        while True:
            if self._terminated or time.monotonic() - looked > KILL_LOOK_SECONDS:
                looked = time.monotonic()
                await self._drop_withdrawn()
                if self._mailbox.newest_epoch() != self._epoch:
                    raise Superseded
                if why := self._why_over():
                    return await self._drained(why)
            if self._state == "ready":
                with suppress(OSError):  # a full disk; what waits goes on waiting
                    await self._take_up()
            await self._pause()

    async def _drained(self, why: str) -> None:
        """What runs comes to its end, but for a run that is over itself; nothing is begun."""
        self._say(f"ends: {why}")
        self._state = "draining"
        while self._running and not self._is_to_end:
            await self._drop_withdrawn()
            tasks = [running.task for running in self._running.values()]
            await asyncio.wait(tasks, timeout=KILL_LOOK_SECONDS)

    async def _pause(self) -> None:
        quiet = time.monotonic() - self._busy_at
        pause = min(max(SHORT_PAUSE, quiet / 50), LONG_PAUSE)
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._rang.wait()
        self._rang.clear()

    # requests

    async def _take_up(self) -> None:
        """Begins what there are ranks for, in the order of asking."""
        self._full = False
        for name, folder in self._mailbox.waiting():
            if name in self._running:
                continue
            if (folder / OUTCOME).exists() or not folder.exists():
                self._mailbox.unmark(name)
                continue
            if (request := self._request(name, folder)) is None:
                continue
            if not self._fits(request):
                self._full = True
                continue
            if request.ranks > len(self._free) or not await self._loadable(request):
                return
            self._begin(name, folder, request)

    def _request(self, name: str, folder: Path) -> Request | None:
        """What is asked for, once it can be read."""
        if name not in self._known:
            try:
                request = request_in(folder)
            except FileNotFoundError:
                return None
            except (DamagedDocument, TypeError) as error:
                # not a failure of the program: a driver asks again
                self._mailbox.reject(name, folder, Ended("LOST", reason=str(error), job=self._job))
                return None
            if request.ranks > self._orders.ranks:
                why = f"it asks for {request.ranks} ranks of {self._orders.ranks}"
                self._mailbox.reject(name, folder, Ended("REJECTED", reason=why, job=self._job))
                return None
            self._known[name] = request
        return self._known[name]

    def _fits(self, request: Request) -> bool:
        """Whether it ends before the walltime, as far as one can tell."""
        left = self._left()
        if left is None:
            return True
        needs = request.seconds or self._longest.get(_kind(request), 0.0)
        return left - self._orders.reserve >= needs

    async def _loadable(self, request: Request) -> bool:
        """Whether the ranks are there, and have no other code of this module."""
        if self._pool is not None and self._pool.is_good_for(request.code):
            return True
        if self._running:  # whoever is on the old one comes to the end first
            return False
        await self._started()
        return True

    async def _started(self) -> None:
        """A new pool, in place of the one before."""
        if self._pool is not None:
            await self._pool.dismiss()
        for attempt in (1, 2, 3):
            pool = Pool(
                self._orders.launcher, self._folder / "pool.sh", self._orders.ranks, self._hosts()
            )
            self._pool = pool
            try:
                return await pool.start(self._folder, START_SECONDS)
            except PoolBroken as error:
                await pool.stop()
                self._say(f"the ranks did not start ({attempt} of 3): {error}")
                await asyncio.sleep(attempt * AGAIN_SECONDS)
        raise PoolFailed("the ranks do not start")

    def _begin(self, name: str, folder: Path, request: Request) -> None:
        ranks = tuple(sorted(self._free)[: request.ranks])
        own = self._mailbox.claim(folder, self._epoch)
        if own is None:
            self._mailbox.unmark(name)
            return
        self._free -= {*ranks}
        self._busy_at = time.monotonic()
        task = asyncio.ensure_future(self._do(name, own, request, ranks))
        self._running[name] = _Running(request, folder, ranks, task)
        task.add_done_callback(lambda _: self._done(name))

    def _done(self, name: str) -> None:
        running = self._running.pop(name)
        self._known.pop(name, None)
        self._free |= {*running.ranks}
        self._busy_at = now = time.monotonic()
        kind = _kind(running.request)
        self._longest[kind] = max(self._longest.get(kind, 0.0), now - running.began)
        self._rang.set()

    async def _do(self, name: str, own: Try, request: Request, ranks: tuple[int, ...]) -> None:
        began = time.time()
        try:
            async with asyncio.timeout(request.seconds):
                if request.step:
                    ended = await self._step(own, request)
                else:
                    ended = await self._on_ranks(own, request, ranks)
        except TimeoutError:
            why = f"it ran longer than {request.seconds:g} s and was killed"
            ended = Ended("TIMEOUT", reason=why)
            await self._kill_pool(request)
        except PoolBroken as error:
            if not error.deliberate and error.rank in (None, *ranks):
                (own.path / BROKE).touch()
            broken = times_broken(own.folder)
            if broken < self._orders.tries:  # it stays in the mailbox
                self._say(f"{request.key} begins again: {error}")
                return
            why = f"{error}, {broken} times in the middle of it"
            ended = Ended("FAILED", reason=why)
        except OSError as error:
            ended = Ended("FAILED", reason=f"{type(error).__name__}: {error}")
        ended = replace(ended, job=self._job, began=began, ended=time.time())
        if ended.state == "FAILED":
            # schedulers send SIGTERM to all of a job at its end, and whoever is quick dies first
            await asyncio.sleep(TERM_SECONDS)
            if self._terminated:
                return  # it stays in the mailbox
        await self._commit(name, own, ended)

    async def _on_ranks(self, own: Try, request: Request, ranks: tuple[int, ...]) -> Ended:
        assert self._pool is not None
        self._pool.loaded |= request.code
        work = Work(request.module, request.arguments, request.environment, own.path)
        answer = await self._pool.run(ranks, work)
        if answer.exit_code:
            return Ended("FAILED", exit_code=answer.exit_code, reason=answer.error)
        return Ended("COMPLETED", exit_code=0)

    async def _step(self, own: Try, request: Request) -> Ended:
        """A program that begins MPI itself: ranks of its own, in place of waiting ones."""
        with (own.path / LOG).open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *tie_to_this_process([*request.step, str(own.path / "rank.sh")]),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            code = await process.wait()
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        if code < 0:
            return Ended("FAILED", reason=f"it was killed by {signal.Signals(-code).name}")
        return Ended("FAILED" if code else "COMPLETED", exit_code=code)

    async def _kill_pool(self, request: Request) -> None:
        if not request.step and self._pool is not None:
            await self._pool.stop()

    async def _commit(self, name: str, own: Try, ended: Ended) -> None:
        while True:
            try:
                if not self._mailbox.commit(name, own, ended):
                    self._say(f"{own.path.name} of {name} came too late")
                return
            except OSError as error:  # its room is there, but the folder's entry may not be
                self._say(f"the outcome of {name} cannot be written: {error}")
                await asyncio.sleep(BEAT_SECONDS)

    async def _drop_withdrawn(self) -> None:
        """Ends what a driver does not want any more."""
        for running in list(self._running.values()):
            if (running.folder / OUTCOME).exists() and not running.task.done():
                running.task.cancel()
                await self._kill_pool(running.request)

    def _say(self, text: str) -> None:
        print(f"warm job {self._job}: {text}", file=sys.stderr, flush=True)


class _Bell(asyncio.DatagramProtocol):
    """A packet of any content wakes the supervisor: that it comes is worth little, and told by nobody."""

    def __init__(self, rang: asyncio.Event) -> None:
        self._rang = rang

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._rang.set()


def _kind(request: Request) -> str:
    """What a request has in common with those of other iterations."""
    return request.key.rpartition("/")[2].rpartition(".")[0]


def _owner(folder: Path) -> str:
    with suppress(OSError):
        return os.readlink(folder / "fence")
    return str(os.getpid())


def _is_dead(epoch: Path) -> bool:
    """Whether its supervisor certainly is: it says so, or was on this machine and is no more."""
    if (epoch / GONE).exists():
        return True
    try:
        facts = records.read(epoch / SERVER)
    except (OSError, DamagedDocument):
        return False
    return facts["host"] == socket.gethostname() and not Path("/proc", str(facts["pid"])).exists()


def _content(path: Path) -> bytes:
    with suppress(OSError):
        return path.read_bytes()
    return b""


def main() -> int:
    """Serves; the exit code."""
    die_with(os.getppid())
    folder = Path(sys.argv[1])
    orders = Orders(**records.read(folder / ORDERS))
    began = float(os.environ.get(BEGAN) or time.time())
    return asyncio.run(Supervisor(folder, orders, began).serve())


if __name__ == "__main__":
    sys.exit(main())
