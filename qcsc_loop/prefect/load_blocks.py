"""Saved blocks by name: the settings and the secrets that they hold."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.plugins import load_prefect_collections
from pydantic import SecretStr

from qcsc_loop.errors import BlockNotFound
from qcsc_loop.parameters.resource import Resource
from qcsc_loop.prefect.local_database import answers_here, read_block, saved_blocks
from qcsc_loop.prefect.server import prefect_api

B = TypeVar("B", bound=Block)


async def load_settings(name: str) -> Resource:
    """The settings in the saved block `block-type/name`.

    Raises:
        BlockNotFound: there is none, or it holds no settings; names those that exist.
    """
    refuse_unknown(name)
    load_prefect_collections()  # the class must be imported before its documents load
    with _blocks_kept():
        block = await load_block(Block, name)
        load = getattr(block, "load_settings", None)  # a block that names others
        settings = getattr(block, "settings", None) if load is None else await load()
        if not isinstance(settings, Resource):
            raise BlockNotFound(name, f"a {type(block).__name__} holds no settings", await _saved())
        return settings


def refuse_unknown(name: str) -> None:
    """Starts no server for a block that it could not have.

    Raises:
        BlockNotFound: there is none of that name; names those that exist.
    """
    if answers_here() and name not in (saved := saved_blocks() or []):
        raise BlockNotFound(name, "no block of that name is saved", saved)


async def load_secret(name: str) -> str:
    """The secret in a saved block of credentials; for where it is used, and nowhere else."""
    load_prefect_collections()
    with _blocks_kept():
        block = await load_block(Block, name)
        key = getattr(block, "api_key", None)
        if not isinstance(key, SecretStr):
            raise BlockNotFound(name, f"a {type(block).__name__} holds no key", await _saved())
        return key.get_secret_value()


async def load_block(kind: type[B], name: str) -> B:
    """The saved block of that name: `block-type/name`, or the name alone for a concrete kind.

    Raises:
        BlockNotFound: there is none; names those that exist.
    """
    full = name if "/" in name or kind is Block else f"{kind.get_block_type_slug()}/{name}"
    try:
        block = await _load(full)
    except Exception as error:  # Prefect raises ValueError, RuntimeError and HTTP errors here
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BlockNotFound(full, why, await _saved()) from error
    if not isinstance(block, kind):
        why = f"it is a {type(block).__name__}, not a {kind.__name__}"
        raise BlockNotFound(full, why, await _saved())
    return block


async def _load(name: str) -> object:
    if answers_here():
        if (block := await read_block(name)) is not None:
            return block
        with prefect_api():
            return await Block.aload(name)
    return await Block.aload(name)


def _blocks_kept() -> AbstractContextManager[object]:
    """Whoever keeps them can be asked inside: the disk, or a server, which is started for it."""
    return nullcontext() if answers_here() else prefect_api()


async def _saved() -> list[str]:
    if answers_here():
        return saved_blocks() or []
    async with get_client() as client:
        documents = await client.read_block_documents(
            # the client's default of None is refused by the server
            limit=200,
            offset=0,
            include_secrets=False,
        )
    return [
        f"{document.block_type.slug}/{document.name}"
        for document in documents
        if document.block_type is not None and document.name is not None
    ]
