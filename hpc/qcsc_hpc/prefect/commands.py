"""`blocks import`: blocks that qcsc-prefect has saved, as they are here."""

from __future__ import annotations

import click


@click.command("import")
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def import_blocks(*, dry_run: bool, as_json: bool) -> None:
    """Save what qcsc-prefect's blocks are here."""
    from qcsc_hpc.prefect.importing import import_and_say

    import_and_say(dry_run=dry_run, as_json=as_json)
