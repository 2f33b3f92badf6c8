"""Prefect's API on a socket that its parent has opened: the program of the servers that we start.

Run as `python -P serve_api.py FD`. A port that is only named could be taken by another user's
process before the server has it, and that process would be sent the password.
"""

from __future__ import annotations

import socket
import sys
from typing import Any

UNAVAILABLE = 503
AGAIN = ((b"prefect-maintenance", b"true"), (b"retry-after", b"2"))  # what counts no attempt


def main() -> None:
    """Serves until it is ended."""
    import uvicorn

    config = uvicorn.Config(application, factory=True, log_level="critical")
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(sys.argv[1]))])


def application() -> Any:  # Any: FastAPI's class, which is no dependency of ours
    """Prefect's, in which connections that stay open use up no limit, and a busy database loses no run.

    On SQLite it handles 100 requests at a time, and counts every websocket for as long as that is
    open: two for each flow run of a worker. With fifty of those it would answer nobody any more.
    """
    return asks_again(_with_room())


def asks_again(application: Any) -> Any:
    """Has clients of Prefect ask again, however often, where the database was busy.

    SQLite lets one request write at a time. One whose turn does not come is answered 503, and nothing
    of it is done; a client gives up after the sixth, and with fifty loops that begin at once some do.
    """

    async def answered(scope: Any, receive: Any, send: Any) -> None:
        async def told(message: Any) -> None:
            if message["type"] == "http.response.start" and message["status"] == UNAVAILABLE:
                message = {**message, "headers": [*message.get("headers", ()), *AGAIN]}
            await send(message)

        await application(scope, receive, told)

    return answered


def _with_room() -> Any:
    from prefect.server.api.server import RequestLimitMiddleware, create_app
    from starlette.middleware import Middleware

    class OfRequests(RequestLimitMiddleware):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "websocket":
                await self.app(scope, receive, send)
            else:
                await super().__call__(scope, receive, send)

    found: Any = create_app()
    found.user_middleware = [
        Middleware(OfRequests, *each.args, **each.kwargs)
        if each.cls is RequestLimitMiddleware
        else each
        for each in found.user_middleware
    ]
    return found


if __name__ == "__main__":
    main()
