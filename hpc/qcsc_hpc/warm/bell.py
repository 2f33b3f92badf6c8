"""How a supervisor is reached: the names of its machine, and a port where a packet wakes it.

Whoever has rung hears a packet, too, when something is done: a disk may show that late.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import Any


def hosts(*, alone: bool) -> list[str]:
    """Names under which this machine is reached, the likeliest first.

    Args:
        alone: from itself only.
    """
    if alone:
        return ["127.0.0.1"]
    name = socket.gethostname()
    found = [name, socket.getfqdn()]
    with suppress(OSError):
        found += socket.gethostbyname_ex(name)[2]
    return [*dict.fromkeys(found), "127.0.0.1"]


CALLERS = 64  # that are answered: the last ones to ring


class Bell(asyncio.DatagramProtocol):
    """A packet of any content wakes the supervisor: that it comes is worth little."""

    def __init__(self) -> None:
        self._rang = asyncio.Event()
        self._callers: dict[Any, None] = {}  # addresses, the last one to ring at the end
        self._transport: asyncio.DatagramTransport | None = None

    async def listen(self, *, alone: bool) -> int:
        """The port where it hears packets from now on."""
        local = ("127.0.0.1" if alone else "0.0.0.0", 0)
        loop = asyncio.get_running_loop()
        bell, _ = await loop.create_datagram_endpoint(lambda: self, local)
        self._transport = bell
        port: int = bell.get_extra_info("sockname")[1]
        return port

    def datagram_received(self, data: bytes, addr: Any) -> None:  # asyncio's
        self._callers.pop(addr, None)
        self._callers[addr] = None
        if len(self._callers) > CALLERS:
            del self._callers[next(iter(self._callers))]
        self.ring()

    def answer(self) -> None:
        """Wakes all who have rung: something is done."""
        if self._transport is None:
            return
        for caller in self._callers:
            with suppress(OSError):
                self._transport.sendto(b"!", caller)

    def ring(self) -> None:
        self._rang.set()

    async def wait(self, seconds: float) -> None:
        """Until it rings, and no longer than so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._rang.wait()
        self._rang.clear()
