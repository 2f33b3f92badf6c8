"""Samples from IBM Quantum, by its own client; each QPU job exactly once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from anyio import to_thread

from qcsc_loop.exactly_once.request import JobRequest, JobResult
from qcsc_loop.exactly_once.run_once import run_once
from qcsc_loop.jobs.payload import read_facts
from qcsc_loop.sampling.batch import Batch
from qcsc_loop.sampling.ibm.settings import IBMRuntime, job_facts, nothing_to_prepare
from qcsc_loop.sampling.ibm.submission import Client, Primitive, submit, validate_options
from qcsc_loop.sampling.identity import by_names_of, circuit_bytes
from qcsc_loop.sampling.packing import require_asked, shots_of, surplus
from qcsc_loop.sampling.provenance import sample_provenance
from qcsc_loop.sampling.result_files import load_all_bits, load_bits
from qcsc_loop.sampling.sample_array import SampleArray, in_shape
from qcsc_loop.sampling.sampler import Sampler
from qcsc_loop.sampling.samples import Samples
from qcsc_loop.steps.step import current_step

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

T = TypeVar("T")


class IBMRuntimeSampler(IBMRuntime, Sampler):
    """Bits from a real QPU. A job is found again by its tags, whatever dies; never paid twice.

    Attributes:
        client: which of the client's sampler classes; `sampler` is the deprecated one.
    """

    type: Literal["ibm-runtime"] = "ibm-runtime"
    client: Client = "executor"

    async def sample(self, circuit: QuantumCircuit, *, shots: int) -> Samples:
        require_asked(circuit, shots)
        collect = partial(self._samples, circuit, shots)
        done = await self._run([(circuit,)], shots, 1, partial(circuit_bytes, circuit), collect)
        current_step().spend(shots=done.value.shots - shots)  # beyond, or short of, what was asked
        provenance = {**done.value.provenance, **job_facts(done)}
        return done.value.model_copy(update={"provenance": provenance})

    async def sample_batch(self, batch: Batch, *, shots: int) -> SampleArray:
        collect = partial(self._sample_array, batch, shots)
        pubs = [
            (each,) if batch.parameters is None else (each, batch.parameters)
            for each in batch.circuits
        ]
        done = await self._run(pubs, shots, batch.size, lambda: batch.fingerprint, collect)
        current_step().spend(shots=(done.value.shots - shots) * batch.size)
        provenance = {**done.value.provenance, **job_facts(done)}
        return done.value.model_copy(update={"provenance": provenance})

    async def _run(
        self,
        pubs: Sequence[tuple[Any, ...]],
        shots: int,
        times: int,
        fingerprint: Callable[[], bytes],
        collect: Callable[[Path], T],
    ) -> JobResult[T]:
        """One job of all PUBs, once; `times`: how often shots are taken in it."""
        await to_thread.run_sync(validate_options, "sampler", self.client, self.options)
        step, site = current_step(), self.site()
        step.spend(shots=shots * times)
        primitive = Primitive(
            kind="sampler",
            client=self.client,
            pubs=pubs,
            arguments={"shots": shots},
            backend=self.backend,
            mode=self.mode,
            level=self.optimization_level,
            pass_manager=self.pass_manager,
            options=self.options,
            max_execution_time=self.max_execution_time,
            fractional_gates=self.fractional_gates,
        )
        request = JobRequest(
            name="sampler",
            site=site,
            input_sha256=await to_thread.run_sync(self._digest, fingerprint, shots),
            prepare=nothing_to_prepare,
            submit=partial(submit, site, primitive, step),
            collect=collect,
            queue_seconds=self.queue_timeout,
        )
        return await run_once(request)

    def _digest(self, fingerprint: Callable[[], bytes], shots: int) -> str:
        """Over all that the samples depend on; not over the account."""
        chosen = {**self.chosen(), "shots": shots}
        what = json.dumps(chosen, sort_keys=True).encode()
        return hashlib.sha256(what + b"\0" + fingerprint()).hexdigest()

    def _samples(self, circuit: QuantumCircuit, shots: int, folder: Path) -> Samples:
        bits, widths = load_bits(folder)
        given = shots_of(bits)
        provenance = sample_provenance(self, {**read_facts(folder), **surplus(shots, given)})
        return Samples(
            bits=by_names_of(circuit, bits),
            num_bits=by_names_of(circuit, widths),
            shots=given,
            provenance=provenance,
        )

    def _sample_array(self, batch: Batch, shots: int, folder: Path) -> SampleArray:
        found = batch.found_in(load_all_bits(folder, len(batch.circuits)))
        bits, widths, given = in_shape(found, batch.points, batch.shape)
        provenance = sample_provenance(self, {**read_facts(folder), **surplus(shots, given)})
        return SampleArray(
            shape=batch.shape, bits=bits, num_bits=widths, shots=given, provenance=provenance
        )
