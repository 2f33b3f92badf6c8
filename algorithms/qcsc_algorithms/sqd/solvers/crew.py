"""Who does the work on an array's rows: one process, or ranks that have rows of their own each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np

from qcsc_algorithms.sqd.solvers.string_tables import Floats

if TYPE_CHECKING:
    from mpi4py import MPI


class Crew(ABC):
    """Processes that hold rows of arrays, and gather them."""

    @abstractmethod
    def for_halves(self) -> Crew:
        """The same for work that is the more, the later a row comes."""

    @abstractmethod
    def own(self, rows: int) -> tuple[int, int]:
        """From which row to which this process has them, of so many."""

    @abstractmethod
    def add_up(self, number: int) -> int:
        """All processes' numbers together."""

    @abstractmethod
    def make_whole(self, array: Floats) -> None:
        """Fills an array, of which each process has written its own rows, in all of them."""

    def gather(self, part: Floats, rows: int) -> Floats:
        """The whole array of which this process has a part; in one process that itself."""
        first, last = self.own(rows)
        if (first, last) == (0, rows):
            return part
        whole = np.empty((rows, *part.shape[1:]))
        whole[first:last] = part
        self.make_whole(whole)
        return whole


class Alone(Crew):
    """One process."""

    def for_halves(self) -> Crew:
        return self

    def own(self, rows: int) -> tuple[int, int]:
        return 0, rows

    def add_up(self, number: int) -> int:
        return number

    def make_whole(self, array: Floats) -> None:
        del array


class Ranks(Crew):
    """The ranks of a communicator; results are the same bits for any number of them."""

    def __init__(self, comm: MPI.Intracomm, *, halves: bool = False) -> None:
        self._comm, self._halves = comm, halves

    def for_halves(self) -> Crew:
        return Ranks(self._comm, halves=True)

    def own(self, rows: int) -> tuple[int, int]:
        bounds = self._bounds(rows)
        return bounds[self._comm.rank], bounds[self._comm.rank + 1]

    def add_up(self, number: int) -> int:
        return int(self._comm.allreduce(number))

    def make_whole(self, array: Floats) -> None:
        bounds = self._bounds(len(array))
        for rank in range(self._comm.size):  # one by one: MPI counts to 2^31 only
            part = array[bounds[rank] : bounds[rank + 1]]
            for start in range(0, len(part), self._rows_at_a_time(part)):
                self._comm.Bcast(part[start : start + self._rows_at_a_time(part)], rank)

    def _bounds(self, rows: int) -> list[int]:
        share = np.linspace(0, 1, self._comm.size + 1)
        if self._halves:
            share = np.sqrt(share)  # of a triangle's area
        bounds: list[int] = (rows * share).astype(int).tolist()
        return bounds

    @staticmethod
    def _rows_at_a_time(part: Floats) -> int:
        return max(1, 2**27 // max(1, part[:1].size))
