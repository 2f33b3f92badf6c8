"""Prefect's console, before there is one."""

from __future__ import annotations

import os
from pathlib import Path

from qcsc_loop.errors import PrefectHomeNotWritable

# Prefect's lines repeat ours, with tracebacks; its own log still has them
_QUIET = {
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "qcsc_loop.hooks",  # warnings reach its log by themselves
    "DO_NOT_TRACK": "1",
}


def quiet_prefect() -> None:
    """Leaves the console to us: before Prefect is imported, which reads its settings once.

    Whoever has set one of these gets what they set.

    Raises:
        PrefectHomeNotWritable: Prefect could keep nothing where it wants to.
    """
    require_home()
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)


def require_home() -> None:
    """Makes sure that Prefect's folder can be written, which a temporary server's database is in.

    Raises:
        PrefectHomeNotWritable: it cannot.
    """
    if os.environ.get("PREFECT_API_URL"):  # the server that it names has its own
        return
    home = Path(os.environ.get("PREFECT_HOME") or "~/.prefect").expanduser()
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PrefectHomeNotWritable(str(home), error.strerror or str(error)) from error
    if not os.access(home, os.W_OK):
        raise PrefectHomeNotWritable(str(home), "it is not yours to write to")
