"""Prefect's folder, before Prefect is imported: it warns where it can keep nothing."""

from __future__ import annotations

import os
from pathlib import Path

from qcsc_loop.errors import PrefectHomeNotWritable


def require_home() -> None:
    """Makes sure that Prefect's folder can be written, which a temporary server's database is in.

    Raises:
        PrefectHomeNotWritable: it cannot.
    """
    if os.environ.get("PREFECT_API_URL"):  # the server that it names has its own
        return
    home = Path(os.environ.get("PREFECT_HOME") or "~/.prefect").expanduser()
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PrefectHomeNotWritable(str(home), error.strerror or str(error)) from error
    if not os.access(home, os.W_OK):
        raise PrefectHomeNotWritable(str(home), "it is not yours to write to")
