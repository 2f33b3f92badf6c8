"""The Slurm tutorial's program: a GHZ state is sampled by `task_runner`, and its bits are counted.

Two blocks of the name "bit-count" say how: a `task-runner` (work_root, executable: the path of QRMI's
task_runner, executor "sbatch", qpu, backend_name) and a `bit-counter` (work_root, executable: that of
get_counts.py beside this file, executor "sbatch", launcher "srun", num_nodes, mpiprocs).

    prefect block register -f examples/tutorials/slurm_bitcount.py
    python examples/tutorials/slurm_bitcount.py

Each job is done once: a flow run that is killed and retried finds it again. Outside of this project the
program imports `prefect_slurm`; nothing else differs.
"""

from __future__ import annotations

import json
from typing import Any, ClassVar

import anyio
import numpy as np
from prefect import flow, task
from prefect.artifacts import acreate_table_artifact
from pydantic import Field
from qiskit import QuantumCircuit
from qiskit.transpiler import generate_preset_pass_manager
from qiskit_ibm_runtime import RuntimeDecoder, RuntimeEncoder
from qiskit_ibm_runtime.fake_provider import FakeManilaV2

from qcsc_hpc import SlurmJobBlock

BITLEN = 5
COUNTS = "sampler-count-dict"  # key of the artifact


class BitCounter(SlurmJobBlock):
    """Counts bitstrings with an MPI program."""

    _block_type_name: ClassVar[str | None] = "Bit Counter"
    _block_type_slug: ClassVar[str | None] = "bit-counter"

    async def get(self, bitstrings: list[str]) -> dict[str, int]:
        """How often each was drawn."""
        return await get_counts(self, bitstrings)


@task(name="get_counts_mpi")
async def get_counts(counter: BitCounter, bitstrings: list[str]) -> dict[str, int]:
    """A job; its files lie in the executor's folder."""
    with counter.get_executor() as executor:
        numbers = np.array([int(bits, 2) for bits in bitstrings], dtype=np.uint32)
        numbers.tofile(executor.work_dir / "input.bin")
        exit_code = await executor.execute_job(**counter.get_job_variables())
        if exit_code:
            raise RuntimeError(f"get_counts ended with code {exit_code}")
        counted = json.loads((executor.work_dir / "output.json").read_text())
    return {format(int(number), f"0{BITLEN}b"): count for number, count in counted.items()}


class TaskRunner(SlurmJobBlock):
    """Runs a task on a quantum computer that Slurm hands out."""

    _block_type_name: ClassVar[str | None] = "Task Runner"
    _block_type_slug: ClassVar[str | None] = "task-runner"

    backend_name: str = Field(min_length=1, title="Backend")
    input_file: str = Field(default="input.json", title="Input file")
    output_file: str = Field(default="output.json", title="Output file")

    async def run(self, quantum_task: str) -> str:
        """What the quantum computer answers to a task, both as JSON."""
        return await run_quantum_task(self, quantum_task)


@task(name="run_task_runner")
async def run_quantum_task(runner: TaskRunner, quantum_task: str) -> str:
    """A job, too. task_runner ends with 0 whatever happened: its output has to be there."""
    with runner.get_executor() as executor:
        given, answer = (executor.work_dir / f for f in (runner.input_file, runner.output_file))
        given.write_text(quantum_task)
        exit_code = await executor.execute_job(
            arguments=[runner.backend_name, given, answer], **runner.get_job_variables()
        )
        if exit_code or not answer.exists():
            raise RuntimeError(f"task_runner ended with code {exit_code}, without an answer")
        return answer.read_text()


def sampling_task(shots: int) -> str:
    """A GHZ state, compiled, as the service's sampler program takes it."""
    circuit = QuantumCircuit(BITLEN)
    circuit.h(0)
    circuit.cx(0, range(1, BITLEN))
    circuit.measure_active()
    target = FakeManilaV2().target
    compiled = generate_preset_pass_manager(3, target=target, seed_transpiler=123).run(circuit)
    parameters = {
        "pubs": [[compiled, None, shots]],
        "version": 2,
        "support_qiskit": True,
        "options": {"default_shots": shots},
    }
    return json.dumps({"program_id": "sampler", "parameters": parameters}, cls=RuntimeEncoder)


@flow(name="bit_count")
async def bit_count(name: str = "bit-count", shots: int = 1000) -> dict[str, int]:
    """Samples, counts, and shows the counts as an artifact."""
    runner: TaskRunner = await TaskRunner.aload(name)
    counter: BitCounter = await BitCounter.aload(name)
    answer = json.loads(await runner.run(sampling_task(shots)), cls=RuntimeDecoder)
    counts = await counter.get(answer[0].data.meas.get_bitstrings())
    table: list[list[Any]] = [list(counts.keys()), list(counts.values())]
    await acreate_table_artifact(table=table, key=COUNTS)
    return counts


if __name__ == "__main__":
    anyio.run(bit_count)
