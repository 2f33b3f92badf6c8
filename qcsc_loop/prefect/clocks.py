"""What time it is by the clocks of a Prefect server.

Its API times what is made, its database what is changed; the two may be two machines, a proxy in front
of them gives the time of a third one, and this machine has a fourth. So ages are told by the clock
that timed what is looked at: a look makes something, changes it, and reads its times.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import datetime

from prefect.client.orchestration import PrefectClient

from qcsc_loop.prefect.outage import OUTAGE

CLOCK = "qcsc-loop-clock"
_ABOUT = {"type": CLOCK, "description": "a look at this server's clocks; nobody needs it"}


@dataclass(frozen=True)
class ServerClocks:
    """The time at one look.

    Attributes:
        api: by which it times what is made, and states of flow runs.
        database: by which it times what is changed.
    """

    api: datetime
    database: datetime


async def read_clocks(client: PrefectClient) -> ServerClocks:
    """What time it is there.

    Raises:
        httpx.HTTPError, PrefectHTTPStatusError: the server does not answer.
    """
    made = (await client.request("POST", "/artifacts/", json=_ABOUT)).json()
    where = {"path_params": {"id": made["id"]}}
    try:
        await client.request("PATCH", "/artifacts/{id}", **where, json={"data": "changed"})
        changed = (await client.request("GET", "/artifacts/{id}", **where)).json()
    finally:
        with contextlib.suppress(*OUTAGE):  # it has no key, and is in nobody's way
            await client.request("DELETE", "/artifacts/{id}", **where)
    return ServerClocks(
        datetime.fromisoformat(made["created"]), datetime.fromisoformat(changed["updated"])
    )
