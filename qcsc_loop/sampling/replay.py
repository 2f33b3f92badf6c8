"""Samples of an earlier run: evaluated again with other classical settings, without QPU time."""

from __future__ import annotations

from builtins import type as Kind  # the class has a field of that name
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from anyio import to_thread
from pydantic import Field

from qcsc_loop.catalog import find_algorithm
from qcsc_loop.errors import DamagedDocument, NewerDocument, SamplingFailed
from qcsc_loop.loop.hooks import hook_types
from qcsc_loop.parameters.environment import environment
from qcsc_loop.sampling.batch import Batch
from qcsc_loop.sampling.provenance import sample_provenance
from qcsc_loop.sampling.sample_array import SampleArray
from qcsc_loop.sampling.sampler import Sampler
from qcsc_loop.sampling.samples import Samples
from qcsc_loop.steps.step import Step, current_step
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal
from qcsc_loop.store.records import RunId

if TYPE_CHECKING:
    from qiskit import QuantumCircuit


T = TypeVar("T", Samples, SampleArray)


class ReplaySampler(Sampler):
    """What another run's `sample` step returned in the same iteration.

    That run has to have kept it: a run keeps the steps of its last 10 iterations, or more with
    `--keep`. Where `sample` returns several samples by label, the current label's are taken.

    Attributes:
        run_id: the run that sampled.
        store: its folder; by default the one of this installation.
        first: the other run's iteration that stands for this run's first.
    """

    type: Literal["replay"] = "replay"
    run_id: RunId
    store: str = ""
    first: int = Field(default=1, ge=1)

    async def sample(self, circuit: QuantumCircuit, *, shots: int) -> Samples:
        return await to_thread.run_sync(self._again, current_step(), Samples, shots)

    async def sample_batch(self, batch: Batch, *, shots: int) -> SampleArray:
        samples = await to_thread.run_sync(self._again, current_step(), SampleArray, shots)
        if samples.shape != batch.shape:
            why = f"run {self.run_id} sampled the shape {samples.shape}, not {batch.shape}"
            raise SamplingFailed("replay", why)
        return samples

    def _again(self, step: Step, kind: Kind[T], shots: int) -> T:
        samples = self._recorded(step, kind)
        if samples.provenance.get("shots_asked", samples.shots) != shots:
            why = f"run {self.run_id} took {samples.shots} shots, not {shots}"
            raise SamplingFailed("replay", why)
        origin = sample_provenance(self, {"original": samples.provenance})
        return samples.model_copy(update={"provenance": origin})

    def _recorded(self, step: Step, kind: Kind[T]) -> T:
        store = DirectoryStore(Path(self.store) if self.store else environment().store)
        journal = Journal(store, self.run_id)
        iteration = step.iteration - 1 + self.first
        settings = journal.record().settings
        try:
            found = journal.step(iteration, step.name)
        except (DamagedDocument, NewerDocument) as error:
            raise SamplingFailed("replay", str(error)) from error
        if found is None:
            why = (
                f"run {self.run_id} has kept no {step.name} of iteration {iteration}; "
                "a run keeps its last ten, or as many as --keep says"
            )
            raise SamplingFailed("replay", why)
        value = hook_types(find_algorithm(settings.algorithm)).samples.decode(found[1])
        return self._chosen(value, step.label, kind)

    def _chosen(self, value: Any, label: str, kind: Kind[T]) -> T:
        if isinstance(value, Mapping) and label in value:
            value = value[label]
        if not isinstance(value, kind):
            what = f"{label!r} of it" if label else "what it sampled"
            raise SamplingFailed("replay", f"in run {self.run_id} {what} is no {kind.__name__}")
        return value
