"""Expectation values from IBM Quantum, by its own client; each QPU job exactly once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from anyio import to_thread

from qcsc_loop.exactly_once.request import JobRequest
from qcsc_loop.exactly_once.run_once import run_once
from qcsc_loop.jobs.payload import read_facts
from qcsc_loop.sampling.estimator import Estimates, Estimator
from qcsc_loop.sampling.ibm.settings import IBMRuntime, job_facts, nothing_to_prepare
from qcsc_loop.sampling.ibm.submission import Primitive, submit, validate_options
from qcsc_loop.sampling.identity import circuit_bytes
from qcsc_loop.sampling.provenance import sample_provenance
from qcsc_loop.sampling.result_files import load_values
from qcsc_loop.steps.step import current_step

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit.quantum_info import SparsePauliOp


class IBMRuntimeEstimator(IBMRuntime, Estimator):
    """Expectation values from a real QPU; the job is found again by its tags, whatever dies."""

    type: Literal["ibm-runtime-estimator"] = "ibm-runtime-estimator"

    async def estimate(
        self,
        circuit: QuantumCircuit,
        observables: Sequence[SparsePauliOp],
        *,
        precision: float,
    ) -> Estimates:
        await to_thread.run_sync(validate_options, "estimator", "executor", self.options)
        step, site, wanted = current_step(), self.site(), list(observables)
        primitive = Primitive(
            kind="estimator",
            client="executor",
            pubs=[(circuit, wanted)],
            arguments={"precision": precision},
            backend=self.backend,
            mode=self.mode,
            level=self.optimization_level,
            pass_manager=self.pass_manager,
            options=self.options,
            max_execution_time=self.max_execution_time,
            fractional_gates=self.fractional_gates,
        )
        request = JobRequest(
            name="estimator",
            site=site,
            input_sha256=await to_thread.run_sync(self._digest, circuit, wanted, precision),
            prepare=nothing_to_prepare,
            submit=partial(submit, site, primitive, step),
            collect=partial(self._estimates, len(wanted)),
            queue_seconds=self.queue_timeout,
        )
        done = await run_once(request)
        provenance = {**done.value.provenance, **job_facts(done)}
        return done.value.model_copy(update={"provenance": provenance})

    def _digest(
        self, circuit: QuantumCircuit, observables: list[SparsePauliOp], precision: float
    ) -> str:
        """Over all that the values depend on; not over the account."""
        terms = [[(label, str(weight)) for label, weight in o.to_list()] for o in observables]
        chosen = {**self.chosen(), "precision": precision, "observables": terms}
        what = json.dumps(chosen, sort_keys=True).encode()
        return hashlib.sha256(what + b"\0" + circuit_bytes(circuit)).hexdigest()

    def _estimates(self, count: int, folder: Path) -> Estimates:
        found = load_values(folder)
        values = np.asarray(found["evs"], np.float64)
        errors = np.asarray(found["stds"], np.float64)
        if not values.size == errors.size == count:
            raise ValueError(f"there are values of shape {values.shape} for {count} observables")
        return Estimates(
            values=values.reshape(count),
            standard_errors=errors.reshape(count),
            provenance=sample_provenance(self, read_facts(folder)),
        )
