"""TensorBoard's event files, by tensorboardX: `tensorboard --logdir DIR`."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence

from qcsc_loop.errors import InputError
from qcsc_loop.plain import Json
from qcsc_loop.tracking.tracker import TrackedPoint, TrackedRun, Tracker

VARIABLE = "QCSC_LOOP_TENSORBOARD"


class TensorBoardTracker(Tracker):
    """Writes into $QCSC_LOOP_TENSORBOARD/RUN, by default STORE/.tensorboard/RUN."""

    def __init__(self, run: TrackedRun, memory: Json) -> None:
        super().__init__(run, memory)
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise InputError(
                "the tracker tensorboard needs tensorboardX: pip install 'qcsc-loop[tensorboard]'"
            ) from error
        root = os.environ.get(VARIABLE) or os.path.join(run.store, ".tensorboard")
        through = memory.get("through")
        # what a process that died has written of later iterations is purged by readers
        purge = None if through is None else int(through) + 1
        folder = os.path.join(root, run.run_id)
        self._writer = SummaryWriter(folder, purge_step=purge)
        if through is None:
            facts = {"algorithm": run.algorithm, "seed": run.seed, **run.parameters}
            self._writer.add_text("parameters", f"```\n{json.dumps(facts, indent=2)}\n```")

    def log(self, points: Sequence[TrackedPoint]) -> None:
        for point in points:
            at = point.at.timestamp()
            named = {
                **point.scalars,
                **{f"seconds/{name}": value for name, value in point.seconds.items()},
                **{f"spent/{name}": value for name, value in point.spent.items()},
            }
            for name, value in named.items():
                if not math.isnan(value):
                    self._writer.add_scalar(name, value, point.iteration, walltime=at)
        self._writer.flush()
        self.memory["through"] = points[-1].iteration

    def end(self, status: str, message: str) -> None:
        self._writer.add_text("end", f"{status}: {message}")
        self._writer.flush()
