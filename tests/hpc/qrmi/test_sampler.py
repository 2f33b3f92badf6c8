"""A QPU that a batch system hands out: jobs of a fake and a real Slurm, tasks of a fake QPU."""

from __future__ import annotations

import asyncio
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import anyio
import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

from hpc.places import Hook, Place  # noqa: TID251  # the folder of these tests
from qcsc_hpc.machine import HPCMachine, LocalMachine
from qcsc_hpc.qrmi.sampler import QRMISampler
from qcsc_hpc.script.outputs import OUTPUT_EXIT
from qcsc_loop.errors import JobFailed, JobRefused
from qcsc_loop.jobs.ledger import Ledger
from qcsc_loop.jobs.outcome import JobState
from qcsc_loop.sampling.sample_array import SampleArray
from qcsc_loop.sampling.samples import Samples
from qcsc_loop.steps.step import stepping
from qcsc_loop.testing import FakeIBMJob, FakeIBMQuantum, IBMFault
from waiting import until_async

pytestmark = pytest.mark.anyio

QPU = "ibm_manila"
SHOTS = 60
LONGEST_SECONDS = 60.0
TASK_RUNNER = Path(sys.prefix) / "bin" / "task_runner"
RUNNERS: list[Literal["own", "task_runner"]] = ["own", "task_runner"]

on_fake = pytest.mark.parametrize("place", ["fake-slurm"], indirect=True)
on_real = pytest.mark.parametrize("place", ["slurm"], indirect=True)
with_both = pytest.mark.parametrize("runner", RUNNERS)


@pytest.fixture
def ibm() -> Iterator[FakeIBMQuantum]:
    with FakeIBMQuantum() as ibm:
        yield ibm


def site_file(folder: Path, ibm: FakeIBMQuantum) -> Path:
    """What a site gives its jobs with a QPU; nobody else reads it."""
    path = folder / "qpu.sh"
    path.touch(mode=0o600)
    exports = ibm.qrmi_environment(QPU).items()
    path.write_text("".join(f"export {name}={shlex.quote(value)}\n" for name, value in exports))
    return path


@dataclass
class Site:
    """A batch system with a QPU, and the hook that samples there."""

    place: Place
    ibm: FakeIBMQuantum
    hook: Hook
    file: Path

    def machine(self, *more: str, **how: Any) -> HPCMachine:  # fields of the profile
        at = self.place.at(
            executable_map={**self.place.where.executable_map, "task_runner": str(TASK_RUNNER)}
        )
        return at.machine(pre_commands=[f". {shlex.quote(str(self.file))}", *more], **how)

    def sampler(self, machine: HPCMachine | None = None, **settings: Any) -> QRMISampler:
        given = {"resource": QPU, "machine": machine or self.machine(), **settings}
        if given.get("runner") == "task_runner":
            given = {"target": "fake_manila", **given}
        return QRMISampler.model_validate(given)

    async def sampled(self, by: QRMISampler | None = None) -> Samples:
        with anyio.fail_after(LONGEST_SECONDS), stepping(self.hook.step):
            return await (by or self.sampler()).sample(ghz(), shots=SHOTS)

    async def failure(self, by: QRMISampler | None = None) -> JobFailed:
        with pytest.raises(JobFailed) as caught:
            await self.sampled(by)
        return caught.value

    @property
    def tasks(self) -> list[FakeIBMJob]:
        return self.ibm.jobs()

    def folder(self) -> Path:
        """Of the newest job."""
        return Path(self.hook.record.intent.folder)

    def script(self) -> str:
        return (self.folder() / "job.sh").read_text()

    def next_driver(self) -> None:
        """Another process goes on with the run: all it has is the store."""
        old = self.hook.ledger
        self.hook.ledger = Ledger(
            run_id=old.run_id, run_uid=old.run_uid, store=self.hook.store, epoch=old.epoch + 1
        )
        self.hook.ledger.load()


@pytest.fixture
def site(place: Place, ibm: FakeIBMQuantum, hook: Hook, tmp_path: Path) -> Site:
    return Site(place, ibm, hook, site_file(tmp_path, ibm))


