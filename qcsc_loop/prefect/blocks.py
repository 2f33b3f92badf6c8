"""Saved settings as Prefect blocks."""

from __future__ import annotations

from typing import ClassVar

from prefect.blocks.core import Block
from pydantic import Field, SecretStr

from qcsc_loop.prefect.qiskit_runtime import PrefectQiskitSampler
from qcsc_loop.sampling.aer.estimator import AerEstimator
from qcsc_loop.sampling.aer.sampler import AerSampler
from qcsc_loop.sampling.fake_backend_sampler import FakeBackendSampler
from qcsc_loop.sampling.ibm.estimator import IBMRuntimeEstimator
from qcsc_loop.sampling.ibm.sampler import IBMRuntimeSampler
from qcsc_loop.sampling.random_bits import RandomSampler
from qcsc_loop.sampling.replay import ReplaySampler


class AerSamplerBlock(Block):
    """Samples from the Aer simulator. Refer to it as "aer-sampler/NAME"."""

    _block_type_name: ClassVar[str | None] = "Aer Sampler"
    _block_type_slug: ClassVar[str | None] = "aer-sampler"

    settings: AerSampler = AerSampler()


class RandomSamplerBlock(Block):
    """Uniform random bits: what a quantum source has to beat. Refer to it as "random-sampler/NAME"."""

    _block_type_name: ClassVar[str | None] = "Random Sampler"
    _block_type_slug: ClassVar[str | None] = "random-sampler"

    settings: RandomSampler = RandomSampler()


class ReplaySamplerBlock(Block):
    """The samples of an earlier run. Refer to it as "replay-sampler/NAME"."""

    _block_type_name: ClassVar[str | None] = "Replay Sampler"
    _block_type_slug: ClassVar[str | None] = "replay-sampler"

    settings: ReplaySampler


class FakeBackendSamplerBlock(Block):
    """A snapshot of a real backend, with its noise. Refer to it as "fake-backend-sampler/NAME"."""

    _block_type_name: ClassVar[str | None] = "Fake Backend Sampler"
    _block_type_slug: ClassVar[str | None] = "fake-backend-sampler"

    settings: FakeBackendSampler = FakeBackendSampler()


class IBMRuntimeSamplerBlock(Block):
    """A QPU at IBM Quantum. Refer to it as "ibm-runtime-sampler/NAME"."""

    _block_type_name: ClassVar[str | None] = "IBM Runtime Sampler"
    _block_type_slug: ClassVar[str | None] = "ibm-runtime-sampler"

    settings: IBMRuntimeSampler = IBMRuntimeSampler()


class PrefectQiskitSamplerBlock(Block):
    """A QuantumRuntime block of prefect-qiskit. Refer to it as "prefect-qiskit-sampler/NAME"."""

    _block_type_name: ClassVar[str | None] = "Prefect Qiskit Sampler"
    _block_type_slug: ClassVar[str | None] = "prefect-qiskit-sampler"

    settings: PrefectQiskitSampler


class AerEstimatorBlock(Block):
    """Expectation values from the Aer simulator. Refer to it as "aer-estimator/NAME"."""

    _block_type_name: ClassVar[str | None] = "Aer Estimator"
    _block_type_slug: ClassVar[str | None] = "aer-estimator"

    settings: AerEstimator = AerEstimator()


class IBMRuntimeEstimatorBlock(Block):
    """Expectation values from IBM Quantum. Refer to it as "ibm-runtime-estimator/NAME"."""

    _block_type_name: ClassVar[str | None] = "IBM Runtime Estimator"
    _block_type_slug: ClassVar[str | None] = "ibm-runtime-estimator"

    settings: IBMRuntimeEstimator = IBMRuntimeEstimator()


class IBMCredentialsBlock(Block):
    """The key of an account at IBM Quantum, named by samplers as "ibm-credentials/NAME"."""

    _block_type_name: ClassVar[str | None] = "IBM Credentials"
    _block_type_slug: ClassVar[str | None] = "ibm-credentials"

    api_key: SecretStr = Field(title="API key")
