"""Samples from IBM Quantum, by its own client; each QPU job exactly once."""

from __future__ import annotations

import hashlib
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from anyio import to_thread
from pydantic import Field, field_validator

from qcsc_loop.ibm.account import CredentialsName, IBMAccount
from qcsc_loop.ibm.site import IBMSite, load_bits, read_facts
from qcsc_loop.ibm.submitting import Client, Mode, Primitive, submit, validated
from qcsc_loop.jobs.key import JobKey
from qcsc_loop.jobs.once import JobRequest, run_once
from qcsc_loop.jobs.outcome import JobState
from qcsc_loop.operational import OPERATIONAL
from qcsc_loop.sampling.compiling import PassManagerReference, circuit_bytes
from qcsc_loop.sampling.sampler import Sampler
from qcsc_loop.sampling.samples import Samples
from qcsc_loop.step import current_step

if TYPE_CHECKING:
    from qiskit import QuantumCircuit


class IBMRuntimeSampler(Sampler):
    """A real QPU. A job is found again by its tags, whatever dies; it is never paid twice.

    Mode: `job` queues each job by itself, and is right for a loop with slow classical steps; a
    `batch` keeps jobs of one step together; a `session` holds the QPU, is charged by the clock from
    its first job on, and ends after a minute without a new one.

    Attributes:
        credentials, instance, channel, url, proxies: see `IBMAccount`; no key is kept here.
        backend: name; empty: the least busy one that is wide enough, chosen at submission.
        client: which of the client's sampler classes; `sampler` is the deprecated one.
        options: of that class, as a nested table; checked before anything is submitted.
        max_execution_time: QPU seconds after which the service ends the job.
        queue_timeout: seconds after which a job that still waits is cancelled.
        settle_seconds: how long a submission that broke off may take to turn up at the service.
    """

    type: Literal["ibm-runtime"] = "ibm-runtime"
    credentials: Annotated[CredentialsName, OPERATIONAL] = ""
    instance: Annotated[str, OPERATIONAL] = Field(
        default="", description="CRN or name; empty: $QISKIT_IBM_INSTANCE"
    )
    channel: Annotated[Literal["ibm_quantum_platform", "ibm_cloud"], OPERATIONAL] = (
        "ibm_quantum_platform"
    )
    url: Annotated[str, OPERATIONAL] = ""
    proxies: Annotated[dict[str, str], OPERATIONAL] = {}
    backend: str = Field(default="", description="empty: the least busy one")
    mode: Annotated[Mode, OPERATIONAL] = "job"
    client: Client = "executor"
    optimization_level: int = Field(default=1, ge=0, le=3)
    pass_manager: str = PassManagerReference
    options: dict[str, Any] = {}
    max_execution_time: Annotated[int | None, OPERATIONAL] = Field(default=None, ge=1)
    queue_timeout: Annotated[float | None, OPERATIONAL] = Field(default=None, gt=0)
    poll_seconds: Annotated[float, OPERATIONAL] = Field(default=30.0, gt=0)
    settle_seconds: Annotated[float, OPERATIONAL] = Field(default=60.0, ge=0)
    patience_seconds: Annotated[float, OPERATIONAL] = Field(default=3600.0, ge=0)

    @field_validator("options")
    @classmethod
    def _ours(cls, options: dict[str, Any]) -> dict[str, Any]:
        environment = options.get("environment")
        ours = {"job_tags", "private"}
        if isinstance(environment, dict) and (taken := ours & set(environment)):
            raise ValueError(
                f"options.environment.{min(taken)} cannot be set: jobs are found again by their tags, "
                "and the results of a private one can be read only once"
            )
        return options

    def site(self) -> IBMSite:
        """Where its jobs are."""
        account = IBMAccount(
            credentials=self.credentials,
            instance=self.instance,
            channel=self.channel,
            url=self.url,
            proxies=self.proxies,
        )
        return IBMSite(
            account=account,
            poll_longest=self.poll_seconds,
            settle=self.settle_seconds,
            patience=self.patience_seconds,
        )

    async def sample(self, circuit: QuantumCircuit, *, shots: int) -> Samples:
        await to_thread.run_sync(validated, "sampler", self.client, self.options)
        step, site = current_step(), self.site()
        step.spend(shots=shots)
        digest = await to_thread.run_sync(self._digest, circuit, shots)
        primitive = Primitive(
            kind="sampler",
            client=self.client,
            pubs=[(circuit,)],
            arguments={"shots": shots},
            backend=self.backend,
            mode=self.mode,
            level=self.optimization_level,
            pass_manager=self.pass_manager,
            options=self.options,
            max_execution_time=self.max_execution_time,
        )
        request = JobRequest(
            name="sampler",
            site=site,
            input_sha256=digest,
            prepare=_nothing,
            submit=partial(submit, site, primitive, step),
            collect=partial(self._samples, shots),
            resubmit={JobState.CANCELLED: 0},
            queue_seconds=self.queue_timeout,
        )
        done = await run_once(request)
        return done.value.model_copy(
            update={
                "provenance": {
                    **done.value.provenance,
                    "job_id": done.record.job_id,
                    "times": done.record.metrics.model_dump(mode="json"),
                }
            }
        )

    def _digest(self, circuit: QuantumCircuit, shots: int) -> str:
        """Over all that the samples depend on; not over the account."""
        chosen = {"backend": self.backend, "level": self.optimization_level,
                  "pass_manager": self.pass_manager, "options": self.options, "shots": shots}  # fmt: skip
        what = json.dumps(chosen, sort_keys=True).encode()
        return hashlib.sha256(what + b"\0" + circuit_bytes(circuit)).hexdigest()

    def _samples(self, shots: int, folder: Path) -> Samples:
        bits, widths = load_bits(folder)
        for name, rows in bits.items():
            if len(rows) != shots:
                raise ValueError(f"register {name} has {len(rows)} of {shots} shots")
        provenance = {"source": self.type, "settings": self.model_dump(mode="json"),
                      **read_facts(folder)}  # fmt: skip
        return Samples(bits=bits, num_bits=widths, shots=shots, provenance=provenance)


def _nothing(_key: JobKey, _folder: Path) -> None:
    """A QPU job needs nothing on disk."""
