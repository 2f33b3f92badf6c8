"""For a program on a node: hearing that the job's walltime ends, in time to end its work in order."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType, TracebackType

UNFINISHED_EXIT = 75  # EX_TEMPFAIL of sysexits.h: another time


class EndOfWalltime:
    """Whether the walltime is about to end; what the program has to do about it is its own.

    The job's profile says how long before (`warning_seconds`) and by which signal. A program that
    has not done its work leaves with `leave()`: the job is a TIMEOUT then, and where the profile's
    `resubmit` has one of these, another attempt follows, which finds the folder of this one in
    QCSC_EARLIER.

    Args:
        signals: as the profile's `warning_signal`; by default those that it may be but TERM and HUP.
        told: called once, in the main thread, as a signal handler is.

    Example:
        ::

            with EndOfWalltime() as end:
                for number in range(first, 1000):
                    work(number)
                    if end.is_near:
                        save(number)
                        end.leave()
    """

    def __init__(
        self,
        *signals: signal.Signals,
        told: Callable[[], object] | None = None,
    ) -> None:
        self._signals = signals or (signal.SIGUSR1, signal.SIGUSR2)
        self._told = told
        self.is_near = False

    def __enter__(self) -> EndOfWalltime:
        for number in self._signals:
            signal.signal(number, self._hear)
        # the job was told before there was somebody to hear it
        folder = os.environ.get("QCSC_JOB_FOLDER")
        if folder is not None and os.path.exists(os.path.join(folder, "warned")):
            self._hear(0, None)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number in self._signals:
            signal.signal(number, signal.SIG_IGN)  # nobody hears it now, and it must not kill

    def _hear(self, _number: int, _frame: FrameType | None) -> None:
        if not self.is_near:
            self.is_near = True
            if self._told is not None:
                self._told()

    def leave(self) -> None:
        """Ends the program: its work is not done."""
        raise SystemExit(UNFINISHED_EXIT)
