"""An algorithm that says through how many frames of ours its `sample` is called."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import FrameType

from qcsc_loop import IterativeAlgorithm, State, current_step

PACKAGES = ("qcsc_loop", "qcsc_hpc", "qcsc_algorithms")


class Depth(State):
    names: tuple[str, ...] = ()

    def scalars(self) -> dict[str, float]:
        return {"frames": len(self.names)}


class Deep(IterativeAlgorithm[Depth, tuple[str, ...], tuple[str, ...]]):
    """Its state is who called `sample`, the nearest first."""

    async def initialize(self) -> Depth:
        return Depth()

    async def sample(self, state: Depth) -> tuple[str, ...]:
        names = tuple(_ours(sys._getframe(1)))
        for name in names:
            current_step().logger.info(name)
        return names

    async def evaluate(self, state: Depth, samples: tuple[str, ...]) -> tuple[str, ...]:
        return samples

    async def update(self, state: Depth, evaluation: tuple[str, ...]) -> Depth:
        return Depth(names=evaluation)


def _ours(frame: FrameType | None) -> Iterator[str]:
    """Those that await the hook, and below the event loop those that called it."""
    folders = [str(Path(str(spec.origin)).parent) for p in PACKAGES if (spec := find_spec(p))]
    while frame is not None:
        code = frame.f_code
        if code.co_filename.startswith(tuple(f"{folder}/" for folder in folders)):
            yield f"{Path(code.co_filename).name}:{code.co_name}"
        frame = frame.f_back
