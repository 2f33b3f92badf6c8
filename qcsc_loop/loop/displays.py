"""Who shows a run where it is driven, if that is a notebook: a plug-in, for it knows all of a run."""

from __future__ import annotations

import sys
from collections.abc import Callable

from qcsc_loop.events import Observer
from qcsc_loop.plugins import load_all
from qcsc_loop.store.store import Store

GROUP = "qcsc_loop.displays"

Display = Callable[[Store | None], Observer]
"""What a plug-in is: given the store that a run is in (None: the usual one), it gives who looks on."""


def notebook_displays(store: Store | None) -> list[Observer]:
    """Who shows a run in this notebook; nobody where there is none."""
    if not in_notebook():
        return []
    return [display(store) for _, display in load_all(GROUP).objects]


def in_notebook() -> bool:
    """Whether a person's cell is being run, in a kernel that draws pictures."""
    ipython = sys.modules.get("IPython")  # whoever runs in it has imported it
    shell = None if ipython is None else ipython.get_ipython()
    return hasattr(shell, "kernel")
