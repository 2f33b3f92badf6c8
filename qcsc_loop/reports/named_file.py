"""Files that a person has named."""

from __future__ import annotations

from pathlib import Path

from qcsc_loop.concurrency.whole_file import Sync, write_where_named
from qcsc_loop.errors import FileNotWritten


def write_named(target: Path, content: bytes, *, option: str = "", sync: Sync = "content") -> None:
    """Writes it, whole where that is a file.

    Args:
        option: by which it was named on the command line.

    Raises:
        FileNotWritten: it cannot be written there.
    """
    try:
        with write_where_named(target, sync=sync) as file:
            file.write(content)
    except OSError as error:
        raise FileNotWritten(str(target), error.strerror or str(error), option) from error
