"""A point of the matrix: a fault at a write boundary of a run, somewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Stack = Literal["service", "local", "slurm", "pbs", "miyabi", "pjm", "ibm"]
Store = Literal["directory", "artifacts"]
Placement = Literal["job", "warm", "chain"]

STACKS: tuple[Stack, ...] = get_args(Stack)
STORES: tuple[Store, ...] = get_args(Store)
PLACEMENTS: tuple[Placement, ...] = get_args(Placement)


@dataclass(frozen=True)
class Ground:
    """Where a run is driven.

    Attributes:
        stack: what does its jobs.
        store: its disk alone, or in a flow, whose artifacts a server has as well.
        placement: a job for each call; a warm job for many; or a job, and each driver goes one
            iteration far, as the flow runs of a chain do.
    """

    stack: Stack
    store: Store
    placement: Placement

    def __str__(self) -> str:
        return f"{self.stack}/{self.store}/{self.placement}"


@dataclass(frozen=True)
class Point:
    """What is tried.

    Attributes:
        fault: its name.
        boundary: where it strikes, by its name.
    """

    ground: Ground
    fault: str
    boundary: str

    def __str__(self) -> str:
        return f"{self.ground}/{self.fault}/{self.boundary}"

    @classmethod
    def read(cls, text: str) -> Point:
        """From its name."""
        stack, store, placement, fault, boundary = text.split("/", 4)
        if stack not in STACKS or store not in STORES or placement not in PLACEMENTS:
            raise ValueError(
                f"no point is called {text!r}: it begins with {'|'.join(STACKS)}/"
                f"{'|'.join(STORES)}/{'|'.join(PLACEMENTS)}"
            )
        return cls(Ground(stack, store, placement), fault, boundary)

    @property
    def what(self) -> str:
        """What is being written there: `1/checkpoint`."""
        return self.boundary.partition("#")[0].rpartition("/")[0]

    @property
    def stage(self) -> str:
        """How far that is: `named`."""
        return self.boundary.partition("#")[0].rpartition("/")[2]

    @property
    def iteration(self) -> int | None:
        """Of what is written; None for what belongs to the run, or to a driver."""
        first = self.boundary.partition("/")[0]
        return int(first) if first.isdigit() else None
