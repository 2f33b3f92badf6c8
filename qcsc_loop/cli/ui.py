"""`ui`: all runs in a browser."""

from __future__ import annotations

import signal
import socket
import sys
from pathlib import Path

from qcsc_loop.cli.signals import leave
from qcsc_loop.parameters.environment import environment
from qcsc_loop.printing import say, store_option
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.ui.serving import HOST, serve


def serve_pages(*, store: Path | None, port: int | None, uds: Path | None) -> None:
    """Serves them until it is ended.

    Raises:
        InputError: the port or the socket's file cannot be had.
    """
    found = DirectoryStore(store or environment().store)

    def tell(path: str, number: int) -> None:
        here = socket.gethostname()
        say(f"the runs of {found.place}, to be looked at until Ctrl-C")
        if uds is not None:
            say(f"  from your own machine: ssh -L 8421:{uds.absolute()} {here}")
            say(f"  then: http://{HOST}:8421{path}")
            return
        say(f"  http://{HOST}:{number}{path}")
        say(f"  from your own machine, before: ssh -L {number}:{HOST}:{number} {here}")
        say(f"  in JupyterHub: .../proxy/{number}{path}")

    # the server ends in order, and then lets the signal do what it did before
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    code = 0
    try:
        serve(found, port=port, uds=uds, more=store_option(store), tell=tell)
    except KeyboardInterrupt:
        pass
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0
    # threads that answered may be at work: torn down with the interpreter, they could abort it
    leave(code)
