"""How a supervisor is reached: the names of its machine, and a port where a packet wakes it."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress


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


class Bell(asyncio.DatagramProtocol):
    """A packet of any content wakes the supervisor: that it comes is worth little."""

    def __init__(self) -> None:
        self._rang = asyncio.Event()

    async def listen(self, *, alone: bool) -> int:
        """The port where it hears packets from now on."""
        local = ("127.0.0.1" if alone else "0.0.0.0", 0)
        loop = asyncio.get_running_loop()
        bell, _ = await loop.create_datagram_endpoint(lambda: self, local)
        port: int = bell.get_extra_info("sockname")[1]
        return port

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.ring()

    def ring(self) -> None:
        self._rang.set()

    async def wait(self, seconds: float) -> None:
        """Until it rings, and no longer than so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._rang.wait()
        self._rang.clear()
