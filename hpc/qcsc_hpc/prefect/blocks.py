"""Machines as Prefect blocks: WHAT, HOW, WHERE, and the three together under one name."""

from __future__ import annotations

from typing import ClassVar, TypeVar

from prefect.blocks.core import Block
from pydantic import BaseModel, Field

from qcsc_hpc.machine import HPCMachine, LocalMachine
from qcsc_hpc.prefect.peer_blocks import peer_settings
from qcsc_hpc.prefect.slurm_job import PyFunctionJob, SlurmJobBlock
from qcsc_hpc.profiles import (
    Command,
    CommandFields,
    ExecutionProfile,
    ExecutionProfileFields,
    HPCProfile,
    HPCProfileFields,
)
from qcsc_hpc.qrmi.sampler import QRMISampler
from qcsc_hpc.warm.settings import Placement, Warm
from qcsc_loop.errors import BlockNotFound
from qcsc_loop.prefect.load_blocks import load_block

S = TypeVar("S", bound=BaseModel)
B = TypeVar("B", bound=Block)

# the module that Prefect imports to know our blocks
TUTORIALS = (SlurmJobBlock, PyFunctionJob)


class LocalMachineBlock(Block):
    """MPI on the driver's own machine. Refer to it as "local-machine/NAME"."""

    _block_type_name: ClassVar[str | None] = "Local Machine"
    _block_type_slug: ClassVar[str | None] = "local-machine"

    settings: LocalMachine = LocalMachine()


class CommandBlock(CommandFields, Block):
    """WHAT runs: a command with its default arguments."""

    _block_type_name: ClassVar[str | None] = "Command"
    _block_type_slug: ClassVar[str | None] = "command"

    def to_settings(self) -> Command:
        """The same without Prefect."""
        return _settings(Command, self)


class ExecutionProfileBlock(ExecutionProfileFields, Block):
    """HOW it runs: nodes, ranks, threads, walltime, launcher, modules, environment."""

    _block_type_name: ClassVar[str | None] = "Execution Profile"
    _block_type_slug: ClassVar[str | None] = "execution-profile"

    def to_settings(self) -> ExecutionProfile:
        """The same without Prefect."""
        return _settings(ExecutionProfile, self)


class HPCProfileBlock(HPCProfileFields, Block):
    """WHERE it runs: scheduler, queue, project, executables, QPU, and a site's own ways."""

    _block_type_name: ClassVar[str | None] = "HPC Profile"
    _block_type_slug: ClassVar[str | None] = "hpc-profile"
    _from_a_form: ClassVar[bool] = True

    def to_settings(self) -> HPCProfile:
        """The same without Prefect."""
        return _settings(HPCProfile, self)


class HPCMachineBlock(Block):
    """A machine under one name: a command, an execution profile and an HPC profile, by theirs."""

    _block_type_name: ClassVar[str | None] = "HPC Machine"
    _block_type_slug: ClassVar[str | None] = "hpc-machine"

    hpc_profile_block_name: str = Field(min_length=1, title="HPC profile")
    execution_profile_block_name: str = Field(min_length=1, title="Execution profile")
    command_block_name: str = Field(
        default="", title="Command", description="in place of the algorithm's own program"
    )
    placement: Placement = Field(
        default="job", description="a job for each call, or a warm one that serves a run's calls"
    )
    warm: Warm = Field(default=Warm(), title="How a warm job lives")

    async def load_settings(self) -> HPCMachine:
        """The machine, from the blocks that it names."""
        command = self.command_block_name
        return HPCMachine(
            hpc_profile=(await hpc_profile(self.hpc_profile_block_name)).to_settings(),
            execution_profile=(
                await execution_profile(self.execution_profile_block_name)
            ).to_settings(),
            command=(await command_block(command)).to_settings() if command else None,
            placement=self.placement,
            warm=self.warm,
        )


class QRMISamplerBlock(Block):
    """A QPU that a batch system hands out. Refer to it as "qrmi-sampler/NAME"."""

    _block_type_name: ClassVar[str | None] = "QRMI Sampler"
    _block_type_slug: ClassVar[str | None] = "qrmi-sampler"

    settings: QRMISampler


async def command_block(name: str) -> CommandBlock:
    """The saved command of that name, or qcsc-prefect's. Raises BlockNotFound."""
    return await _ours_or_the_peers(CommandBlock, name)


async def execution_profile(name: str) -> ExecutionProfileBlock:
    """The saved execution profile of that name, or qcsc-prefect's. Raises BlockNotFound."""
    return await _ours_or_the_peers(ExecutionProfileBlock, name)


async def hpc_profile(name: str) -> HPCProfileBlock:
    """The saved HPC profile of that name, or qcsc-prefect's. Raises BlockNotFound."""
    return await _ours_or_the_peers(HPCProfileBlock, name)


async def _ours_or_the_peers(kind: type[B], name: str) -> B:
    try:
        return await load_block(kind, name)
    except BlockNotFound:
        theirs = None if "/" in name else await peer_settings(kind.get_block_type_slug(), name)
        if theirs is None:
            raise
        return kind.model_validate(theirs.model_dump(exclude_defaults=True))


def _settings(kind: type[S], block: Block) -> S:
    return kind.model_validate(block.model_dump(include=set(kind.model_fields)))
