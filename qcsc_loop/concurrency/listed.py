"""Names on a shared disk as they are now: a folder is listed, no name asked for that may be missing.

A network file system's client that has asked for a name in vain believes that there is none until the
folder's attributes expire, by default after 30 to 60 s (nfs(5), "Directory entry caching"). To list a
folder opens it, which asks the server. Only the standard library is imported here.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

BELIEVED_SECONDS = 60.0  # nfs(5), acdirmax: for so long an old look may be believed
LOOK_SECONDS = 0.1


def is_listed(path: Path) -> bool:
    """Whether there is something of this name."""
    try:
        with os.scandir(path.parent) as entries:
            return any(entry.name == path.name for entry in entries)
    except OSError:
        return False


def link_target(path: Path, seconds: float = 0.0) -> str | None:
    """Where a symbolic link leads; None if there is none.

    Args:
        seconds: for which one that is listed, and is said not to be there, is looked at again.
    """
    end = time.monotonic() + seconds
    while is_listed(path):
        try:
            return os.readlink(path)
        except OSError:
            if time.monotonic() >= end:
                return None
        time.sleep(LOOK_SECONDS)
    return None
