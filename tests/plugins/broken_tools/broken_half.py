"""Defines a kind of sampler, and fails after that."""

from typing import Literal

from qcsc_loop import Sampler


class HalfSampler(Sampler):
    type: Literal["broken-half"] = "broken-half"

    async def sample(self, circuit: object, *, shots: int) -> object:  # type: ignore[override]
        raise NotImplementedError


raise ImportError("no libfridge.so")
