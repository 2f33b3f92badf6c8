"""One writer per run: a lease with an epoch, a beat, and a check before every write."""

from __future__ import annotations

import contextlib
import os
import socket
import threading

import psutil

from qcsc_loop.errors import StoreError
from qcsc_loop.store.records import EpochRecord, Holder
from qcsc_loop.store.store import Store


def this_process() -> Holder:
    """This process as a lease holder."""
    namespace = ""
    with contextlib.suppress(OSError):  # Linux only
        namespace = os.readlink("/proc/self/ns/pid")
    pid = os.getpid()
    started = psutil.Process(pid).create_time()
    return Holder(host=socket.gethostname(), pid=pid, pid_started=started, pid_namespace=namespace)


def known_dead(holder: Holder) -> bool:
    """Whether the holder is certainly gone: only a process of this host can tell."""
    here = this_process()
    if (holder.host, holder.pid_namespace) != (here.host, here.pid_namespace):
        return False
    try:
        process = psutil.Process(holder.pid)
        # pids are reused; the start time tells two processes apart (clocks jitter by a second)
        same = abs(process.create_time() - holder.pid_started) < 2
        return not same or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:
        return False


def seconds_left(store: Store, folder: str, record: EpochRecord) -> float:
    """How long the lease still holds without a further sign of life; 0 if it is free."""
    if known_dead(record.holder):
        return 0.0
    age = store.age(f"{folder}/{record.epoch:04d}.beat")
    return 0.0 if age is None else max(0.0, record.lease_seconds - age)


class Heartbeat:
    """Signs of life from a thread of its own: a hook that blocks the event loop stays alive."""

    def __init__(self, store: Store, name: str, every: float) -> None:
        self._store, self._name, self._every = store, name, every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="qcsc-loop-lease", daemon=True)

    def start(self) -> None:
        """The first sign of life, and then one every few seconds until `stop`."""
        self._store.touch(self._name)
        self._thread.start()

    def _beat(self) -> None:
        while not self._stop.wait(self._every):
            # a full or absent disk: the lease runs out if it lasts, and the epoch check decides
            with contextlib.suppress(StoreError):
                self._store.touch(self._name)

    def stop(self) -> None:
        """No further sign of life."""
        self._stop.set()
        self._thread.join()
