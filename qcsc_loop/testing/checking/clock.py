"""Another time for whoever asks: for a process whose clock is not set back again."""

from __future__ import annotations

import ctypes
import gc
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from types import FrameType
from typing import Any

DIFFERS = "another year, month, day, weekday and hour"
# Earlier: no lock looks old, no credential expired. 57 weeks and a day, which is no whole number of
# months, of whatever lengths.
EARLIER = timedelta(days=400, hours=5, minutes=7, seconds=11)

# what compares with files, jobs and servers, whose clock is the real one
_REAL = ("qcsc_loop", "qcsc_hpc", "prefect", "qiskit_ibm_runtime", "ibm_cloud_sdk_core", "jwt")
_SECONDS = EARLIER.total_seconds()
_NANOSECONDS = int(_SECONDS) * 10**9


def set_the_clock_back() -> None:
    """Has Python's `time` and `datetime` tell an earlier time; not so numpy, C, and other programs."""
    told = {
        "time": _earlier(time.time, _SECONDS),
        "time_ns": _earlier(time.time_ns, _NANOSECONDS),
        "clock_gettime": _earlier_of_clock(time.clock_gettime, _SECONDS),
        "clock_gettime_ns": _earlier_of_clock(time.clock_gettime_ns, _NANOSECONDS),
        "localtime": _at(time.localtime),
        "gmtime": _at(time.gmtime),
        "ctime": _at(time.ctime),
        "asctime": _of_parts(time.asctime, 0),
        "strftime": _of_parts(time.strftime, 1),
    }
    known = {id(getattr(time, name)): answer for name, answer in told.items()}
    for module in list(sys.modules.values()):
        _replace(getattr(module, "__dict__", {}), known)
    _set_datetime_back()


def _replace(names: dict[str, Any], known: dict[int, Any]) -> None:
    """In a module: `from time import time` has taken the function itself."""
    if str(names.get("__name__")).partition(".")[0] in _REAL:
        return
    for name, value in list(names.items()):
        if id(value) in known:
            names[name] = known[id(value)]


def _is_real(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).partition(".")[0] in _REAL


def _earlier(now: Callable[[], Any], by: float) -> Callable[[], Any]:
    return lambda: now() if _is_real(sys._getframe(1)) else now() - by


def _earlier_of_clock(now: Callable[[int], Any], by: float) -> Callable[[int], Any]:
    def told(clock: int) -> Any:
        return now(clock) - (by if clock == time.CLOCK_REALTIME else 0)

    return told


def _at(words: Callable[[float], Any]) -> Callable[..., Any]:
    now = time.time
    return lambda seconds=None: words(now() - _SECONDS if seconds is None else seconds)


def _of_parts(words: Callable[..., Any], given: int) -> Callable[..., Any]:
    """Of a function that takes the time as its last argument, or else the present one."""

    def told(*arguments: Any) -> Any:
        return words(*arguments) if len(arguments) > given else words(*arguments, time.localtime())

    return told


def _set_datetime_back() -> None:
    # a class of C, whose attributes nobody can set: in its own dictionary, for all who hold the class
    names: Any = gc.get_referents(vars(datetime))[0]
    real = datetime.now

    def now(cls: type[datetime], tz: tzinfo | None = None) -> datetime:
        if _is_real(sys._getframe(1)):
            return cls.fromtimestamp(real(UTC).timestamp(), tz)
        return cls.fromtimestamp(real(UTC).timestamp() - _SECONDS, tz)

    def utcnow(cls: type[datetime]) -> datetime:
        return cls.fromtimestamp(real(UTC).timestamp() - _SECONDS, UTC).replace(tzinfo=None)

    names["now"], names["utcnow"] = classmethod(now), classmethod(utcnow)
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(datetime))
