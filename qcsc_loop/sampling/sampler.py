"""Where samples come from."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, final

from anyio import to_thread
from pydantic import model_validator

from qcsc_loop.parameters.resource import Resource
from qcsc_loop.sampling.batch import Batch
from qcsc_loop.sampling.packing import require_shots
from qcsc_loop.sampling.sample_array import SampleArray, stacked
from qcsc_loop.sampling.samples import Samples
from qcsc_loop.steps.parts import run_parts

if TYPE_CHECKING:
    import numpy.typing as npt
    from qiskit import QuantumCircuit

AT_ONCE = 8  # circuits of a source that takes them one by one


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

    @final
    async def sample_all(
        self,
        circuits: QuantumCircuit | Sequence[QuantumCircuit],
        parameters: npt.ArrayLike | None = None,
        *,
        shots: int,
    ) -> SampleArray:
        """Runs several circuits, or one at several parameters: on a QPU as one job.

        The job is one as a whole: it is found again, paid once, and its results are read once. All
        its shots count for budgets, `shots` for each entry of the shape.

        Args:
            circuits: with the same classical registers.
            parameters: float64 `(*points, parameters)`, in the order of `circuit.parameters`; all
                circuits are run at all points.
            shots: of each circuit at each point.

        Returns:
            Samples in the shape `(circuits, *points)`; `(*points,)` of a circuit that is given alone.

        Raises:
            NothingMeasured: nothing would be read of a circuit.
            ValueError: registers differ, parameters do not fit, or that is no number of shots.
            SamplingFailed: the source gave no samples.
        """
        require_shots(shots)
        batch = await to_thread.run_sync(Batch.of, circuits, parameters)
        return await self.sample_batch(batch, shots=shots)

    async def sample_batch(self, batch: Batch, *, shots: int) -> SampleArray:
        """What `sample_all` does with a batch that was checked.

        A source that takes several circuits at once overrides this; here each entry is a part of
        the step, done once, with randomness of its own.
        """
        mark = (await to_thread.run_sync(lambda: batch.fingerprint)).hex()[:12]
        calls = {
            # two batches of a step are not each other's
            f"entry-{number}-{shots}-{mark}": partial(self.sample, circuit, shots=shots)
            for number, circuit in enumerate(await to_thread.run_sync(batch.bound))
        }
        found = await run_parts(calls, Samples, limit=AT_ONCE)
        parts = [samples for samples in found.values() if samples is not None]
        return await to_thread.run_sync(stacked, parts, batch.shape)

    @model_validator(mode="before")
    @classmethod
    def _has_fractional_gates(cls, settings: Any) -> Any:
        asked = isinstance(settings, dict) and settings.get("fractional_gates")
        if asked and not inspect.isabstract(cls) and "fractional_gates" not in cls.model_fields:
            raise ValueError(
                f"{cls.model_fields['type'].default} has no fractional gates to ask for: they are a "
                "QPU's of ibm-runtime. Leave fractional_gates out: a simulator runs every gate"
            )
        return settings