def ghz() -> QuantumCircuit:
    circuit = QuantumCircuit(3)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.cx(1, 2)
    circuit.measure_all()
    return circuit


def is_ghz(samples: Samples) -> bool:
    """So many shots of all ones or all zeros, and of both."""
    bits = samples.bits["meas"]
    assert (bits.shape, samples.shots, samples.num_bits) == ((SHOTS, 1), SHOTS, {"meas": 3})
    return set(np.unique(bits).tolist()) == {0b000, 0b111}


# samples


@on_fake
@with_both
async def test_a_job_with_the_qpu_gives_the_circuit_s_bits(
    site: Site, runner: Literal["own", "task_runner"]
) -> None:
    samples = await site.sampled(site.sampler(runner=runner))
    assert is_ghz(samples)
    (task,) = site.tasks
    assert (task.state, task.program, task.backend) == ("Completed", "sampler", QPU)
    assert f"#SBATCH --qpu={QPU}\n" in site.script()
    assert samples.provenance["source"] == "qrmi"
    assert samples.provenance["job_id"] == site.hook.job_id
    assert samples.provenance["settings"]["resource"] == QPU


def turned(other: bool = False) -> QuantumCircuit:
    """A qubit that is turned by an angle, and by pi more."""
    circuit = QuantumCircuit(1, 1)
    circuit.rx(Parameter("angle"), 0)
    if other:
        circuit.x(0)
    circuit.measure(0, 0)
    return circuit


@on_fake
@with_both
async def test_several_circuits_at_several_points_are_one_job_and_one_task(
    site: Site, runner: Literal["own", "task_runner"]
) -> None:
    async def swept() -> SampleArray:
        with anyio.fail_after(LONGEST_SECONDS), stepping(site.hook.step) as step:
            by, circuits = site.sampler(runner=runner), [turned(), turned(other=True)]
            found = await by.sample_all(circuits, [[0.0], [np.pi]], shots=SHOTS)
            assert step.usage["shots"] == 4 * SHOTS
            return found

    found = await swept()
    assert (found.shape, found.shots) == ((2, 2), SHOTS)
    assert found.expectation({"Z": 1.0}).tolist() == [[1, -1], [-1, 1]]
    site.next_driver()
    assert (await swept()).bits["c"].tobytes() == found.bits["c"].tobytes()
    assert (len(site.place.fake.jobs()), len(site.tasks)) == (1, 1)


@on_real
@with_both
async def test_a_real_slurm_hands_out_the_qpu(
    site: Site, runner: Literal["own", "task_runner"]
) -> None:
    # what the job was given is Slurm's own word; the site's file has but the address and the key
    machine = site.machine('export QRMI_JOB_QPU_RESOURCES="$QCSC_QPU"')
    samples = await site.sampled(site.sampler(machine, runner=runner))
    assert is_ghz(samples)
    (task,) = site.tasks
    assert (task.state, task.backend) == ("Completed", QPU)
    assert f"#SBATCH --qpu={QPU}\n" in site.script()


@on_fake
async def test_samples_say_where_they_come_from(site: Site) -> None:
    told = (await site.sampled()).provenance
    assert (told["resource"], told["job_id"]) == (QPU, site.place.fake.jobs()[0].id)
    assert len(told["circuit_sha256"]) == 64
    (circuit,) = told["circuits"]
    assert circuit["depth"] >= 4


@on_fake
@with_both
async def test_no_file_of_a_job_holds_the_key(
    site: Site, runner: Literal["own", "task_runner"]
) -> None:
    await site.sampled(site.sampler(runner=runner))
    secret = site.ibm.secret.encode()
    files = [path for path in site.hook.root.rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if secret in path.read_bytes()] == []


# once


@on_fake
async def test_the_same_step_of_another_driver_gets_the_same_bits_and_no_new_job(
    site: Site,
) -> None:
    first = await site.sampled()
    site.next_driver()
    again = await site.sampled()
    assert again.bits["meas"].tobytes() == first.bits["meas"].tobytes()
    assert again.provenance == first.provenance
    assert (len(site.place.fake.jobs()), len(site.tasks)) == (1, 1)


