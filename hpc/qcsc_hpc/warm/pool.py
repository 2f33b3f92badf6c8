"""MPI ranks that wait for work: one launcher's step, a socket to each rank.

The pool knows nothing of requests and mailboxes. It is broken, as a whole, once a rank is gone:
MPI has no way to go on without it.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from qcsc_hpc.warm import small_records as records
from qcsc_loop.concurrency.child import tie_to_this_process
from qcsc_loop.plain import Json

GRACE_SECONDS = 2.0  # for the other ranks, after one has failed
END_SECONDS = 2.0  # for a step to end before it is killed
LINE_BYTES = 1 << 20
WORN_FAILURES = 200  # of programs, each of which costs a communicator: an MPI has about 2000


class PoolFailed(Exception):
    """The ranks do not start as they were asked for; trying again will not help."""


class PoolBroken(Exception):
    """A rank is gone.

    Attributes:
        rank: the first one that was; None if it is not known.
        deliberate: it was ended from here, and no program's fault.
    """

    def __init__(self, rank: int | None, why: str, *, deliberate: bool = False) -> None:
        self.rank, self.deliberate = rank, deliberate
        super().__init__(why)


@dataclass(frozen=True)
class Work:
    """What ranks are told to do; all of it JSON."""

    module: str
    arguments: Sequence[str]
    environment: dict[str, str]
    folder: Path


@dataclass(frozen=True)
class Answer:
    """How a program ended, over all its ranks."""

    exit_code: int
    error: str = ""


@dataclass
class _Rank:
    writer: asyncio.StreamWriter
    answers: dict[str, asyncio.Future[Answer]] = field(
        default_factory=dict[str, "asyncio.Future[Answer]"]
    )


class Pool:
    """So many ranks.

    Args:
        launcher: the words before the script.
        script: what the launcher starts on each rank, with the name of a file as its argument.
        hosts: names under which ranks reach this process.
    """

    def __init__(
        self, launcher: Sequence[str], script: Path, size: int, hosts: Sequence[str]
    ) -> None:
        self._words, self._script, self.size = list(launcher), script, size
        self._hosts = list(hosts)
        self._token = secrets.token_hex(16)
        self._ranks: dict[int, _Rank] = {}
        self._here: list[int] = []  # processes of ranks on this machine
        self._started = asyncio.Event()  # or not: it is known then
        self._broken: PoolBroken | None = None
        self._wrong = ""
        self._process: asyncio.subprocess.Process | None = None
        self._server: asyncio.Server | None = None
        self._stained: set[tuple[int, ...]] = set()  # a program failed on these ranks
        self._failures = 0
        self.loaded: dict[str, str] = {}  # modules that ranks have run, and their source's digest

    @property
    def ready(self) -> bool:
        """Whether its ranks wait for work."""
        return self._started.is_set() and self._broken is None

    def is_good_for(self, code: dict[str, str]) -> bool:
        """Whether it has not loaded other source of these modules."""
        fresh = all(self.loaded.get(module, digest) == digest for module, digest in code.items())
        return self.ready and fresh and self._failures < WORN_FAILURES

    async def start(self, folder: Path, seconds: float) -> None:
        """Returns once all ranks wait for work.

        Raises:
            PoolFailed: they are not one world of this size.
            PoolBroken: the step ended, or they did not come in time.
        """
        alone = self._hosts == ["127.0.0.1"]
        own = "127.0.0.1" if alone else "0.0.0.0"
        self._server = await asyncio.start_server(self._serve_rank, own, 0, limit=LINE_BYTES)
        port = self._server.sockets[0].getsockname()[1]
        facts = folder / f"pool.{secrets.token_hex(4)}.json"
        secret = {"hosts": self._hosts, "port": port, "token": self._token}
        records.replace(facts, secret, 0o600)
        words = [*self._words, "bash", str(self._script), str(facts)]
        self._process = await asyncio.create_subprocess_exec(
            *tie_to_this_process(words),
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        ended = asyncio.ensure_future(self._process.wait())
        started = asyncio.ensure_future(self._started.wait())
        await asyncio.wait({ended, started}, timeout=seconds, return_when="FIRST_COMPLETED")
        started.cancel()
        facts.unlink(missing_ok=True)
        if self._wrong:
            raise PoolFailed(self._wrong)
        if self._broken is not None:
            raise self._broken
        if ended.done():
            raise PoolBroken(None, f"the ranks' launcher ended with code {ended.result()}")
        if not self._started.is_set():
            raise PoolBroken(None, f"{len(self._ranks)} of {self.size} ranks in {seconds:g} s")
        ended.add_done_callback(lambda _: self._break(None, "the ranks' launcher has ended"))

    async def _serve_rank(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One rank, from its first word to its end."""
        known, number = False, None
        try:
            who = json.loads(await reader.readline())
            known = secrets.compare_digest(str(who["token"]), self._token)
            if not known:
                return
            if who["host"] == socket.gethostname():
                self._here.append(int(who["pid"]))
            hello = json.loads(await reader.readline())
            number = int(hello["rank"])
            if hello["size"] != self.size:
                self._wrong = (
                    f"COMM_WORLD has {hello['size']} ranks, {self.size} were asked for: the "
                    "launcher does not belong to this MPI"
                )
                return
            self._ranks[number] = _Rank(writer)
            if len(self._ranks) == self.size:
                self._started.set()
            while line := await reader.readline():
                self._take_answer(number, json.loads(line))
        except (OSError, ValueError, KeyError, TypeError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            if known:
                which = "a rank" if number is None else f"rank {number}"
                self._break(number, f"{which} is gone")
                self._started.set()

    def _take_answer(self, number: int, message: Json) -> None:
        future = self._ranks[number].answers.pop(message["id"], None)
        if future is not None and not future.done():
            future.set_result(Answer(message["exit_code"], message["error"]))

    def _break(self, number: int | None, why: str, *, deliberate: bool = False) -> None:
        if self._broken is not None:
            return
        self._broken = PoolBroken(number, why, deliberate=deliberate)
        for rank in self._ranks.values():
            for future in rank.answers.values():
                if not future.done():
                    future.set_exception(self._broken)
                    future.exception()  # not everybody waits for each

    async def run(self, ranks: tuple[int, ...], work: Work) -> Answer:
        """How a program ended; the pool is broken if it ended on some ranks and not on others.

        Raises:
            PoolBroken: a rank is gone.
        """
        if self._broken is not None:
            raise self._broken
        name = secrets.token_hex(8)
        message = {
            "id": name,
            "ranks": list(ranks),
            "fresh": ranks in self._stained,
            "module": work.module,
            "arguments": list(work.arguments),
            "environment": work.environment,
            "folder": str(work.folder),
        }
        self._stained.discard(ranks)
        line = json.dumps(message).encode() + b"\n"
        futures: list[asyncio.Future[Answer]] = []
        for number in ranks:
            future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
            self._ranks[number].answers[name] = future
            self._ranks[number].writer.write(line)
            futures.append(future)
        return await self._wait_for_answers(ranks, futures)

    async def _wait_for_answers(
        self, ranks: tuple[int, ...], futures: list[asyncio.Future[Answer]]
    ) -> Answer:
        pending: set[asyncio.Future[Answer]] = set(futures)
        failed: Answer | None = None
        deadline = None
        while pending:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            done, pending = await asyncio.wait(pending, timeout=left, return_when="FIRST_COMPLETED")
            bad = [future.result() for future in done if future.result().exit_code]
            if bad and failed is None:
                failed, deadline = bad[0], time.monotonic() + GRACE_SECONDS
            if not done and pending:  # stuck: they wait for the rank that failed
                self._break(None, "some ranks wait for others that failed", deliberate=True)
                break
        if failed is not None:
            self._stained.add(ranks)
            self._failures += 1
        return failed or Answer(0)

    async def dismiss(self) -> None:
        """Ends ranks that have nothing to do, and `stop`s those that do not go."""
        if self.ready and self._process is not None:
            self._break(None, "its ranks were dismissed", deliberate=True)
            for rank in self._ranks.values():
                rank.writer.write(b"{}\n")
            with suppress(TimeoutError):
                async with asyncio.timeout(END_SECONDS):
                    await self._process.wait()
        await self.stop()

    async def stop(self) -> None:
        """Ends all ranks, whatever they do."""
        self._break(None, "its ranks were ended", deliberate=True)
        process = self._process
        for rank in self._ranks.values():
            rank.writer.close()  # elsewhere they end by this
        for pid in self._here if process is not None and process.returncode is None else []:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self._server is not None:
            self._server.close()
        if process is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            if process.returncode is not None:
                break
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with suppress(TimeoutError):
                async with asyncio.timeout(END_SECONDS):
                    await process.wait()
