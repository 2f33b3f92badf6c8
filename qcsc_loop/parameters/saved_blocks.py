"""Names of saved blocks become the settings they stand for, once, when a run starts.

Who keeps them is a plug-in: Prefect's blocks are one, under the entry point `qcsc_loop.saved_blocks`.
"""

from __future__ import annotations

from typing import Protocol, TypeVar, cast

from pydantic import BaseModel

from qcsc_loop.errors import BlockNotFound
from qcsc_loop.parameters.resource import Resource, takes_resource
from qcsc_loop.plugins import load_all

A = TypeVar("A", bound=BaseModel)

GROUP = "qcsc_loop.saved_blocks"


class SavedBlocks(Protocol):
    """Whoever keeps settings and secrets under names."""

    async def load_settings(self, name: str) -> Resource:
        """The settings in the saved block `block-type/name`.

        Raises:
            BlockNotFound: there is none, or it holds no settings; names those that exist.
        """
        ...

    async def load_secret(self, name: str) -> str:
        """The secret in a saved block of credentials; for where it is used, and nowhere else.

        Raises:
            BlockNotFound: there is none, or it holds no secret.
        """
        ...


async def resolve_blocks(algorithm: A) -> A:
    """The algorithm with every block's name replaced by the settings it stands for.

    Raises:
        BlockNotFound: no saved block has that name, or it holds something else.
    """
    if not (names := named_blocks(algorithm)):
        return algorithm
    loaded = {field: await load_settings(name) for field, name in names.items()}
    return type(algorithm).model_validate(dict(algorithm) | loaded)


def named_blocks(algorithm: BaseModel) -> dict[str, str]:
    """The fields that name a saved block where they could hold settings."""
    return {
        field: value
        for field, value in algorithm
        if isinstance(value, str) and takes_resource(type(algorithm).model_fields[field].annotation)
    }


async def load_settings(name: str) -> Resource:
    """As `SavedBlocks.load_settings`, of whoever keeps blocks here."""
    return await _keeper(name).load_settings(name)


async def load_secret(name: str) -> str:
    """As `SavedBlocks.load_secret`, of whoever keeps blocks here."""
    return await _keeper(name).load_secret(name)


def _keeper(name: str) -> SavedBlocks:
    # late: only runs that name a block need it, and importing Prefect takes seconds
    found = load_all(GROUP)
    for _, keeper in found.objects:
        return cast("SavedBlocks", keeper)
    why = "; ".join(map(str, found.failures)) or f"nothing that is installed keeps blocks ({GROUP})"
    raise BlockNotFound(name, why, [])