@on_fake
async def test_a_task_that_was_paid_is_read_until_its_result_comes(site: Site) -> None:
    site.ibm.inject(IBMFault.SERVER_ERROR, request="results", times=2)
    site.ibm.inject(IBMFault.SERVER_ERROR, request="poll", times=2)
    assert is_ghz(await site.sampled())
    assert (len(site.place.fake.jobs()), len(site.tasks)) == (1, 1)


# what goes wrong


@on_fake
async def test_a_failed_task_fails_the_job_in_the_service_s_words(site: Site) -> None:
    site.ibm.inject(IBMFault.JOB_FAILS, reason="the fridge is warm", code=1517)
    failed = await site.failure()
    assert (failed.state, failed.exit_code_of_job) == ("FAILED", 1)
    assert f"{site.tasks[0].id} on {QPU}: Failed" in str(failed)
    # QRMI knows the task's log, and nothing else of why it failed
    assert f"{site.tasks[0].id}: nothing to log" in str(failed)


@on_fake
async def test_a_task_runner_that_leaves_nothing_is_a_failure_whatever_it_says(site: Site) -> None:
    site.ibm.inject(IBMFault.JOB_FAILS, reason="the fridge is warm", code=1517)
    failed = await site.failure(site.sampler(runner="task_runner"))
    assert site.place.fake.jobs()[0].exit_code == OUTPUT_EXIT  # the program itself ended with 0
    assert failed.state == "FAILED"
    assert "output.json" in str(failed)


@on_fake
@with_both
async def test_a_job_that_was_not_given_the_resource_fails_and_names_it(
    site: Site, runner: Literal["own", "task_runner"]
) -> None:
    failed = await site.failure(site.sampler(resource="ibm_torino", runner=runner))
    assert failed.state == "FAILED"
    assert "ibm_torino" in str(failed)
    assert site.tasks == []


@on_fake
async def test_the_attempt_after_a_nodes_death_goes_on_with_the_task(site: Site) -> None:
    site.ibm.hold()
    site.place = site.place.at(extra_directives=list(site.place.once))
    asked = asyncio.create_task(site.sampled())
    await until_async(lambda: asked.done() or site.tasks, "the QPU has a task")
    first = site.folder()
    await until_async(lambda: (first / "task.json").exists(), "the job knows its task")
    (job,) = site.place.queue.alive()
    site.place.queue.fail_node(job)
    await until_async(lambda: asked.done() or site.folder() != first, "there is another attempt")
    site.ibm.release()
    assert is_ghz(await asked)
    assert [task.state for task in site.tasks] == ["Completed"]


@on_fake
async def test_a_requeued_job_goes_on_with_its_task(site: Site) -> None:
    site.ibm.hold()
    asked = asyncio.create_task(site.sampled())
    await until_async(lambda: asked.done() or site.tasks, "the QPU has a task")
    await until_async(lambda: (site.folder() / "task.json").exists(), "the job knows its task")
    (job,) = site.place.queue.alive()
    site.place.queue.requeue(job)
    output = site.folder() / "output.log"
    await until_async(
        lambda: asked.done() or "going on with task" in output.read_text(), "it goes on"
    )
    site.ibm.release()
    assert is_ghz(await asked)
    assert [task.state for task in site.tasks] == ["Completed"]


# a real one: the fake ends a job as soon as its script has, whatever the script's programs still do
@on_real
@with_both
async def test_a_cancelled_step_leaves_neither_job_nor_task(
    site: Site, runner: Literal["own", "task_runner"]
) -> None:
    site.ibm.hold()
    asked = asyncio.create_task(site.sampled(site.sampler(runner=runner)))
    await until_async(lambda: asked.done() or site.tasks, "the QPU has a task")
    output = site.folder() / "output.log"
    await until_async(lambda: site.tasks[0].id in output.read_text(), "the job knows its task")
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert site.place.queue.alive() == []
    assert site.hook.states[-1] is JobState.CANCELLED
    assert [task.state for task in site.tasks] == ["Cancelled"]


async def test_this_machine_hands_out_no_qpu() -> None:
    with pytest.raises(JobRefused, match="handed out by a batch system"):
        await QRMISampler(resource=QPU, machine=LocalMachine()).sample(ghz(), shots=SHOTS)
