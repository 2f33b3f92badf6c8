"""Blocks from a file: `[block-type.name]` tables become saved blocks, and nothing else changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from prefect.blocks.core import Block
from prefect.client.orchestration import PrefectClient, get_client
from prefect.exceptions import ObjectNotFound
from prefect.plugins import load_prefect_collections
from prefect.utilities.dispatch import get_registry_for_type
from pydantic import ValidationError

from qcsc_loop.errors import InvalidParameters, did_you_mean
from qcsc_loop.parameters.resource import Resource
from qcsc_loop.prefect.local_database import answers_here, read_document, saved_blocks
from qcsc_loop.prefect.server import prefect_api


@dataclass(frozen=True)
class Change:
    """What becomes of one block.

    Attributes:
        fields: those that change.
        compared: with what is saved, which could be read.
    """

    block: str
    action: Literal["create", "update", "keep"]
    fields: tuple[str, ...] = ()
    compared: bool = True


async def apply_blocks(wanted: Mapping[str, Any], file: str, *, dry_run: bool) -> list[Change]:
    """Makes the saved blocks what the file says; with `dry_run` only says what would change.

    Raises:
        InvalidParameters: something in the file is wrong; nothing was changed.
    """
    load_prefect_collections()  # a block's class must be imported to be known
    blocks = _checked(wanted, file)
    if dry_run and answers_here():
        return [await _change_here(name, block) for name, block in blocks.items()]
    with prefect_api():
        async with get_client() as client:
            changes = [await _change(client, name, block) for name, block in blocks.items()]
            for change in changes:
                if change.action != "keep" and not dry_run:
                    name = change.block.partition("/")[2]
                    await blocks[change.block].asave(name, overwrite=True, client=client)
    return changes


def _checked(wanted: Mapping[str, Any], file: str) -> dict[str, Block]:
    """All blocks of the file, before the first is saved."""
    kinds = _kinds()
    problems: list[str] = []
    valid: list[str] = []
    blocks: dict[str, Block] = {}
    for slug, tables in wanted.items():
        if slug not in kinds or not isinstance(tables, Mapping):
            problems.append(f"[{slug}…] is no block type{did_you_mean(slug, kinds)}")
            valid += [f"[{slug}.NAME]" for slug in sorted(_ours(kinds))]
            continue
        for name, fields in tables.items():
            try:
                blocks[f"{slug}/{name}"] = _block(kinds[slug], name, fields)
            except ValueError as error:
                problems.append(f"[{slug}.{name}] {error}")
                valid += _settings_of(kinds[slug]) or kinds[slug].model_fields
    if problems:
        raise InvalidParameters(file, problems, dict.fromkeys(valid))
    return blocks


def _ours(kinds: Mapping[str, type[Block]]) -> list[str]:
    return [slug for slug, kind in kinds.items() if kind.__module__.startswith("qcsc_")]


def _kinds() -> dict[str, type[Block]]:
    known = get_registry_for_type(Block) or {}
    return {kind.get_block_type_slug(): kind for kind in known.values()}


def _block(kind: type[Block], name: str, fields: Any) -> Block:
    if not isinstance(fields, Mapping):
        raise ValueError(f"is no table; write [{kind.get_block_type_slug()}.{name}]")
    inner = _settings_of(kind)
    if inner and not set(fields) & set(
        kind.model_fields
    ):  # `method = ...` without `[....settings]`
        fields = {"settings": dict(fields)}
    # a block takes any field, and keeps what it does not know
    settings = fields.get("settings")
    own = [field for field in fields if field not in kind.model_fields]
    table = settings if isinstance(settings, Mapping) else {}
    theirs = [field for field in table if field not in inner]
    if unknown := [*own, *(theirs if inner else [])]:
        hint = did_you_mean(unknown[0], [*inner, *kind.model_fields])
        raise ValueError(f"there is no field {unknown[0]!r}{hint}")
    named = {"command_name": name, "profile_name": name}
    defaults = {field: value for field, value in named.items() if field in _required(kind)}
    try:
        return kind.model_validate({**defaults, **fields})
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in problem["loc"])
        what = problem["msg"].removeprefix("Value error, ")
        raise ValueError(f"{place}: {what}" if place else what) from error


def _settings_of(kind: type[Block]) -> list[str]:
    """The fields of the settings that a block is nothing but a name for; none: it is more."""
    field = kind.model_fields.get("settings")
    inner = None if field is None else field.annotation
    if not (isinstance(inner, type) and issubclass(inner, Resource)):
        return []
    return list(inner.model_fields)


def _required(kind: type[Block]) -> set[str]:
    return {field for field, info in kind.model_fields.items() if info.is_required()}


async def _change(client: PrefectClient, name: str, block: Block) -> Change:
    slug, _, document_name = name.partition("/")
    try:
        saved = await client.read_block_document_by_name(document_name, slug, include_secrets=True)
    except ObjectNotFound:
        return Change(name, "create")
    return _difference(name, block, saved.data)


async def _change_here(name: str, block: Block) -> Change:
    """Said without a server."""
    if name not in (saved_blocks() or ()):
        return Change(name, "create")
    saved = await read_document(name)
    if saved is None:
        return Change(name, "update", compared=False)
    return _difference(name, block, saved.data)


def _difference(name: str, block: Block, saved: Mapping[str, Any]) -> Change:
    # as the server has it: masked, every secret would differ
    fields = set(type(block).model_fields)
    now = block.model_dump(mode="json", include=fields, context={"include_secrets": True})
    differ = [field for field, value in now.items() if saved.get(field) != value]
    return Change(name, "update" if differ else "keep", tuple(differ))
