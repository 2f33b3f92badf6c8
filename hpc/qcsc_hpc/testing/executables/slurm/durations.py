"""Times in Slurm's notation; sbatch(1), --time."""

from __future__ import annotations

import os
import re
import time

_FORMS = (
    (r"(?P<m>\d+)", "minutes"),
    (r"(?P<m>\d+):(?P<s>\d+)", "minutes:seconds"),
    (r"(?P<h>\d+):(?P<m>\d+):(?P<s>\d+)", "hours:minutes:seconds"),
    (r"(?P<d>\d+)-(?P<h>\d+)(:(?P<m>\d+)(:(?P<s>\d+))?)?", "days-hours:minutes:seconds"),
)
_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_UNITS = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400, "weeks": 604800}


def seconds_of(text: str) -> float | None:
    """A duration; None if it is not one."""
    for form, _ in _FORMS:
        if found := re.fullmatch(form, text):
            parts = found.groupdict()
            return float(sum(_SECONDS[unit] * int(parts[unit] or 0) for unit in parts))
    return None


def shown(seconds: float) -> str:
    """A duration as squeue and sacct show it."""
    days, rest = divmod(int(seconds), 86400)
    clock = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days}-{clock}" if days else clock


def moment(when: float | None, otherwise: str) -> str:
    """A point in time, in the form that SLURM_TIME_FORMAT asks for."""
    if when is None:
        return otherwise
    form = os.environ.get("SLURM_TIME_FORMAT", "standard")
    form = "%Y-%m-%dT%H:%M:%S" if form in ("standard", "") else form
    return time.strftime(form, time.localtime(when))


def point(text: str, now: float) -> float | None:
    """A point in time as sacct takes it: `now-2hours`, `2026-11-21T00:48`; None if it is not one."""
    if found := re.fullmatch(r"now(-(\d+)(\w*))?", text):
        unit = next((unit for unit in _UNITS if found[3] and unit.startswith(found[3])), "seconds")
        return now - int(found[2] or 0) * _UNITS[unit]
    for form in ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d"):
        try:
            return time.mktime(time.strptime(text, form))
        except ValueError:
            continue
    return None
