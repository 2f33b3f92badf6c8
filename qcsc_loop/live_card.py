"""A run's card in a notebook, which goes on with the run and stays when it is over."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from qcsc_loop.events import Event, Observer
from qcsc_loop.loop.events import RunStarted, RunStopped
from qcsc_loop.notebook import Run
from qcsc_loop.parameters.environment import environment
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.store import Store

PAUSE_SECONDS = 0.5  # between two pictures at least
SHARE = 20  # of the time, that drawing may take at most: one part in so many


class LiveCard:
    """An observer that shows the run of its first event, drawn anew as it goes on.

    It needs no widgets: a notebook that is read without a kernel has the last picture.
    """

    def __init__(self, store: DirectoryStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._store, self._clock = store, clock
        self._run: Run | None = None
        self._shown: Any = None  # IPython's handle of what it displays
        self._next = 0.0

    def __call__(self, event: Event) -> None:
        try:
            self._look(event)
        except Exception:  # a picture that cannot be drawn never ends a run
            self._next = float("inf")

    def _look(self, event: Event) -> None:
        if isinstance(event, RunStarted) and self._run is None:
            self._run = Run(event.record.run_id, store=self._store)
        if self._run is None:
            return
        began = self._clock()
        if began < self._next and not isinstance(event, RunStopped):
            return
        self._draw(self._run)
        now = self._clock()
        self._next = now + max(PAUSE_SECONDS, SHARE * (now - began))

    def _draw(self, run: Run) -> None:
        from IPython import display

        if self._shown is None:
            show: Any = display.display  # it does not say of what type it is
            self._shown = show(run, display_id=True)
        else:
            self._shown.update(run)


def live_card(store: Store | None) -> Observer:
    """A card of the run that is about to be driven; none of one that is kept in memory alone."""
    where = DirectoryStore(environment().store) if store is None else store
    return LiveCard(where) if isinstance(where, DirectoryStore) else _nothing


def _nothing(_event: Event) -> None:
    """A run in memory cannot be read while it goes on."""
