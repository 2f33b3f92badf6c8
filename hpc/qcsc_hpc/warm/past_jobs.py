"""What has become of warm jobs: whether it is worth asking for another one."""

from __future__ import annotations

import math
import time

from qcsc_hpc.warm.mailbox import Ended
from qcsc_loop.errors import JobFailed

FRUITLESS = 2  # warm jobs in a row that never served, after which a request fails


class PastJobs:
    """Those of one run on one machine that have ended.

    Args:
        fallback_seconds: how long one that was not to be had is not asked for again.
    """

    def __init__(self, fallback_seconds: float) -> None:
        self._fallback_seconds = fallback_seconds
        self._fruitless = 0  # that ended before they served
        self._failure: JobFailed | None = None
        self._missed_at: float | None = None  # when one had not been begun in its queue_timeout

    @property
    def tail(self) -> str:
        """The end of the output of one that did not serve."""
        return self._failure.tail if self._failure else ""

    @property
    def just_missed(self) -> bool:
        """Whether one has just waited in vain; after a while another one is asked for."""
        since = math.inf if self._missed_at is None else time.monotonic() - self._missed_at
        return since <= self._fallback_seconds

    def add(self, failure: JobFailed | None, *, served: bool, begun: bool) -> None:
        """One has ended: how, whether its supervisor was seen ready, whether it began at all."""
        if failure is not None and failure.state == "TIMEOUT" and not begun:
            self._missed_at = time.monotonic()
            return
        self._fruitless = 0 if served else self._fruitless + 1
        self._failure = failure or self._failure

    def forgive(self) -> None:
        """One serves: what was before does not count."""
        self._fruitless, self._failure = 0, None

    def verdict(self) -> Ended | None:
        """Why a request fails, if so; a later attempt may have better luck."""
        if self._fruitless < FRUITLESS or self._failure is None:
            return None
        self._fruitless = 0
        reason = f"the warm job ended {self._failure.state} before it served"
        return Ended("FAILED", exit_code=self._failure.exit_code_of_job, reason=reason)
