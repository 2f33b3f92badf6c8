"""Saved settings as Prefect blocks, and how a name becomes settings again."""

from __future__ import annotations

from typing import ClassVar, TypeVar, cast

from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.plugins import load_prefect_collections
from pydantic import Field, SecretStr

from qcsc_loop.errors import BlockNotFound
from qcsc_loop.prefect.server import prefect_api
from qcsc_loop.resource import Resource
from qcsc_loop.sampling.aer import AerSampler
from qcsc_loop.sampling.aer_estimator import AerEstimator
from qcsc_loop.sampling.fake_backend import FakeBackendSampler
from qcsc_loop.sampling.ibm_estimator import IBMRuntimeEstimator
from qcsc_loop.sampling.ibm_runtime import IBMRuntimeSampler
from qcsc_loop.sampling.prefect_qiskit import PrefectQiskitSampler
from qcsc_loop.sampling.replay import ReplaySampler
from qcsc_loop.sampling.uniform import RandomSampler

B = TypeVar("B", bound=Block)


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


async def load_settings(name: str) -> Resource:
    """The settings in the saved block `block-type/name`.

    Raises:
        BlockNotFound: there is none, or it holds no settings; names those that exist.
    """
    load_prefect_collections()  # the class must be imported before its documents load
    with prefect_api():
        block = await load_block(Block, name)
        load = getattr(block, "load_settings", None)  # a block that names others
        settings = getattr(block, "settings", None) if load is None else await load()
        if not isinstance(settings, Resource):
            raise BlockNotFound(name, f"a {type(block).__name__} holds no settings", await _saved())
        return settings


async def load_secret(name: str) -> str:
    """The secret in a saved block of credentials; for where it is used, and nowhere else."""
    load_prefect_collections()
    with prefect_api():
        block = await load_block(Block, name)
        key = getattr(block, "api_key", None)
        if not isinstance(key, SecretStr):
            raise BlockNotFound(name, f"a {type(block).__name__} holds no key", await _saved())
        return key.get_secret_value()


async def load_block(kind: type[B], name: str) -> B:
    """The saved block of that name: `block-type/name`, or the name alone for a concrete kind.

    Raises:
        BlockNotFound: there is none; names those that exist.
    """
    full = name if "/" in name or kind is Block else f"{kind.get_block_type_slug()}/{name}"
    try:
        block = await Block.aload(full)
    except Exception as error:  # Prefect raises ValueError, RuntimeError and HTTP errors here
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BlockNotFound(full, why, await _saved()) from error
    if not isinstance(block, kind):
        why = f"it is a {type(block).__name__}, not a {kind.__name__}"
        raise BlockNotFound(full, why, await _saved())
    return cast("B", block)  # pyright forgets that it is one


async def _saved() -> list[str]:
    async with get_client() as client:
        documents = await client.read_block_documents(
            # the client's default of None is refused by the server
            limit=200, offset=0, include_secrets=False,
        )  # fmt: skip
    return [
        f"{document.block_type.slug}/{document.name}"
        for document in documents
        if document.block_type is not None and document.name is not None
    ]
