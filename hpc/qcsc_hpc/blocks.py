"""Machines as Prefect blocks."""

from __future__ import annotations

from typing import ClassVar

from prefect.blocks.core import Block

from qcsc_hpc.machine import LocalMachine


class LocalMachineBlock(Block):
    """MPI on the driver's own machine. Refer to it as "local-machine/NAME"."""

    _block_type_name: ClassVar[str | None] = "Local Machine"
    _block_type_slug: ClassVar[str | None] = "local-machine"

    settings: LocalMachine = LocalMachine()
