"""Samples through a `QuantumRuntime` block of prefect-qiskit, for those who have one."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from anyio import to_thread
from pydantic import Field, StringConstraints

from qcsc_loop.errors import InvalidParameters, QcscLoopError, SamplingFailed
from qcsc_loop.plain import Json
from qcsc_loop.sampling.compiling import (
    PassManagerReference,
    compile_circuit,
    compiling_seed,
)
from qcsc_loop.sampling.packing import (
    read_registers,
    require_asked,
    shots_of,
    surplus,
)
from qcsc_loop.sampling.provenance import sample_provenance
from qcsc_loop.sampling.sampler import Sampler
from qcsc_loop.sampling.samples import Samples
from qcsc_loop.steps.step import current_step

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

SLUG = "quantum-runtime"
RuntimeName = Annotated[str, StringConstraints(pattern=rf"^({SLUG}/)?[a-z0-9-]+$")]


class PrefectQiskitSampler(Sampler):
    """An adapter: prefect-qiskit runs the circuit, with its own retries and its own metrics.

    It cannot find a job again: after a driver's death in `sample` the circuit is run, and paid,
    again. `IBMRuntimeSampler` and `QRMISampler` do not have that fault.

    Attributes:
        block: the name of the saved `QuantumRuntime` block.
        options: for its sampler, as that vendor takes them.
    """

    type: Literal["prefect-qiskit"] = "prefect-qiskit"
    block: RuntimeName
    optimization_level: int = Field(default=1, ge=0, le=3)
    pass_manager: str = PassManagerReference
    options: Json = {}

    async def sample(self, circuit: QuantumCircuit, *, shots: int) -> Samples:
        require_asked(circuit, shots)
        step, runtime = current_step(), await self._runtime()
        step.spend(shots=shots)
        try:
            target = await runtime.async_get_target()
            seed = compiling_seed(step.run_seed, circuit)
            ready = await to_thread.run_sync(
                compile_circuit, circuit, target, seed, self.optimization_level, self.pass_manager
            )
            result = await runtime.async_sampler(
                [(ready, None, shots)], options=self.options or None
            )
            bits, widths = read_registers(result[0].data)
        except QcscLoopError:
            raise
        except Exception as error:  # whatever the vendor's client raises
            why = f"{type(error).__name__}: {error}"
            raise SamplingFailed(self.block, why) from error
        given = shots_of(bits)
        step.spend(shots=given - shots)
        facts = surplus(shots, given)
        return Samples(
            bits=bits,
            num_bits=widths,
            shots=given,
            provenance=await to_thread.run_sync(
                partial(
                    sample_provenance, self, facts, backend=runtime.resource_name, circuit=ready
                )
            ),
        )

    async def _runtime(self) -> Any:
        try:
            import prefect_qiskit  # noqa: F401  # so that its block is known
        except ImportError as error:
            problem = "it needs prefect-qiskit: pip install prefect-qiskit"
            raise InvalidParameters("prefect-qiskit", [problem], []) from error
        from prefect.blocks.core import Block

        from qcsc_loop.prefect.load_blocks import load_block

        return await load_block(Block, f"{SLUG}/{self.block.removeprefix(SLUG + '/')}")
