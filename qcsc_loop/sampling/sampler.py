"""Where samples come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from qcsc_loop.parameters.resource import Resource
from qcsc_loop.sampling.samples import Samples

if TYPE_CHECKING:
    from qiskit import QuantumCircuit


class Sampler(Resource, ABC):
    """Settings of a quantum source."""

    @abstractmethod
    async def sample(self, circuit: QuantumCircuit, *, shots: int) -> Samples:
        """Runs a measured circuit, compiled for this source as far as it needs that.

        Draws on the current step's `rng` and `seed` for everything random, never blocks the event
        loop, and counts its shots: `current_step().spend(shots=shots)`.

        Raises:
            SamplingFailed: the source gave no samples.
        """
