"""What Prefect's own database on this disk knows, read without a server.

A wrong name is refused at once. It is read only; whoever cannot read it, or has a database of another
kind, asks a server.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL, PREFECT_API_URL

from qcsc_loop.prefect import own_server

_RUN = "SELECT 1 FROM artifact WHERE key IN (?, ?) LIMIT 1"
_BLOCKS = (
    "SELECT block_type.slug || '/' || block_document.name FROM block_document JOIN block_type "
    "ON block_type.id = block_document.block_type_id WHERE NOT block_document.is_anonymous"
)


def api_is_configured() -> bool:
    """Whether there is an API to be asked, so that no temporary server has to be started."""
    own = own_server.look(own_server.server_folder())
    return bool(PREFECT_API_URL.value()) or own.state is not own_server.State.NONE


def may_know_run(run_id: str) -> bool:
    """Whether a server on this database could know a run of that id."""
    found = _rows(_RUN, (run_id, f"{run_id}-run"))
    return found is None or bool(found)


def saved_blocks() -> list[str] | None:
    """The names of saved blocks, `block-type/name`; None: only a server can say."""
    found = _rows(_BLOCKS, ())
    return None if found is None else sorted(str(row[0]) for row in found)


def _rows(query: str, values: tuple[str, ...]) -> list[tuple[object, ...]] | None:
    """None: it cannot be read here."""
    file = _file()
    if file is None:
        return None
    if not file.exists():
        return []
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=1)) as database:
            return list(database.execute(query, values))
    except sqlite3.Error:
        return None


def _file() -> Path | None:
    url = PREFECT_API_DATABASE_CONNECTION_URL.value()
    kind, _, path = str(
        url.get_secret_value() if hasattr(url, "get_secret_value") else url
    ).partition(":///")
    if not kind.startswith("sqlite") or not path.startswith("/"):
        return None
    return Path(path.partition("?")[0])
