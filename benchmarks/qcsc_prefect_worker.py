"""Counts with qcsc-prefect, as its BitCount demo does; runs in the peer's own environment.

`python qcsc_prefect_worker.py PYTHON PROGRAM NODES BITS`: says "ready", and then, for each line
"POLL_SECONDS FOLDER" on standard input, has FOLDER/shots.npy counted and says the exit status.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from prefect import flow, task

# they are in the peer's environment, not in ours
from qcsc_prefect_blocks.common.blocks import (  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]
    CommandBlock,
    ExecutionProfileBlock,
    HPCProfileBlock,
)
from qcsc_prefect_executor.from_blocks import (  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]
    run_job_from_blocks,
)

NAME = "bitcount"


@flow(name="bitcount")
async def serve(python: str, program: str, nodes: int, bits: str) -> None:
    """One flow run for all iterations, as in a loop."""
    await _save_blocks(python, program, nodes, bits)
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        poll, _, folder = line.rstrip("\n").partition(" ")
        print(await count(folder, float(poll)), flush=True)


@task(name="get_counts_mpi")
async def count(folder: str, poll_seconds: float) -> int:
    """The exit status of one job."""
    result = await run_job_from_blocks(
        command_block_name=NAME,
        execution_profile_block_name=NAME,
        hpc_profile_block_name=NAME,
        work_dir=Path(folder),
        script_filename="bitcount",
        user_args=["shots.npy", "counts.npz"],
        watch_poll_interval=poll_seconds,
        timeout_seconds=1800,
    )
    return int(result.exit_status)


async def _save_blocks(python: str, program: str, nodes: int, bits: str) -> None:
    blocks = (
        CommandBlock(
            command_name=NAME,
            executable_key="python",
            default_args=["-m", "mpi4py", "-m", program, bits],
        ),
        ExecutionProfileBlock(
            profile_name=NAME,
            command_name=NAME,
            num_nodes=nodes,
            launcher="srun",
            mpi_options=["--mpi=pmi2"],
            # its `ompthreads` asks Slurm for cores, but does not tell the program
            environments={"OMP_NUM_THREADS": "1"},
        ),
        HPCProfileBlock(hpc_target="slurm", queue_cpu="normal", executable_map={"python": python}),
    )
    for block in blocks:
        await block.save(NAME, overwrite=True)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]))
