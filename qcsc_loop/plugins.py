"""What other distributions add, by entry points. One that fails is skipped, and named.

    qcsc_loop.algorithms    a class, by the name that `run` takes
    qcsc_loop.resources     a module of samplers, machines, solvers or stop rules
    qcsc_loop.flows         a flow that can be deployed
    qcsc_loop.commands      a command of `qcsc-loop`
    qcsc_loop.doctor        a check
    qcsc_loop.trackers      who is told of runs
    qcsc_loop.displays      who shows a run that is driven in a notebook
    qcsc_loop.saved_blocks  who keeps settings under names
    qcsc_hpc.schedulers     a batch system, by the name that profiles have

Nothing here imports a plug-in before it is needed: names alone are in the distributions' metadata.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from qcsc_loop.errors import PluginFailed

OURS = "qcsc-loop"
GROUPS = (
    "qcsc_loop.algorithms",
    "qcsc_loop.resources",
    "qcsc_loop.flows",
    "qcsc_loop.commands",
    "qcsc_loop.doctor",
    "qcsc_loop.trackers",
    "qcsc_loop.displays",
    "qcsc_loop.saved_blocks",
    "qcsc_hpc.schedulers",
)


@dataclass(frozen=True)
class Loaded:
    """All plug-ins of a group.

    Attributes:
        objects: what those that load offer.
        failures: why the others do not.
    """

    objects: tuple[tuple[EntryPoint, Any], ...] = ()
    failures: tuple[PluginFailed, ...] = ()


def offered(group: str) -> dict[str, EntryPoint]:
    """The group's plug-ins by name, sorted; a name of ours is nobody else's."""
    known: dict[str, EntryPoint] = {}
    for point in points(group):
        if point.name not in known or distribution(point) == OURS:
            known[point.name] = point
    return dict(sorted(known.items()))


def points(group: str) -> Iterable[EntryPoint]:
    """Every entry of the group, also of names that are taken."""
    return _installed(group, tuple(sys.path))


def load(point: EntryPoint) -> Any:  # whatever it names
    """What a plug-in offers.

    Raises:
        PluginFailed: it cannot be imported; says of which distribution it is, and why.
    """
    try:
        return point.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit, and a compiled module's panic, are none of ours
        why = f"{type(error).__name__}: {error}"
        raise PluginFailed(point.group, point.name, distribution(point), why) from error


def load_all(group: str) -> Loaded:
    """Every plug-in of the group, each imported once, and those that fail."""
    return _load_all(group, tuple(sys.path))


def failures_said(group: str) -> str:
    """The end of a sentence about what is not known, for it may be in a plug-in that fails."""
    return "".join(f"; {failure}" for failure in load_all(group).failures)


def distribution(point: EntryPoint) -> str:
    """Whose a plug-in is."""
    dist = point.dist
    return "an unknown distribution" if dist is None else str(dist.metadata["Name"])


# what is installed on a path does not change while a process runs; the path may
@lru_cache(maxsize=64)
def _installed(group: str, _path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=group))


@lru_cache(maxsize=64)
def _load_all(group: str, _path: tuple[str, ...]) -> Loaded:
    objects: list[tuple[EntryPoint, Any]] = []
    failures: list[PluginFailed] = []
    for point in points(group):
        try:
            objects.append((point, load(point)))
        except PluginFailed as failure:
            failures.append(failure)
    return Loaded(tuple(objects), tuple(failures))
