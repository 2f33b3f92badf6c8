"""What a sampler and an estimator at IBM Quantum have in common: their settings."""

from __future__ import annotations

import operator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, field_validator

from qcsc_loop.exactly_once.request import JobResult
from qcsc_loop.jobs.key import JobKey
from qcsc_loop.parameters.operational import OPERATIONAL
from qcsc_loop.plain import Json
from qcsc_loop.sampling.compiling import PassManagerReference
from qcsc_loop.sampling.ibm.account import CredentialsName, IBMAccount
from qcsc_loop.sampling.ibm.ibm_site import IBMSite
from qcsc_loop.sampling.ibm.modes import Mode


class IBMRuntime(BaseModel):
    """A QPU at IBM Quantum, and how jobs are sent there.

    Mode: `job` queues each job by itself, and is right for a loop with slow classical steps; a
    `batch` keeps jobs of one step together; a `session` holds the QPU, is charged by the clock from
    its first job on, and ends after a minute without a new one.

    Attributes:
        credentials, instance, channel, url, proxies: see `IBMAccount`; no key is kept here.
        backend: name; empty: the least busy one that is wide enough, chosen at submission.
        fractional_gates: ask for a backend's `rzz` and `rx` of any angle; one that has none is refused.
        options: of the client's class, as a nested table; checked before anything is submitted.
        max_execution_time: QPU seconds after which the service ends the job.
        queue_timeout: seconds after which a job that still waits is cancelled.
        settle_seconds: how long a submission that broke off may take to turn up at the service.
    """

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
    optimization_level: int = Field(default=1, ge=0, le=3)
    pass_manager: str = PassManagerReference
    # left out where it says nothing: runs from before there was a choice have the same settings
    fractional_gates: bool = Field(
        default=False, description="rzz and rx of any angle", exclude_if=operator.not_
    )
    options: Json = {}
    max_execution_time: Annotated[int | None, OPERATIONAL] = Field(default=None, ge=1)
    queue_timeout: Annotated[float | None, OPERATIONAL] = Field(default=None, gt=0)
    poll_seconds: Annotated[float, OPERATIONAL] = Field(default=30.0, gt=0)
    settle_seconds: Annotated[float, OPERATIONAL] = Field(default=60.0, ge=0)
    patience_seconds: Annotated[float, OPERATIONAL] = Field(default=3600.0, ge=0)

    @field_validator("options")
    @classmethod
    def _ours(cls, options: Json) -> Json:
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

    def chosen(self) -> Json:
        """The settings that results depend on."""
        chosen: Json = {
            "backend": self.backend,
            "level": self.optimization_level,
            "pass_manager": self.pass_manager,
            "options": self.options,
        }
        # left out otherwise: jobs of a run from before there was a choice are found again
        return chosen | ({"fractional_gates": True} if self.fractional_gates else {})


def nothing_to_prepare(_key: JobKey, _folder: Path) -> None:
    """A QPU job needs nothing on disk."""


def job_facts(done: JobResult[Any]) -> Json:
    """What provenance keeps of a job."""
    return {"job_id": done.record.job_id, "times": done.record.metrics.model_dump(mode="json")}
