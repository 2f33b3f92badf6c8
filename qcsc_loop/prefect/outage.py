"""What is tried on a Prefect server until it takes it: an outage is told once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from json import JSONDecodeError

import anyio
import httpx
from prefect.exceptions import PrefectHTTPStatusError
from pydantic import ValidationError

from qcsc_loop.events import Observer, Trouble

# what is no JSON, or not what the API says, comes from something in between: a gateway's page
OUTAGE = (httpx.HTTPError, PrefectHTTPStatusError, OSError, JSONDecodeError, ValidationError)
PAUSE = 0.5  # seconds before the second attempt during an outage; doubles
LONGEST_PAUSE = 15.0


class Attempts:
    """All that one mirror makes.

    Attributes:
        healthy: the last one got through.
        successes: how many did.

    Args:
        made: called after each.
    """

    def __init__(self, tell: Observer, made: Callable[[], None]) -> None:
        self._tell, self._made = tell, made
        self.healthy, self.successes = True, 0

    async def until_done(self, act: Callable[[], Awaitable[None]]) -> None:
        """Returns once the server has taken it."""
        pause = PAUSE
        while not await self._try(act):
            await anyio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _try(self, act: Callable[[], Awaitable[None]]) -> bool:
        try:
            await act()
        except OUTAGE as error:
            if self.healthy:
                self._tell(
                    Trouble(
                        "the Prefect server does not take checkpoints at the moment "
                        f"({type(error).__name__}); the run goes on, they are sent later"
                    )
                )
            self.healthy = False
        else:
            self.healthy = True
            self.successes += 1
        self._made()
        return self.healthy
