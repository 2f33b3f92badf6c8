"""Batch systems, each a class of pure functions; others join by an entry point."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qcsc_hpc.profiles import HPCProfile
    from qcsc_hpc.schedulers.scheduler import Dialect, Scheduler


def scheduler_for(where: HPCProfile) -> Scheduler:
    """The scheduler of a site that has one.

    Raises:
        PluginFailed: it is another distribution's, and cannot be used.
    """
    return scheduler_named(where.scheduler)(where)


def scheduler_named(name: str) -> type[Scheduler]:
    """The class that profiles mean by a name, which they have checked. Imports no other.

    Raises:
        PluginFailed: it cannot be imported, or is no scheduler.
    """
    from qcsc_hpc.profiles import SCHEDULERS
    from qcsc_hpc.schedulers.scheduler import Scheduler
    from qcsc_loop.errors import PluginFailed
    from qcsc_loop.plugins import distribution, load, offered

    point = offered(SCHEDULERS)[name]
    kind = load(point)
    if not (isinstance(kind, type) and issubclass(kind, Scheduler)) or kind.name != name:
        why = f"{point.value} is no Scheduler whose name is {name!r}"
        raise PluginFailed(SCHEDULERS, name, distribution(point), why)
    return kind


def dialect_for(where: HPCProfile) -> Dialect:
    """How scripts are written there, whether there is a scheduler or not."""
    from qcsc_hpc.schedulers.local import Local

    return Local(where) if where.scheduler == "local" else scheduler_for(where)
