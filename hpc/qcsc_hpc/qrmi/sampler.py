"""Samples from a quantum computer that a batch system hands out: a job with a QPU."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import numpy as np
from anyio import to_thread
from pydantic import Field, SerializeAsAny

from qcsc_hpc.machine import HPCMachine, Machine, Program
from qcsc_hpc.profiles import Command
from qcsc_hpc.qrmi.runner import TASK, sampler_parameters
from qcsc_hpc.script.job_folder import JobFolder
from qcsc_loop.concurrency.whole_file import is_there, write_whole
from qcsc_loop.errors import InvalidParameters, JobRefused
from qcsc_loop.exactly_once.request import JobResult
from qcsc_loop.jobs.payload import SUBMISSION, read_facts
from qcsc_loop.parameters.operational import OPERATIONAL
from qcsc_loop.parameters.resource import BlockName
from qcsc_loop.parameters.saved_blocks import load_settings
from qcsc_loop.plain import Json
from qcsc_loop.sampling.batch import Batch
from qcsc_loop.sampling.compiling import PassManagerReference, compile_once, compiling_seed
from qcsc_loop.sampling.fake_backends import fake_backend
from qcsc_loop.sampling.identity import bare, by_names_of, circuit_bytes
from qcsc_loop.sampling.packing import require_measured, shots_of, surplus
from qcsc_loop.sampling.provenance import sample_provenance
from qcsc_loop.sampling.result_files import RESULT, load_all_bits, load_bits, save_results
from qcsc_loop.sampling.sample_array import SampleArray, in_shape
from qcsc_loop.sampling.sampler import Sampler
from qcsc_loop.sampling.samples import Samples
from qcsc_loop.steps.step import Step, current_step

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

RUNNER = "qcsc_hpc.qrmi.runner"
OUTPUT = "output.json"
PARAMETERS = "parameters.npy"
T = TypeVar("T")


class QRMISampler(Sampler):
    """A QPU of a batch system: each sampling is a job there, exactly once as all jobs are.

    The job is submitted with the profile's QPU option (`--qpu=RESOURCE`), and finds the QPU's
    address and key in its own environment, where the site puts them.

    Attributes:
        resource: the QPU's name.
        machine: whose jobs may have it; its profile's shape is made one task on one node.
        runner: `own` goes on with a task that an earlier start of the job began; `task_runner` is
            the one that comes with QRMI, for sites that want it.
        target: a fake backend that circuits are compiled for, with `task_runner`, which compiles
            nothing; empty: they are compiled already.
        options: of the sampler program, such as `{"dynamical_decoupling": …}`.
    """

    type: Literal["qrmi"] = "qrmi"
    resource: str = Field(min_length=1)
    machine: Annotated[SerializeAsAny[Machine] | BlockName, OPERATIONAL]
    runner: Annotated[Literal["own", "task_runner"], OPERATIONAL] = "own"
    target: str = ""
    optimization_level: int = Field(default=1, ge=0, le=3)
    pass_manager: str = PassManagerReference
    options: Json = {}

    async def sample(self, circuit: QuantumCircuit, *, shots: int) -> Samples:
        require_measured(circuit)
        batch = Batch((circuit,), None, ())
        done = await self._run(batch, shots, partial(self._samples, circuit, shots), alone=True)
        current_step().spend(shots=done.value.shots - shots)  # beyond, or short of, what was asked
        provenance = {**done.value.provenance, "job_id": done.record.job_id}
        return done.value.model_copy(update={"provenance": provenance})

    async def sample_batch(self, batch: Batch, *, shots: int) -> SampleArray:
        done = await self._run(batch, shots, partial(self._sample_array, batch, shots))
        current_step().spend(shots=(done.value.shots - shots) * batch.size)
        provenance = {**done.value.provenance, "job_id": done.record.job_id}
        return done.value.model_copy(update={"provenance": provenance})

    async def _run(
        self, batch: Batch, shots: int, collect: Callable[[Path], T], *, alone: bool = False
    ) -> JobResult[T]:
        """One job of all circuits, once."""
        step, machine = current_step(), await self._machine()
        step.spend(shots=shots * batch.size)
        work = await to_thread.run_sync(self._written, batch, shots, step, alone)
        program, arguments = self._command(work)
        return await machine.run_job(
            program,
            arguments,
            collect=collect,
            ranks=1,
            outputs=[RESULT] if self.runner == "own" else [OUTPUT],
            name="qpu",
            before=_take_over,
        )

    async def _machine(self) -> HPCMachine:
        machine = self.machine
        if isinstance(machine, str):
            loaded = await load_settings(machine)
            if not isinstance(loaded, Machine):
                raise InvalidParameters("qrmi", [f"machine: {machine} is no machine"], [])
            machine = loaded
        if machine.where.scheduler == "local":
            raise JobRefused("this machine", "machine", "a QPU is handed out by a batch system")
        shape = {"num_nodes": 1, "mpiprocs": 1, "launcher": "single", "mpi_options": []}
        return HPCMachine(
            hpc_profile=machine.where.model_copy(update={"qpu": self.resource}),
            execution_profile=machine.how.model_copy(update=shape),
        )

    def _command(self, work: Path) -> tuple[Program | Command, list[str | Path]]:
        if self.runner == "task_runner":
            program = Command(command_name="task_runner", executable_key="task_runner")
            return program, [self.resource, work / "task_input.json", OUTPUT]
        runner = Program("qrmi-runner", RUNNER, mpi=False)
        return runner, [self.resource, work / "request.json", work / "circuit.qpy"]

    def _written(self, batch: Batch, shots: int, step: Step, alone: bool) -> Path:
        """The job's input files; the same bytes in every driver.

        Each batch of a step has a folder of its own.
        """
        work = step.work_dir if alone else step.work_dir / f"batch-{batch.fingerprint.hex()[:12]}"
        work.mkdir(exist_ok=True)
        if self.runner == "task_runner":
            self._write_task_input(batch, shots, step, work)
            return work
        seeds = [compiling_seed(step.run_seed, each) for each in batch.circuits]
        request: Json = {
            "shots": shots,
            "level": self.optimization_level,
            "pass_manager": self.pass_manager,
            "options": self.options,
            **({"seed": seeds[0]} if alone else {"seeds": seeds}),
        }
        if batch.parameters is not None:
            request["parameters"] = PARAMETERS
            with write_whole(work / PARAMETERS) as file:
                np.save(file, batch.parameters, allow_pickle=False)
        with write_whole(work / "request.json") as file:
            file.write(json.dumps(request, sort_keys=True).encode())
        with write_whole(work / "circuit.qpy") as file:
            file.write(circuit_bytes(*batch.circuits))
        return work

    def _write_task_input(self, batch: Batch, shots: int, step: Step, work: Path) -> None:
        from qiskit_ibm_runtime import RuntimeEncoder

        ready = list(batch.circuits)
        if self.target:
            backend: Any = fake_backend(self.target)
            level, manager = self.optimization_level, self.pass_manager
            ready = [compile_once(each, backend, step, level, manager) for each in ready]
        pubs = [(_same_in_every_driver(pub[0]), *pub[1:]) for pub in batch.pubs(ready)]
        parameters = sampler_parameters(pubs, shots, self.options)
        text = json.dumps({"program_id": "sampler", "parameters": parameters}, cls=RuntimeEncoder)
        with write_whole(work / "task_input.json") as file:
            file.write(text.encode())

    def _samples(self, circuit: QuantumCircuit, shots: int, folder: Path) -> Samples:
        self._decode(folder)
        bits, widths = load_bits(folder)
        given = shots_of(bits)
        return Samples(
            bits=by_names_of(circuit, bits),
            num_bits=by_names_of(circuit, widths),
            shots=given,
            provenance=self._provenance(folder, shots, given),
        )

    def _sample_array(self, batch: Batch, shots: int, folder: Path) -> SampleArray:
        self._decode(folder)
        found = batch.found_in(load_all_bits(folder, len(batch.circuits)))
        bits, widths, given = in_shape(found, batch.points, batch.shape)
        return SampleArray(
            shape=batch.shape,
            bits=bits,
            num_bits=widths,
            shots=given,
            provenance=self._provenance(folder, shots, given),
        )

    def _decode(self, folder: Path) -> None:
        """Of the `task_runner`, whose exit code says nothing: its output has to be read."""
        if self.runner == "task_runner":
            from qiskit_ibm_runtime import RuntimeDecoder

            text = (folder / OUTPUT).read_text()
            save_results(folder, list(json.loads(text, cls=RuntimeDecoder)))

    def _provenance(self, folder: Path, shots: int, given: int) -> Json:
        facts = read_facts(folder) if self.runner == "own" else {}
        return sample_provenance(self, {**facts, **surplus(shots, given)})


def _same_in_every_driver(circuit: QuantumCircuit) -> QuantumCircuit:
    """The circuit without what differs from process to process; parameters have random names."""
    from qiskit import qpy

    if not circuit.parameters:
        return bare(circuit)
    read: QuantumCircuit = qpy.load(BytesIO(circuit_bytes(circuit)))[0]
    return read


def _take_over(folder: Path, earlier: Path | None) -> None:
    """The QPU task that an earlier attempt began: its job died, the task may not have."""
    if earlier is None or JobFolder(earlier).is_cancelled or not is_there(earlier / TASK):
        return
    for name in (SUBMISSION, TASK):  # the task last: where it is, its circuit's facts are
        shutil.copy(earlier / name, folder / name)
