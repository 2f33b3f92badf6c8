"""What `blocks import` does and says."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import anyio

from qcsc_hpc.prefect.peer_blocks import Became, all_of_the_peers
from qcsc_loop.errors import InvalidParameters
from qcsc_loop.prefect.block_files import apply_blocks
from qcsc_loop.printing import say, say_json


@dataclass(frozen=True)
class Imported:
    """What becomes of one block.

    Attributes:
        block: its new name; empty of one that is refused.
        fields: those that change.
        notes: what a person should know of it, a sentence each.
    """

    block: str
    action: Literal["create", "update", "keep", "refused"]
    fields: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def import_and_say(*, dry_run: bool, as_json: bool) -> None:
    """Saves what they are here, and says it of each.

    Raises:
        InvalidParameters: none of them can be had here.
    """
    anyio.run(lambda: _import(dry_run=dry_run, as_json=as_json))


async def _import(*, dry_run: bool, as_json: bool) -> None:
    found = await all_of_the_peers()
    # execution profiles serve both: there is nothing to save
    both = [one for one in found if isinstance(one, Became) and _serves_both(one)]
    good = [one for one in found if isinstance(one, Became) and one not in both]
    bad = [one for one in found if isinstance(one, InvalidParameters)]
    if bad and not (good or both):
        raise bad[0]
    changes = await apply_blocks(_tables(good), "the server's blocks", dry_run=dry_run)
    rows = [
        Imported(change.block, change.action, change.fields, tuple(one.notes))
        for one, change in zip(good, changes, strict=True)
    ]
    rows += [Imported(one.block, "keep") for one in both]
    rows += [Imported("", "refused", notes=(str(error),)) for error in bad]
    if as_json:
        say_json([asdict(row) for row in rows])
        return
    for row in rows:
        say(_line(row, dry_run=dry_run))
    if not rows:
        say("no block of qcsc-prefect is saved on this server")


def _serves_both(one: Became) -> bool:
    return one.block.startswith("execution-profile/")


def _line(row: Imported, *, dry_run: bool) -> str:
    would = "would " if dry_run and row.action in ("create", "update") else ""
    fields = f": {', '.join(row.fields)}" if row.fields else ""
    notes = "".join(f"\n  {note}" for note in row.notes)
    return f"{would}{row.action:<7}{row.block}{fields}{notes}"


def _tables(blocks: list[Became]) -> dict[str, dict[str, Any]]:
    """As a file of blocks would have them: without what is so by default, or by a preset."""
    tables: dict[str, dict[str, Any]] = {}
    for one in blocks:
        kind, _, name = one.block.partition("/")
        own = one.settings.model_dump(mode="json", exclude_defaults=True)
        tables.setdefault(kind, {})[name] = own
    return tables
