"""What Prefect's own database on this disk knows, read without a server.

A wrong name is refused at once. It is read only; whoever cannot read it, or has a database of another
kind, asks a server.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, cast

from prefect.blocks.core import Block
from prefect.context import FlowRunContext
from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL, PREFECT_API_URL

from qcsc_loop.prefect import own_server

if TYPE_CHECKING:
    from prefect.client.schemas.objects import BlockSchema
    from prefect.server.schemas.core import BlockDocument

_RUN = "SELECT 1 FROM artifact WHERE key IN (?, ?) LIMIT 1"
_BLOCKS = (
    "SELECT block_type.slug || '/' || block_document.name FROM block_document JOIN block_type "
    "ON block_type.id = block_document.block_type_id WHERE NOT block_document.is_anonymous"
)


def api_is_configured() -> bool:
    """Whether there is an API to be asked, so that no temporary server has to be started."""
    own = own_server.look(own_server.server_folder())
    return bool(PREFECT_API_URL.value()) or own.state is not own_server.State.NONE


def answers_here() -> bool:
    """Whether it is this database that a server would be started for, and it can be read."""
    elsewhere = FlowRunContext.get() is not None or api_is_configured()
    return not elsewhere and saved_blocks() is not None


async def read_block(name: str) -> Block | None:
    """The saved block `block-type/name`; None: only a server can say."""
    found = await read_document(name)
    if found is None or found.block_schema is None:
        return None
    schema = cast("BlockSchema", found.block_schema)  # the client's has the same fields
    try:
        return Block.get_block_class_from_schema(schema).model_validate(found.data)
    except (LookupError, ValueError):  # of an older schema
        return None


async def read_document(name: str) -> BlockDocument | None:
    """What is saved under the name; None: nothing, or only a server can say.

    By Prefect's own code, which knows how it is encrypted.
    """
    # late: it costs a second, and only who names a saved block needs it
    from prefect.server.database import provide_database_interface
    from prefect.server.models import block_documents
    from sqlalchemy.exc import SQLAlchemyError

    slug, _, own = name.partition("/")
    database = provide_database_interface()
    try:
        async with database.session_context() as session:
            return await block_documents.read_block_document_by_name(
                session, name=own, block_type_slug=slug, include_secrets=True
            )
    except SQLAlchemyError:  # written by another Prefect
        return None
    finally:
        await (await database.engine()).dispose()  # its thread would outlive the event loop


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
