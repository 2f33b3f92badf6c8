"""Who drives a run, and whether that one still lives."""

from __future__ import annotations

import os
import secrets
import threading
from dataclasses import asdict, dataclass

import psutil

from qcsc_loop.concurrency.process_life import Life, Place, here, life_of, start_ticks
from qcsc_loop.store.records import EpochRecord, Holder
from qcsc_loop.store.store import Store


class _Held:
    """The drivers of this process: one that could not write its end is over all the same."""

    def __init__(self) -> None:
        self._lock, self._drivers = threading.Lock(), set[str]()

    def add(self, holder: Holder) -> None:
        with self._lock:
            self._drivers.add(holder.driver)

    def remove(self, holder: Holder) -> None:
        with self._lock:
            self._drivers.discard(holder.driver)

    def __contains__(self, holder: Holder) -> bool:
        with self._lock:
            return holder.driver in self._drivers


held = _Held()


def new_holder() -> Holder:
    """A new driver in this process."""
    pid = os.getpid()
    return Holder(
        **asdict(here()),
        pid=pid,
        pid_started=psutil.Process(pid).create_time(),
        start_ticks=start_ticks(pid),
        driver=secrets.token_hex(8),
    )


def life_of_holder(holder: Holder) -> Life:
    """What can be said of a driver from here; of those that older versions wrote, nothing."""
    place = Place(holder.host, holder.boot, holder.machine, holder.pid_namespace)
    life = life_of(holder.pid, holder.start_ticks, place)
    if life is Life.LIVES and holder.pid == os.getpid():
        return Life.LIVES if holder in held else Life.DEAD
    return life


@dataclass(frozen=True)
class Hold:
    """A driver's hold on its run.

    Attributes:
        seconds: for which its lease still holds without a further sign of life.
        life: of its process; of one that lives here nothing is taken, even if it stands still.
    """

    seconds: float
    life: Life

    @property
    def is_free(self) -> bool:
        return self.life is Life.DEAD or (self.life is Life.UNKNOWN and not self.seconds)


def look_at_hold(store: Store, folder: str, record: EpochRecord) -> Hold:
    """How an epoch's driver holds its run."""
    life = life_of_holder(record.holder)
    if life is Life.DEAD:
        return Hold(0.0, life)
    age = store.age(f"{folder}/{record.epoch:04d}.beat")
    return Hold(0.0 if age is None else max(0.0, record.lease_seconds - age), life)
