"""The key by which its submitter knows a job."""

from __future__ import annotations

import re

NAME = "QCSC_JOB_KEY"


def key_in(script: str) -> str:
    """The value that a script gives to the variable; empty if it does not."""
    found = re.search(rf"{NAME}=['\"]?([^\s'\",]+)", script)
    return found.group(1) if found else ""
