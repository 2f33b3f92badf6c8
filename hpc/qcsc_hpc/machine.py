"""Where classical work goes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from qcsc_loop.resource import Resource


class Machine(Resource, ABC):
    """Settings of a place where MPI programs run."""

    @abstractmethod
    async def run(self, module: str, arguments: Sequence[str], *, ranks: int, folder: Path) -> None:
        """Runs a Python module as an MPI program, to its end.

        Args:
            module: importable on the machine; run as `python -m module arguments…` on each rank.
            ranks: how many; the program is told and checks it.
            folder: where its output is kept, as `module.log`.

        Raises:
            ProgramFailed: it could not be started, or did not end with exit code 0.
        """
