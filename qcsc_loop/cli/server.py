"""`server start`, `status`, `stop`: a Prefect server of one's own that outlives the runs."""

from __future__ import annotations

import os
import shlex
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from qcsc_loop.printing import say, say_json

if TYPE_CHECKING:
    from qcsc_loop.prefect.own_server import OwnServer


@dataclass(frozen=True)
class Stopped:
    """A server that runs no more.

    Attributes:
        ran: whether it did until now.
    """

    ran: bool
    folder: str
    state: Literal["none"] = "none"


def start_server(*, port: int | None, as_json: bool) -> int:
    """Starts it, and says how to get in."""
    from qcsc_loop.prefect import own_server

    def tell(text: str) -> None:
        say(text, to_stderr=True)

    found = own_server.start(own_server.server_folder(), port, tell)
    _say(found, as_json=as_json)
    return 0


def server_status(*, as_json: bool) -> int:
    """Says how it is; the exit code says whether it runs. One that was killed is started again."""
    from qcsc_loop.prefect import own_server
    from qcsc_loop.prefect.own_server import State

    folder = own_server.server_folder()
    found = own_server.look(folder)
    if found.state is State.GONE:
        say("your Prefect server was gone; it is started again", to_stderr=True)
        found = own_server.start(folder)
    _say(found, as_json=as_json)
    return 0 if found.state is State.RUNNING else 1


def stop_server(*, as_json: bool) -> int:
    """Ends it; its database stays."""
    from qcsc_loop.prefect import own_server

    folder = own_server.server_folder()
    ran = own_server.stop(folder)
    if as_json:
        say_json(asdict(Stopped(ran, str(folder))))
    else:
        what = "your Prefect server is ended" if ran else "no Prefect server of yours ran"
        say(f"{what}; what it knows is kept in {folder}")
    return 0


def _say(found: OwnServer, *, as_json: bool) -> None:
    if as_json:
        say_json(asdict(found.facts()))
        return
    from qcsc_loop.prefect.own_server import State

    match found.state:
        case State.NONE:
            say("you have no Prefect server; qcsc-loop server start makes one that outlives runs")
        case State.ELSEWHERE:
            say(
                f"your Prefect server runs on {found.host}, last seen {found.silent_for:.0f} s ago: it "
                "is reached from that machine alone"
            )
        case State.RUNNING:
            say("\n".join(_running(found)))
        case _:
            say(f"your Prefect server does not answer; its keeper starts it again: see {found.log}")


def _running(found: OwnServer) -> list[str]:
    assert found.record is not None
    since = datetime.fromtimestamp(found.record.since).astimezone()
    again = f", started again {found.record.restarts} times" if found.record.restarts else ""
    port = found.record.port
    lines = [
        f"your Prefect server runs on this machine since {since:%Y-%m-%d %H:%M %z}{again}",
        f"  pages     {found.ui}",
        f"  password  the line in {found.password_file}: the pages ask for it once",
        f"  from afar ssh -L {port}:127.0.0.1:{port} {found.host}, then the same address",
        f"  prefect   PREFECT_API_URL={found.ui}/api "
        f'PREFECT_API_AUTH_STRING="$(cat {shlex.quote(str(found.password_file))})" prefect ...',
        f"  log       {found.log}",
        "qcsc-loop uses it wherever no other one is configured; to end it: qcsc-loop server stop",
    ]
    if configured := os.environ.get("PREFECT_API_URL"):
        lines.append(f"here PREFECT_API_URL names another one, which is used instead: {configured}")
    return lines
