"""Files that appear whole: for hooks that hand data to programs."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def write_whole(target: Path) -> Iterator[IO[bytes]]:
    """A file that is at `target` when the block ends, whole; until then what was there before.

    Whoever has the old one open keeps it: a job may be reading what a resumed step writes again.
    """
    temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # another node may read it at once
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
