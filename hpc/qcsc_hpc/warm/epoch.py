"""One start of a supervisor, as drivers and other supervisors see it: a folder with a few files."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from qcsc_hpc.warm import small_records as records
from qcsc_hpc.warm.mailbox import Mailbox
from qcsc_loop.concurrency.listed import is_listed
from qcsc_loop.concurrency.process_life import Life, Place, life_of
from qcsc_loop.errors import DamagedDocument
from qcsc_loop.plain import Json

SERVER, BEAT, GONE, RELIEVED = "server.json", "beat.json", "gone", "relieved"
BEAT_SECONDS = 1.0
SILENT_SECONDS = 5.0  # without a beat, after which a predecessor counts as dead
LOOK_SECONDS = 0.1  # between looks whether it has gone


@dataclass(frozen=True)
class Epoch:
    """Of the mailbox that the folder is in; the folder of the first one's predecessor is not there."""

    path: Path

    @property
    def number(self) -> int:
        return int(self.path.name)

    # as its own supervisor writes it

    def announce(self, server: Json) -> None:
        """Says where the supervisor is."""
        records.write_once(self.path / SERVER, server)

    async def beat(self, signs: Callable[[], Json]) -> None:
        """Shows signs of life for as long as it is not cancelled."""
        number = 0
        while True:
            number += 1
            with suppress(OSError):  # a full disk: the next one may get through
                records.replace(self.path / BEAT, {"number": number, **signs()})
            await asyncio.sleep(BEAT_SECONDS)

    @property
    def is_relieved(self) -> bool:
        """Whether a successor waits."""
        return is_listed(self.path / RELIEVED)

    def leave(self) -> None:
        """Says that the supervisor has gone."""
        with suppress(OSError):
            (self.path / GONE).touch()

    # as others see it

    def server(self) -> Json:
        """Where the supervisor is. Raises OSError, DamagedDocument."""
        return records.read(self.path / SERVER)

    def last_beat(self) -> bytes:
        """The last sign of life, of which counts whether it changes. Raises OSError."""
        if not is_listed(self.path / BEAT):
            raise FileNotFoundError(self.path / BEAT)
        return (self.path / BEAT).read_bytes()

    def last_signs(self) -> Json:
        """What the last sign of life says. Raises OSError, DamagedDocument."""
        return records.read(self.path / BEAT)

    @property
    def is_dead(self) -> bool:
        """Whether its supervisor certainly is: it says so, or was on this machine and is no more."""
        if is_listed(self.path / GONE):
            return True
        try:
            server = self.server()
            place = Place(**server["place"])
            return life_of(server["pid"], server["start_ticks"], place) is Life.DEAD
        except (OSError, DamagedDocument, KeyError, TypeError):  # another version's
            return False

    async def relieve(self, say: Callable[[str], None]) -> None:
        """Returns once its supervisor does not serve: it has gone, or shows no sign of life."""
        if self.is_dead:
            return
        (self.path / RELIEVED).touch()
        beat, since = b"", time.monotonic()
        while not self.is_dead:
            now = self._beat_or_nothing()
            if now != beat:
                beat, since = now, time.monotonic()
            if time.monotonic() - since > SILENT_SECONDS:
                say(f"epoch {self.number} has shown no sign of life for {SILENT_SECONDS:g} s")
                return
            await asyncio.sleep(LOOK_SECONDS)

    def _beat_or_nothing(self) -> bytes:
        with suppress(OSError):
            return self.last_beat()
        return b""


def newest_epoch(mailbox: Mailbox) -> Epoch:
    """The last start of a supervisor; number 0 if there was none."""
    return Epoch(mailbox.epoch(mailbox.newest_epoch()))


async def begin_epoch(mailbox: Mailbox, say: Callable[[str], None]) -> Epoch:
    """A new one, once no older supervisor serves."""
    last = newest_epoch(mailbox)
    if last.number:
        await last.relieve(say)
    return Epoch(mailbox.epoch(mailbox.begin_epoch()))
