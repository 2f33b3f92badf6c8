"""TensorBoard's event files, by tensorboardX: `tensorboard --logdir DIR`."""

from __future__ import annotations

import json
import math
import os
import secrets
from collections.abc import Iterator, Sequence
from typing import Any

from qcsc_loop.errors import InputError
from qcsc_loop.parameters.environment import environment
from qcsc_loop.plain import Json
from qcsc_loop.tracking.tracker import TrackedPoint, TrackedRun, Tracker


class TensorBoardTracker(Tracker):
    """Writes into $QCSC_LOOP_TENSORBOARD/RUN, by default STORE/.tensorboard/RUN.

    Each call has a file of its own: tensorboardX writes behind its caller, and only what is closed is
    certain to be there.
    """

    def __init__(self, run: TrackedRun, memory: Json) -> None:
        super().__init__(run, memory)
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise InputError(
                "the tracker tensorboard needs tensorboardX: pip install 'qcsc-loop[tensorboard]'"
            ) from error
        root = environment().tensorboard or os.path.join(run.store, ".tensorboard")
        self._folder, self._kind = os.path.join(root, run.run_id), SummaryWriter

    def _open(self, purge_step: int | None = None) -> Any:  # it says no types
        # of two files of one second the later one would take the earlier one's name
        suffix = f".{secrets.token_hex(4)}"
        return self._kind(self._folder, purge_step=purge_step, filename_suffix=suffix)

    def log(self, points: Sequence[TrackedPoint]) -> None:
        through = self.memory.get("through")
        # what a process that died has written of later iterations is purged by readers
        with self._open(purge_step=None if through is None else int(through) + 1) as writer:
            if through is None:
                facts = {"algorithm": self.run.algorithm, "seed": self.run.seed}
                text = json.dumps({**facts, **self.run.parameters}, indent=2)
                writer.add_text("parameters", f"```\n{text}\n```")
            for point in points:
                at = point.at.timestamp()
                for name, value in _named(point):
                    writer.add_scalar(name, value, point.iteration, walltime=at)
        self.memory["through"] = points[-1].iteration

    def end(self, status: str, message: str) -> None:
        with self._open() as writer:
            writer.add_text("end", f"{status}: {message}")


def _named(point: TrackedPoint) -> Iterator[tuple[str, float]]:
    """All that is known of an iteration; a curve has no NaN."""
    yield from ((name, value) for name, value in point.scalars.items() if not math.isnan(value))
    yield from ((f"seconds/{name}", value) for name, value in point.seconds.items())
    yield from ((f"spent/{name}", value) for name, value in point.spent.items())
