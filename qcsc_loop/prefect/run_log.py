"""What a run tells Prefect's own log of its flow run: an iteration a line, and what went wrong."""

from __future__ import annotations

import logging
import math
import time

from prefect.logging import get_run_logger
from prefect.logging.handlers import APILogHandler

from qcsc_loop.events import Event
from qcsc_loop.loop.events import IterationCommitted, RunStarted, RunStopped
from qcsc_loop.loop.warnings import warning_of
from qcsc_loop.printing import printable
from qcsc_loop.reports.run import scalars_line

LINE_SECONDS = 1.0  # between two of them: a run of milliseconds is to flood no server


class RunLog:
    """An observer of a run, for the flow run in whose context it is made."""

    def __init__(self) -> None:
        self._logger = get_run_logger()
        self._last, self._held_back = -math.inf, ""

    def observe(self, event: Event) -> None:
        """An observer of the run."""
        match event:
            case RunStarted():
                self._say_start(event)
            case IterationCommitted():
                self._iteration(event)
            case RunStopped():
                self._say_held_back()
                self._logger.info("%s", printable(event.message))
            case _:
                self._warn(warning_of(event))

    def _say_start(self, event: RunStarted) -> None:
        driver, at = event.epoch.epoch, event.resumed_from
        how = "begins" if at is None else f"goes on after iteration {at}"
        self._logger.info("%s: driver %d %s", event.record.run_id, driver, how)

    def _iteration(self, event: IterationCommitted) -> None:
        commit = event.commit
        scalars = scalars_line(commit.scalars) or "no scalars"
        self._held_back = printable(f"iteration {commit.iteration}: {scalars}")
        if time.monotonic() - self._last >= LINE_SECONDS:
            self._last = time.monotonic()
            self._say_held_back()

    def _say_held_back(self) -> None:
        if self._held_back:
            self._logger.info("%s", self._held_back)
            self._held_back = ""

    def _warn(self, text: str) -> None:
        if text and not _reaches_prefect("qcsc_loop"):
            self._logger.warning("%s", printable(text))


def _reaches_prefect(name: str) -> bool:
    """Whether what this logger is told stands in Prefect's log by itself (`logging.extra_loggers`)."""
    return any(isinstance(each, APILogHandler) for each in logging.getLogger(name).handlers)
