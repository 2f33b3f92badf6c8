"""How far it is from the run's call to a hook: whoever reads a traceback reads each frame."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType

import anyio

import qcsc_loop
from qcsc_loop import IterativeAlgorithm, MaxIterations, MemoryStore, State

PACKAGE = str(Path(qcsc_loop.__file__).parent)
MOST = 6


class Depths(State):
    """Frames of ours below each hook, by its name."""

    found: dict[str, int] = {}


def own_frames() -> int:
    """Frames of the package on the way to whoever calls this."""
    frame: FrameType | None = sys._getframe(1)
    found = 0
    while frame is not None:
        found += frame.f_code.co_filename.startswith(PACKAGE)
        frame = frame.f_back
    return found


class Measuring(IterativeAlgorithm[Depths, dict[str, int], dict[str, int]]):
    """Looks at the stack in every hook."""

    async def initialize(self) -> Depths:
        return Depths(found={"initialize": own_frames()})

    async def sample(self, state: Depths) -> dict[str, int]:
        return {**state.found, "sample": own_frames()}

    async def evaluate(self, state: Depths, samples: dict[str, int]) -> dict[str, int]:
        return {**samples, "evaluate": own_frames()}

    async def update(self, state: Depths, evaluation: dict[str, int]) -> Depths:
        return Depths(found={**evaluation, "update": own_frames()})


def test_from_the_runs_call_to_a_hook_there_are_at_most_six_frames_of_ours() -> None:
    run = Measuring().run
    outcome = anyio.run(lambda: run(store=MemoryStore(), stop=MaxIterations(1)))
    depths = outcome.state.found
    assert set(depths) == {"initialize", "sample", "evaluate", "update"}
    assert {hook: frames for hook, frames in depths.items() if frames > MOST} == {}
