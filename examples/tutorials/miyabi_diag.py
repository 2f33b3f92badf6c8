"""The Miyabi tutorial's way: one job from three saved blocks, and its metrics as an artifact.

Blocks of the name "diag" say WHAT (a command: executable_key "diag"), HOW, and WHERE; those of
qcsc-prefect serve as they are (`qcsc-loop blocks import` makes them ours).

    qcsc-loop sites show miyabi-c      # the HPC profile and the execution profile to start from
    python examples/tutorials/miyabi_diag.py /work/gz00/me/diag

With qcsc-prefect the program imports this function from its executor package; nothing else differs.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

import anyio
import numpy as np
from prefect import flow

from qcsc_hpc import run_job_from_blocks

METRICS = "miyabi-diag-metrics"  # key of the artifact
SITES = 8


def hamiltonian() -> np.ndarray:
    """Free fermions on a ring of sites."""
    ring = np.roll(np.eye(SITES), 1, axis=0)
    return -(ring + ring.T)


@flow(name="miyabi_diag")
async def miyabi_diag(work_dir: str, name: str = "diag") -> float:
    """The lowest eigenvalue, found by a job."""
    folder = Path(work_dir)
    folder.mkdir(parents=True, exist_ok=True)
    matrix = folder / "matrix.npy"
    if not matrix.exists():  # a job of a flow run that was killed may be reading it
        np.save(matrix, hamiltonian())
    result = await run_job_from_blocks(
        command_block_name=name,
        execution_profile_block_name=name,
        hpc_profile_block_name=name,
        work_dir=folder,
        script_filename="diag.sh",
        user_args=[str(matrix), "result.json"],
        metrics_artifact_key=METRICS,
    )
    assert result.exit_status == 0
    return float(json.loads((folder / "result.json").read_text())["lowest"])


if __name__ == "__main__":
    anyio.run(partial(miyabi_diag, sys.argv[1]))
