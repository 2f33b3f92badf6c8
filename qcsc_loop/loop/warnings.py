"""What a run survived is told to Python's logging, whoever drives it: nobody else may look on."""

from __future__ import annotations

import logging

from qcsc_loop.events import Event, Observer, Trouble
from qcsc_loop.loop.events import StepRetried
from qcsc_loop.printing import printable

_logger = logging.getLogger("qcsc_loop")


def warning_of(event: Event) -> str:
    """What an event warns of, as a sentence; empty: of nothing."""
    match event:
        case Trouble():
            return event.message
        case StepRetried():
            return (
                f"{event.step} of iteration {event.iteration} failed ({event.error}); again in "
                f"{event.wait:g} s"
            )
        case _:
            return ""


def log_warnings(run_id: str) -> Observer:
    """An observer that logs warnings under the name "qcsc_loop", with the run's id as `run_id`."""

    def observe(event: Event) -> None:
        if text := warning_of(event):
            _logger.warning("%s: %s", run_id, printable(text), extra={"run_id": run_id})

    return observe
