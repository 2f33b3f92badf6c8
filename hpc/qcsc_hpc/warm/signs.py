"""What a driver sees of a warm job: its supervisor's signs of life. All of it blocks, briefly."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass

from qcsc_hpc.warm.epoch import newest_epoch
from qcsc_hpc.warm.mailbox import Mailbox
from qcsc_loop.errors import DamagedDocument
from qcsc_loop.jobs.entries import JobRecord


@dataclass(frozen=True)
class Sign:
    """Of life.

    Attributes:
        job: the id of the warm job.
        began: when that began, by its own clock.
        is_ready: its ranks have started.
    """

    job: str
    began: float
    is_ready: bool


class Signs:
    """From the newest supervisor: what counts is that they change, by our clock."""

    def __init__(self, box: Mailbox) -> None:
        self._box = box
        self._last, self._seen = b"", time.monotonic()

    @property
    def silent_seconds(self) -> float:
        """Since the last one, or since one may be expected."""
        return time.monotonic() - self._seen

    def wait_anew(self) -> None:
        """Counts its silence from now on: another job was asked for."""
        self._seen = time.monotonic()

    def look(self) -> Sign | None:
        """The newest one, if there was none like it before."""
        self._box.make()
        epoch = newest_epoch(self._box)
        with suppress(OSError, DamagedDocument, KeyError):
            beat = epoch.last_beat()
            if beat == self._last:
                return None
            server = epoch.server()
            self._last, self._seen = beat, time.monotonic()
            is_ready = epoch.last_signs()["state"] != "starting"
            return Sign(server["job"], server["began"], is_ready)
        return None

    def is_time_to_replace(self, record: JobRecord | None, reserve: float) -> bool:
        """Whether a successor that is asked for now is there just in time.

        Args:
            record: of the job that serves.
            reserve: its last seconds, in which it begins nothing.
        """
        epoch = newest_epoch(self._box)
        with suppress(OSError, DamagedDocument, KeyError):
            left, server = epoch.last_signs()["left"], epoch.server()
            if left is None or record is None or server["job"] != record.job_id:
                return False
            queued = server["began"] - record.intent.at.timestamp()
            return bool(left < reserve + max(0.0, queued))
        return False
