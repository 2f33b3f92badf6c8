"""Prefect's API on a socket that its parent has opened: the program of the servers that we start.

Run as `python -P serve_api.py FD`. A port that is only named could be taken by another user's
process before the server has it, and that process would be sent the password.
"""

import socket
import sys


def main() -> None:
    """Serves until it is ended."""
    import uvicorn

    application = "prefect.server.api.server:create_app"
    config = uvicorn.Config(application, factory=True, log_level="critical")
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(sys.argv[1]))])


if __name__ == "__main__":
    main()
