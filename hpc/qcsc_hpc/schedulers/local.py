"""No scheduler: what a script looks like that runs on the driver's own machine."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from typing import ClassVar

from qcsc_hpc.schedulers.scheduler import Dialect, Placement
from qcsc_loop.concurrency import child

_NO_QUEUE = "there is no queue on this machine; leave it out, or take a scheduler"
_NO_SHARE = "nothing divides this machine between jobs; leave it out, or take a scheduler"


class Local(Dialect):
    """This machine: no head, and the driver's own environment."""

    name: ClassVar[str] = "local"
    title: ClassVar[str] = "this machine"
    prefix: ClassVar[str] = "#"
    own_id: ClassVar[str] = "$$"
    shebang: ClassVar[str] = "#!/bin/bash"
    writes_output: ClassVar[bool] = True
    honoured: ClassVar[frozenset[str]] = frozenset({"walltime"})  # the driver ends it
    refused: ClassVar[Mapping[str, str]] = {
        "queue_cpu": _NO_QUEUE,
        "queue_gpu": _NO_QUEUE,
        "project_cpu": _NO_QUEUE,
        "project_gpu": _NO_QUEUE,
        "project_directive": _NO_QUEUE,
        "qpu": "no QPU belongs to this machine; take a scheduler that has one",
        "qos_cpu": _NO_QUEUE,
        "qos_gpu": _NO_QUEUE,
        "licenses": _NO_QUEUE,
        "resources": _NO_SHARE,
        "resources_cpu": _NO_SHARE,
        "resources_gpu": _NO_SHARE,
        "reservation": _NO_QUEUE,
        "constraint": _NO_QUEUE,
        "constraint_cpu": _NO_QUEUE,
        "constraint_gpu": _NO_QUEUE,
        "export": "a job on this machine gets the driver's environment; leave it out",
        "gpus_per_rank": _NO_SHARE,
        "gpu_bind": "nothing binds GPUs to ranks on this machine; let rank_commands choose",
        "warning_seconds": "the driver ends a job on this machine; leave it out, or take Slurm",
        "mail_to": _NO_QUEUE,
        "mail_on": _NO_QUEUE,
        "extra_directives": "this machine reads no directives",
        "gfscache": "this machine has no LLIO cache; leave it out",
        "mpi_options_for_pjm": "give the launcher's options as mpi_options",
        "num_nodes": "this machine is one node; give the ranks as mpiprocs",
        "memory": _NO_SHARE,
        "gpus_per_node": _NO_SHARE,
        "exclusive": _NO_SHARE,
        "queue_timeout": _NO_QUEUE,
        "array": _NO_QUEUE,
    }

    @property
    def before_launcher(self) -> str:
        """The kernel kills the script when its driver dies, and by this the ranks with the script."""
        words = [sys.executable, "-I", "-S", child.__file__]
        return f"{shlex.join(words)} $$ "

    def directives(self, job: Placement) -> list[str]:
        return []
