"""What the batch systems do each in its own way."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from types import ModuleType

from qcsc_hpc.testing.executables.answer import Answer
from qcsc_hpc.testing.executables.job import Job
from qcsc_hpc.testing.executables.state import State

# typing costs more than all else that a command imports; to a type checker this is its constant
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    class System(Protocol):
        """A module `system` of a batch system."""

        def command(self, job: Job) -> list[str]:
            """What runs the job's script."""
            ...

        def directory(self, state: State, job: Job) -> str:
            """Where it runs."""
            ...

        def environment(self, state: State, job: Job) -> dict[str, str]:
            """What it finds in its environment."""
            ...

        def end_signal(self, job: Job) -> int:
            """Which signal asks a job to end."""
            ...

        def after_end(self, state: State, job: Job) -> None:
            """What is left to be done when a job has ended."""
            ...

        def never_starts(self, job: Job) -> str:
            """The reason that it gives for a job that cannot start."""
            ...

        def element_form(self, job: Job) -> str:
            """Of the ids of an array's elements, with `{number}`."""
            ...

        def unreachable(self, command: str) -> Answer:
            """How a command says that it cannot reach the server."""
            ...

        def lost(self, command: str) -> Answer:
            """How it says that the connection broke, so that nobody knows what was done."""
            ...


COMMANDS = {
    "sbatch": ("slurm", "submit"),
    "squeue": ("slurm", "status"),
    "sacct": ("slurm", "status"),
    "scancel": ("slurm", "cancel"),
    "scontrol": ("slurm", "status"),
    "qsub": ("pbs", "submit"),
    "qstat": ("pbs", "status"),
    "qselect": ("pbs", "status"),
    "qdel": ("pbs", "cancel"),
    "pjsub": ("pjm", "submit"),
    "pjstat": ("pjm", "status"),
    "pjdel": ("pjm", "cancel"),
}
PACKAGE = "qcsc_hpc.testing.executables"


def system_of(state: State) -> System:
    """The machine's batch system."""
    return system_named(state.text_setting("system"))


def system_named(name: str) -> System:
    """A batch system."""
    # Any, as no type checker sees that this module is a System
    module: Any = import_module(f"{PACKAGE}.{name}.system")
    found: System = module
    return found


def handler(command: str) -> Callable[[State, list[str]], Answer]:
    """What answers a status or cancel command."""
    found: Callable[[State, list[str]], Answer] = _module(command).answer
    return found


def reader(command: str) -> Callable[[State, list[str]], Job]:
    """What makes a job of a submit command."""
    found: Callable[[State, list[str]], Job] = _module(command).read
    return found


def acceptance(command: str) -> Callable[[Job, list[str]], str]:
    """What a submit command prints."""
    found: Callable[[Job, list[str]], str] = _module(command).acceptance
    return found


def _module(command: str) -> ModuleType:
    system, _ = COMMANDS[command]
    return import_module(f"{PACKAGE}.{system}.{command}")
