"""A real Slurm for one benchmark, gone when it ends."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from cluster import packages
from cluster.slurm import SlurmCluster


@contextmanager
def own_slurm() -> Iterator[Path | None]:
    """A folder for the benchmark's files while a Slurm runs; this process's commands reach it.

    None where there cannot be one, which is said.
    """
    why = "it needs root" if os.geteuid() else next(iter(packages.missing()), "")
    if why:
        print(f"SKIPPED, no Slurm: {why}; see tests/cluster/README.md", file=sys.stderr)
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="qcsc-bench-", ignore_cleanup_errors=True) as name:
        cluster = SlurmCluster(Path(name, "slurm"))
        cluster.start()
        try:
            os.environ.update(cluster.environment)
            # a login's own profile is nobody's doing here, and takes longer than what is measured
            home = Path(name, "home")
            home.mkdir()
            os.environ["HOME"] = str(home)
            yield Path(name)
        finally:
            cluster.stop()
