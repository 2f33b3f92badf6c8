"""What one site has in one event loop: all its jobs share it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from qcsc_hpc.schedulers.scheduler import UNREADABLE, NotUnderstood, Scheduler, as_not_understood
from qcsc_hpc.sites.arrays import Arrays
from qcsc_hpc.sites.commands import Commands
from qcsc_hpc.sites.following import Watch
from qcsc_loop.errors import SiteUnreachable


@dataclass(frozen=True)
class Runtime:
    """A scheduler, and those who talk with it.

    Attributes:
        title: what people call it, for messages.
        lost_seconds: that it may not know a job, before that is LOST.
        arrays: where the site's jobs go together; None: each goes by itself.
    """

    title: str
    lost_seconds: float
    scheduler: Scheduler
    commands: Commands
    watch: Watch
    arrays: Arrays | None = None

    @contextmanager
    def reading(self) -> Iterator[None]:
        """An answer that is not understood is none."""
        try:
            yield
        except (NotUnderstood, *UNREADABLE) as error:
            raise SiteUnreachable(self.title, str(as_not_understood(error))) from error
