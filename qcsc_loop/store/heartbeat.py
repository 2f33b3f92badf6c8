"""A driver's one heartbeat, for its disk and for the API."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from qcsc_loop.concurrency import pulse
from qcsc_loop.errors import StoreError
from qcsc_loop.store.store import Store


@dataclass(frozen=True)
class Request:
    """A request that is a sign of life to an API, as it was just made.

    Attributes:
        after: seconds after which it is made again, if no other one comes before.
        certificates: a file of them; empty: the system's.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: str
    after: float
    verify: bool = True
    certificates: str = ""


class Heartbeat:
    """Signs of life from a process of its own, which is started anew should it die.

    Where there can be none, and in a store that only this process sees, a thread gives them.
    """

    def __init__(self, store: Store, name: str, every: float) -> None:
        self._store, self._name, self._every = store, name, every
        self._file = store.beat_file(name)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="qcsc-loop-lease", daemon=True)
        self._pulse: subprocess.Popen[bytes] | None = None
        self._request: Request | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """The first sign of life, and then one every few seconds until `stop`."""
        self._store.touch(self._name)
        if self._file is not None:
            with self._lock:
                self._start_pulse()
        self._thread.start()

    def repeat(self, request: Request) -> None:
        """Has a request made again whenever the driver is late with its next one."""
        with self._lock:
            self._request = request
            if self._pulse is None:
                self._start_pulse()
            else:
                self._hand_over()

    def stop(self) -> None:
        """No further sign of life."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._end_pulse()

    def _watch(self) -> None:
        while not self._stop.wait(self._every):
            with self._lock:
                beats = self._pulse is not None and self._pulse.poll() is None
            if self._file is None or not beats:
                # a full or absent disk: the lease runs out if it lasts, and the epoch check decides
                with contextlib.suppress(StoreError):
                    self._store.touch(self._name)
            if not beats and (self._file is not None or self._request is not None):
                self._end_pulse()
                with self._lock:
                    self._start_pulse()

    def _start_pulse(self) -> None:
        words = [str(os.getpid()), str(self._every), "" if self._file is None else str(self._file)]
        try:
            # not tied by the kernel to this thread's life, as other children are: the thread that
            # claims a run may end. It looks for its parent itself.
            self._pulse = subprocess.Popen(
                [sys.executable, "-I", "-S", pulse.__file__, *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,  # a Ctrl-C is the driver's to handle
            )
        except OSError:  # no process or memory left: the thread beats, and tries again
            return
        assert self._pulse.stdin is not None
        os.set_blocking(self._pulse.stdin.fileno(), False)
        self._hand_over()

    def _hand_over(self) -> None:
        if self._pulse is None or self._pulse.stdin is None or self._request is None:
            return
        line = json.dumps(asdict(self._request)).encode() + b"\n"
        with contextlib.suppress(OSError):  # it has died, and gets it when it is started anew
            os.write(self._pulse.stdin.fileno(), line)

    def _end_pulse(self) -> None:
        with self._lock:
            ended, self._pulse = self._pulse, None
        if ended is not None:
            ended.kill()
            ended.communicate()  # closes its pipe, and reaps it
