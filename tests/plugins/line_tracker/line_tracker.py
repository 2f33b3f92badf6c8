"""A tracker that writes a line for each iteration into a file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from qcsc_loop import TrackedPoint, Tracker


class LineTracker(Tracker):
    """Adds to the file that $LINE_TRACKER names."""

    def log(self, points: Sequence[TrackedPoint]) -> None:
        self._add(*(f"{self.run.run_id} {point.iteration}" for point in points))

    def end(self, status: str, message: str) -> None:
        self._add(f"{self.run.run_id} {status}")

    def _add(self, *lines: str) -> None:
        with Path(os.environ["LINE_TRACKER"]).open("a") as file:
            file.writelines(f"{line}\n" for line in lines)
