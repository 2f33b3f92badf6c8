"""Prefect's console, before there is one."""

from __future__ import annotations

import os

from qcsc_loop.prefect.home import require_home

# Prefect's lines repeat ours, with tracebacks; its own log still has them
_QUIET = {
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "qcsc_loop.hooks",  # warnings reach its log by themselves
    # what a hook says before there is a flow run is in the run's own log
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    "DO_NOT_TRACK": "1",
}


def quiet_prefect() -> None:
    """Leaves the console to us: before Prefect is imported, which reads its settings once.

    Whoever has set one of these gets what they set.

    Raises:
        PrefectHomeNotWritable: Prefect could keep nothing where it wants to.
    """
    require_home()
    take_console()


def take_console() -> None:
    """As `quiet_prefect`, for who says in its own way that Prefect could keep nothing."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
