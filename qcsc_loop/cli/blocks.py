"""`blocks apply`: saved blocks as a file says they should be."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import anyio

from qcsc_loop.cli.quiet_prefect import quiet_prefect
from qcsc_loop.cli.read_toml import read_toml
from qcsc_loop.printing import say, say_json


@dataclass(frozen=True)
class Applied:
    """What becomes of one block.

    Attributes:
        fields: those that change.
    """

    block: str
    action: Literal["create", "update", "keep"]
    fields: tuple[str, ...]


def apply_blocks(*, file: Path, dry_run: bool, as_json: bool) -> None:
    """Applies the file, and says what it did to each block."""
    wanted = read_toml(file)
    quiet_prefect()
    from qcsc_loop.prefect.block_files import apply_blocks

    changes = anyio.run(lambda: apply_blocks(wanted, str(file), dry_run=dry_run))
    if as_json:
        say_json([asdict(Applied(c.block, c.action, c.fields)) for c in changes])
        return
    for change in changes:
        fields = f": {', '.join(change.fields)}" if change.fields else ""
        if not change.compared:
            fields = ", or keep it: what is saved cannot be read without a server"
        would = "would " if dry_run and change.action != "keep" else ""
        say(f"{would}{change.action:<7}{change.block}{fields}")
