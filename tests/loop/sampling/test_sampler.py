"""Sources of samples other than a real QPU: the same bits for the same step, whoever asks."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Unpack

import anyio
import numpy as np
import psutil
import pytest
from pydantic import ValidationError
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit.library import PauliEvolutionGate, RYGate
from qiskit.primitives import BitArray
from qiskit.quantum_info import SparsePauliOp

from loop.sampling.sampling_toys import (
    Parts,
    Sampling,
    Seen,
    bits_sha256,
    compilations,
    digests,
    rotated,
)
from loop.toys import Counting, environment
from other_process import printed_by
from qcsc_algorithms.bitcount import BitCount
from qcsc_hpc.machine import LocalMachine
from qcsc_loop.errors import HookFailed, InvalidParameters, RunNotFound, SamplingFailed
from qcsc_loop.loop.options import RunOptions
from qcsc_loop.loop.outcome import Outcome
from qcsc_loop.rules.stop import MaxIterations
from qcsc_loop.sampling import packing
from qcsc_loop.sampling.aer.sampler import AerSampler
from qcsc_loop.sampling.compiling import compile_circuit
from qcsc_loop.sampling.fake_backend_sampler import FakeBackendSampler
from qcsc_loop.sampling.fake_backends import fake_backend
from qcsc_loop.sampling.identity import circuit_bytes, circuit_sha256
from qcsc_loop.sampling.packing import draw_bits, flip_bits
from qcsc_loop.sampling.random_bits import RandomSampler
from qcsc_loop.sampling.replay import ReplaySampler
from qcsc_loop.sampling.sampler import Sampler
from qcsc_loop.sampling.samples import Samples
from qcsc_loop.steps.step import Step, stepping
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.memory import MemoryStore
from qcsc_loop.values.codec import Codec

COUNTED = "loop.sampling.sampling_toys:counted"
WIDTHS = [1, 7, 8, 9, 16]

SAMPLERS: dict[str, Sampler] = {
    "random": RandomSampler(),
    "aer": AerSampler(),
    "aer-flipped": AerSampler(bit_flip=0.1),
    "aer-noise": AerSampler(noise_of="fake_manila"),
    "fake-backend": FakeBackendSampler(),
}
QUICK = ["random", "aer", "aer-flipped"]


@pytest.fixture(params=SAMPLERS)
def sampler(request: pytest.FixtureRequest) -> Sampler:
    return SAMPLERS[request.param]


@pytest.fixture(autouse=True)
def _no_compilations() -> Iterator[None]:
    compilations.clear()
    yield
    compilations.clear()


def sampled(
    by: Sampler, circuit: QuantumCircuit | None = None, *, shots: int = 50, step: Step | None = None
) -> Samples:
    async def sample() -> Samples:
        with stepping(step or step_of({})):
            return await by.sample(circuit or rotated(3), shots=shots)

    return anyio.run(sample)


def ran(algorithm: Sampling | Parts, **options: Unpack[RunOptions]) -> Outcome[Seen]:
    options.setdefault("store", MemoryStore())
    return anyio.run(lambda: algorithm.run(**options))


def step_of(other: dict[str, Any]) -> Step:
    return Step(**{"run_seed": 7, "iteration": 3, "name": "sample", **other})


# every source


def test_the_same_step_gives_the_same_samples(sampler: Sampler) -> None:
    again = Step(run_seed=7, iteration=3, name="sample", attempt=1)

    assert sampled(sampler) == sampled(sampler, step=again)


@pytest.mark.parametrize(
    "other", [{"run_seed": 8}, {"iteration": 4}, {"label": "a"}], ids=["seed", "iteration", "label"]
)
@pytest.mark.parametrize("name", QUICK)
def test_another_step_gives_other_bits(name: str, other: dict[str, Any]) -> None:
    one, two = (sampled(SAMPLERS[name], step=step) for step in (None, step_of(other)))

    assert bits_sha256(one) != bits_sha256(two)


SAMPLED_ELSEWHERE = """
import sys
import anyio
from loop.sampling.sampling_toys import bits_sha256, rotated
from qcsc_loop.sampling.sampler import Sampler
from qcsc_loop.steps.step import Step, stepping

async def sample():
    for settings in sys.argv[1:]:
        with stepping(Step(run_seed=7, iteration=3, name="sample")):
            samples = await Sampler.model_validate_json(settings).sample(rotated(3), shots=50)
            print(bits_sha256(samples), samples.provenance.get("circuit_sha256"))

anyio.run(sample)
"""


def test_the_same_step_gives_the_same_bits_in_another_process() -> None:
    settings = [sampler.model_dump_json() for sampler in SAMPLERS.values()]
    here = [sampled(sampler) for sampler in SAMPLERS.values()]

    told = printed_by(SAMPLED_ELSEWHERE, *settings, **environment(), PYTHONHASHSEED="1")

    assert [line.split() for line in told.splitlines()] == [
        [bits_sha256(samples), str(samples.provenance.get("circuit_sha256"))] for samples in here
    ]


def test_samples_say_how_they_came_about(sampler: Sampler) -> None:
    samples = sampled(sampler)
    told = samples.provenance

    assert json.loads(json.dumps(told)) == told
    assert told["source"] == sampler.type
    assert Sampler.model_validate(told["settings"]) == sampler


def test_samples_are_laid_out_as_qiskit_does(sampler: Sampler) -> None:
    samples = sampled(sampler)

    array = BitArray(samples.bits["meas"], samples.num_bits["meas"])
    assert (array.num_shots, array.num_bits, samples.shots) == (50, 3, 50)
    assert not (samples.bits["meas"] >> 3).any()


def test_samples_come_back_from_a_document(sampler: Sampler) -> None:
    codec: Codec[Samples] = Codec(Samples)
    samples = sampled(sampler)

    assert codec.decode(codec.encode(samples)) == samples


def test_samples_of_two_registers_come_back_from_a_document() -> None:
    qubits = QuantumRegister(10)
    low, high = ClassicalRegister(1, "low"), ClassicalRegister(9, "high")
    circuit = QuantumCircuit(qubits, low, high)
    circuit.h(qubits)
    circuit.measure(qubits, [*low, *high])
    codec: Codec[Samples] = Codec(Samples)

    for source in (RandomSampler(), AerSampler(bit_flip=0.1)):
        samples = sampled(source, circuit, shots=3000)

        assert samples.num_bits == {"low": 1, "high": 9}
        assert not (samples.bits["high"][:, 0] >> 1).any()
        assert codec.decode(codec.encode(samples)) == samples


def test_shots_are_counted_as_spent(sampler: Sampler) -> None:
    step = step_of({})

    sampled(sampler, shots=30, step=step)
    sampled(sampler, shots=12, step=step)

    assert step.usage == {"shots": 42}


@pytest.mark.parametrize("name", QUICK)
def test_a_runs_outcome_tells_the_shots_of_all_its_iterations(name: str) -> None:
    outcome = ran(Sampling(sampler=SAMPLERS[name], shots=40), stop=MaxIterations(3))

    assert outcome.usage == {"shots": 120}


# runs


@pytest.mark.parametrize("name", QUICK)
def test_a_resumed_run_has_the_bits_of_one_that_went_through(name: str) -> None:
    algorithm, store = Sampling(sampler=SAMPLERS[name]), MemoryStore()
    through = ran(algorithm, stop=MaxIterations(4), seed=3)

    ran(algorithm, stop=MaxIterations(2), seed=3, store=store, run_id="twice")
    resumed = ran(algorithm, stop=MaxIterations(4), store=store, run_id="twice", seed=3)

    assert resumed.resumed_from == 2
    assert digests(resumed) == digests(through)
    assert resumed.usage == through.usage


def test_a_resumed_run_uses_the_samples_of_a_step_that_was_finished() -> None:
    store, algorithm = MemoryStore(), Sampling(sampler=AerSampler(pass_manager=COUNTED))
    through = ran(algorithm, stop=MaxIterations(2))
    compilations.clear()

    with pytest.raises(HookFailed, match="told to fail"):
        ran(
            algorithm.model_copy(update={"fails": 2}),
            stop=MaxIterations(2),
            store=store,
            run_id="once",
        )
    sampled_before = len(compilations)
    resumed = ran(algorithm, stop=MaxIterations(2), store=store, run_id="once")

    assert (sampled_before, len(compilations)) == (2, 2)
    assert digests(resumed) == digests(through)
    assert resumed.usage == through.usage


RUN_ELSEWHERE = """
import sys
import anyio
from loop.sampling.sampling_toys import Sampling
from qcsc_loop.sampling.sampler import Sampler
from qcsc_loop.rules.stop import MaxIterations
from qcsc_loop.store.directory import DirectoryStore

store, run_id, limit, sampler = sys.argv[1:]
algorithm = Sampling(sampler=Sampler.model_validate_json(sampler))
options = {"store": DirectoryStore(store), "run_id": run_id, "stop": MaxIterations(int(limit))}
print(anyio.run(lambda: algorithm.run(**options)).state_sha256)
"""


@pytest.mark.parametrize("name", QUICK)
def test_a_run_that_another_process_resumes_has_the_same_bits(name: str, tmp_path: Path) -> None:
    settings = SAMPLERS[name].model_dump_json()
    through = ran(Sampling(sampler=SAMPLERS[name]), stop=MaxIterations(3))

    store = DirectoryStore(tmp_path)
    ran(Sampling(sampler=SAMPLERS[name]), stop=MaxIterations(1), store=store, run_id="moved")
    there = printed_by(RUN_ELSEWHERE, str(tmp_path), "moved", "3", settings, **environment())

    assert there == through.state_sha256


# random bits


@pytest.mark.parametrize("num_bits", WIDTHS)
def test_random_bits_fill_their_bytes_and_leave_the_spare_ones_zero(num_bits: int) -> None:
    bits = draw_bits(np.random.default_rng(1), 4000, num_bits)

    array = BitArray(bits, num_bits)
    ones = np.unpackbits(bits, axis=1)[:, -num_bits:].mean(axis=0)
    assert array.num_shots == 4000
    assert np.unpackbits(bits, axis=1)[:, :-num_bits].sum() == 0
    # eight standard deviations: fails for a wrong distribution, not by chance
    assert np.abs(ones - 0.5).max() < 8 * 0.5 / 4000**0.5


def test_random_bits_can_be_written_to() -> None:
    bits = draw_bits(np.random.default_rng(1), 10, 3)

    bits[:] = 0

    assert not bits.any()


def test_no_shots_and_no_bits_are_empty_arrays() -> None:
    assert draw_bits(np.random.default_rng(1), 0, 9).shape == (0, 2)
    assert draw_bits(np.random.default_rng(1), 5, 0).shape == (5, 0)


def peak_bytes(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_random_bits_take_no_byte_for_each_bit() -> None:
    packed = 200_000 * 5

    peak = peak_bytes(lambda: draw_bits(np.random.default_rng(1), 200_000, 40))

    assert peak < 5 * packed  # what numpy needs to draw them; a byte a bit would be 8


def test_flipping_takes_little_more_than_the_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "CHUNK_BYTES", 1 << 18)
    bits = np.zeros((200_000, 5), np.uint8)

    peak = peak_bytes(lambda: flip_bits(np.random.default_rng(1), bits, 40, 0.1))

    assert peak < 2 * bits.nbytes  # numbers for all of them at once would be 64


# flipped bits


@pytest.mark.parametrize("num_bits", WIDTHS)
def test_flipping_never_leaves_the_bits_alone_and_always_turns_them(num_bits: int) -> None:
    rng = np.random.default_rng(1)
    bits = draw_bits(rng, 100, num_bits)
    every = np.packbits(np.arange(8 * bits.shape[1]) >= 8 * bits.shape[1] - num_bits)

    assert (flip_bits(rng, bits, num_bits, 0.0) == bits).all()
    assert (flip_bits(rng, bits, num_bits, 1.0) == bits ^ every).all()


def test_flipping_does_not_change_what_it_is_given() -> None:
    bits = np.zeros((10, 1), np.uint8)
    bits.flags.writeable = False

    flip_bits(np.random.default_rng(1), bits, 8, 1.0)

    assert not bits.any()


def test_flipping_in_pieces_gives_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    bits = draw_bits(np.random.default_rng(1), 1000, 9)
    whole = flip_bits(np.random.default_rng(2), bits, 9, 0.3)
    monkeypatch.setattr(packing, "CHUNK_BYTES", 1000)

    assert (flip_bits(np.random.default_rng(2), bits, 9, 0.3) == whole).all()


def test_each_measured_bit_is_flipped_with_the_same_probability() -> None:
    circuit = QuantumCircuit(10)
    circuit.x([0, 9])
    circuit.measure_all()

    samples = sampled(AerSampler(bit_flip=0.1), circuit, shots=20_000)

    ones = np.unpackbits(samples.bits["meas"], axis=1)[:, -10:].mean(axis=0)[::-1]
    expected = np.where(np.isin(np.arange(10), [0, 9]), 0.9, 0.1)
    # eight standard deviations
    assert np.abs(ones - expected).max() < 8 * 0.3 / 20_000**0.5


def test_bits_are_flipped_independently_of_each_other() -> None:
    circuit = QuantumCircuit(2)
    circuit.measure_all()

    samples = sampled(AerSampler(bit_flip=0.5), circuit, shots=20_000)

    counts = np.bincount(samples.bits["meas"][:, 0], minlength=4) / 20_000
    assert np.abs(counts - 0.25).max() < 8 * (0.25 * 0.75 / 20_000) ** 0.5


def test_noise_that_is_no_probability_is_refused() -> None:
    with pytest.raises(ValidationError, match="bit_flip"):
        AerSampler(bit_flip=1.5)


# a fake backend's noise


def all_ones(num_qubits: int) -> QuantumCircuit:
    circuit = QuantumCircuit(num_qubits)
    circuit.x(range(num_qubits))
    circuit.measure_all()
    return circuit


@pytest.mark.parametrize("name", ["aer-noise", "fake-backend"])
def test_a_fake_backend_errs_sometimes(name: str) -> None:
    samples = sampled(SAMPLERS[name], all_ones(5), shots=1000)

    right = (samples.bits["meas"][:, 0] == 0b11111).mean()
    assert 0.5 < right < 1.0


@pytest.mark.parametrize(
    "sampler", [AerSampler(noise_of="fake_manla"), FakeBackendSampler(backend="fake_manla")]
)
def test_a_fake_backend_that_is_none_is_answered_with_those_like_it(sampler: Sampler) -> None:
    with pytest.raises(InvalidParameters, match=r"no fake backend 'fake_manla'.*fake_manila"):
        sampled(sampler)


def test_a_circuit_wider_than_the_fake_backend_is_a_failure() -> None:
    with pytest.raises(SamplingFailed, match=r"^fake_manila gave no samples: "):
        sampled(FakeBackendSampler(), rotated(6))


# Aer in a process that can be killed


def test_a_simulation_in_a_process_of_its_own_gives_the_bits_of_a_thread() -> None:
    thread, process = AerSampler(bit_flip=0.1), AerSampler(bit_flip=0.1, timeout=60)

    assert bits_sha256(sampled(process)) == bits_sha256(sampled(thread))


def endless() -> QuantumCircuit:
    """Minutes of simulation in 64 MB."""
    circuit = QuantumCircuit(22)
    for layer in range(400):
        for qubit in range(22):
            circuit.ry(0.1 + layer + qubit, qubit)
        for qubit in range(21):
            circuit.cx(qubit, qubit + 1)
    circuit.measure_all()
    return circuit


def test_a_simulation_that_takes_too_long_is_killed() -> None:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    left: list[str] = []

    async def sample() -> None:
        with stepping(step_of({})):
            # the process is there, and has imported Aer
            await AerSampler(timeout=60).sample(rotated(2), shots=1)
            sampler = AerSampler(timeout=0.5, method="statevector", optimization_level=0)
            with pytest.raises(SamplingFailed, match=r"took longer than 0.5 s"):
                await sampler.sample(endless(), shots=1)
            left.extend(
                " ".join(child.cmdline())
                for child in psutil.Process().children(recursive=True)
                if child.pid not in before and child.status() != psutil.STATUS_ZOMBIE
            )

    anyio.run(sample)

    assert left == []


# pass managers


def test_a_pass_manager_of_ones_own_is_called_with_the_backend_and_a_seed() -> None:
    sampled(AerSampler(noise_of="fake_manila", pass_manager=COUNTED))
    sampled(FakeBackendSampler(pass_manager=COUNTED))

    (first, one), (second, other) = compilations
    assert ("manila" in first, second) == (True, "fake_manila")
    assert one == other  # of the run and the circuit, not of the step


@pytest.mark.parametrize("kind", [AerSampler, FakeBackendSampler])
@pytest.mark.parametrize(
    "reference", ["nothing", "no.such.module:f", "json:nothing", "json", ":f", "json:"]
)
def test_a_pass_manager_that_cannot_be_found_is_named(
    reference: str, kind: type[AerSampler | FakeBackendSampler]
) -> None:
    with pytest.raises(InvalidParameters, match=f"pass_manager: '{reference}' cannot be found"):
        sampled(kind(pass_manager=reference))


@pytest.mark.parametrize("kind", [AerSampler, FakeBackendSampler])
def test_a_pass_manager_that_raises_is_a_failure_that_says_why(
    kind: type[AerSampler | FakeBackendSampler],
) -> None:
    with pytest.raises(SamplingFailed, match="ArithmeticError: no pass manager for"):
        sampled(kind(pass_manager="loop.sampling.sampling_toys:refusing"))


# compiling


def test_a_circuit_is_compiled_once_in_a_run() -> None:
    sampler = AerSampler(pass_manager=COUNTED)

    ran(Sampling(sampler=sampler, turning=False), stop=MaxIterations(4))

    assert len(compilations) == 1


def test_each_circuit_is_compiled_for_itself() -> None:
    ran(Sampling(sampler=AerSampler(pass_manager=COUNTED)), stop=MaxIterations(3))

    assert len(compilations) == len(set(compilations)) == 3


def test_a_run_with_another_seed_compiles_with_another_seed() -> None:
    algorithm = Sampling(sampler=AerSampler(pass_manager=COUNTED))

    ran(algorithm, stop=MaxIterations(1), seed=1)
    ran(algorithm, stop=MaxIterations(1), seed=2)

    assert len(set(compilations)) == 2


def wide() -> QuantumCircuit:
    """A circuit for which the transpiler has to choose at random."""
    circuit = QuantumCircuit(5)
    for one in range(5):
        for other in range(one):
            circuit.cx(one, other)
    circuit.measure_all()
    return circuit


COMPILED_ELSEWHERE = """
import anyio
from loop.sampling.test_sampler import compiled_sha256
print(compiled_sha256(iteration=9))
"""


def compiled_sha256(iteration: int) -> str:
    """Of a circuit as a fake backend compiles it in an iteration of a run."""
    step = Step(run_seed=7, iteration=iteration, name="sample")
    sampler = FakeBackendSampler(optimization_level=3)
    return str(sampled(sampler, wide(), shots=1, step=step).provenance["circuit_sha256"])


def test_a_circuit_is_compiled_alike_in_another_iteration_of_another_process() -> None:
    here = compiled_sha256(iteration=3)

    assert printed_by(COMPILED_ELSEWHERE, **environment(), PYTHONHASHSEED="2") == here


def test_a_resumed_run_compiles_as_the_one_that_was_interrupted(tmp_path: Path) -> None:
    sampler, store = FakeBackendSampler(optimization_level=3), DirectoryStore(tmp_path)
    algorithm = Sampling(sampler=sampler, turning=False, shots=2)
    kept: list[str] = []

    for limit in (1, 2):
        ran(algorithm, stop=MaxIterations(limit), store=store, run_id="compiled")
        found = printed_by(SHOWN, str(tmp_path), "compiled", str(limit), **environment())
        kept.append(found)

    assert kept[0] == kept[1]


SHOWN = """
import sys
from loop.sampling.sampling_toys import Sampling
from qcsc_loop.loop.hooks import hook_types
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal

store, run_id, iteration = sys.argv[1:]
found = Journal(DirectoryStore(store), run_id).step(int(iteration), "sample")
print(hook_types(Sampling).samples.decode(found[1]).provenance["circuit_sha256"])
"""


def evolved() -> QuantumCircuit:
    circuit = QuantumCircuit(2)
    circuit.append(
        PauliEvolutionGate(SparsePauliOp.from_list([("XX", 1.0), ("ZI", 0.5)]), time=0.3), [0, 1]
    )
    return circuit


def controlled() -> QuantumCircuit:
    circuit = QuantumCircuit(3)
    circuit.append(RYGate(0.2).control(2), [0, 1, 2])
    return circuit


def made_of_circuits() -> QuantumCircuit:
    """Its part has no name but the number that qiskit gives it."""
    part = QuantumCircuit(2)
    part.h(0)
    part.cx(0, 1)
    circuit = QuantumCircuit(2)
    circuit.append(part, [0, 1])
    return circuit


def branching() -> QuantumCircuit:
    circuit = QuantumCircuit(2, 1)
    circuit.h(0)
    circuit.measure(0, 0)
    with circuit.if_test((0, 1)):
        circuit.x(1)
    return circuit


CIRCUITS = [lambda: rotated(3), evolved, controlled, made_of_circuits, branching]


@pytest.mark.parametrize("make", CIRCUITS, ids=["plain", "evolved", "controlled", "parts", "if"])
def test_equal_circuits_have_equal_hashes_whatever_qiskit_calls_them(
    make: Callable[[], QuantumCircuit],
) -> None:
    one, other = make(), make()
    other.name, other.metadata = "another", {"made": "later"}

    assert circuit_bytes(one) == circuit_bytes(one)
    assert circuit_sha256(one) == circuit_sha256(other)


def test_a_circuit_that_was_compiled_before_has_the_same_hash_each_time() -> None:
    ready = compile_circuit(rotated(3), fake_backend("fake_manila"), 1, 1, "")

    assert ready.layout is not None
    assert len({circuit_sha256(ready) for _ in range(50)}) == 1


def test_other_circuits_have_other_hashes() -> None:
    hashes = {circuit_sha256(rotated(3, 0.1 * turn)) for turn in range(3)}

    assert len(hashes) == 3


def test_hashing_a_circuit_leaves_it_as_it_is() -> None:
    circuit = rotated(3)
    circuit.name, circuit.metadata = "mine", {"of": "mine"}

    circuit_sha256(circuit)

    assert (circuit.name, circuit.metadata) == ("mine", {"of": "mine"})


# replay


@pytest.fixture
def recorded(tmp_path: Path) -> Callable[..., ReplaySampler]:
    """Makes a run of five iterations, and gives the sampler that has its samples."""

    def record(
        algorithm: Sampling | Parts, *, seed: int = 0, keep: int | None = 10
    ) -> ReplaySampler:
        store, limit = DirectoryStore(tmp_path / "recorded"), MaxIterations(5)
        ran(algorithm, store=store, run_id="recorded", stop=limit, seed=seed, keep=keep)
        return ReplaySampler(run_id="recorded", store=str(tmp_path / "recorded"))

    return record


def test_a_replayed_bitcount_ends_in_the_same_state(tmp_path: Path) -> None:
    store, limit = DirectoryStore(tmp_path), MaxIterations(2)
    original = BitCount(num_qubits=3, shots=100, tolerance=0, machine=LocalMachine(ranks=1))
    replay = ReplaySampler(run_id="original", store=str(tmp_path))

    first = anyio.run(lambda: original.run(store=store, stop=limit, run_id="original", seed=5))
    again = original.model_copy(update={"sampler": replay})
    second = anyio.run(lambda: again.run(store=store, stop=limit, run_id="replayed", seed=6))

    assert second.state_sha256 == first.state_sha256


def test_a_replay_gives_the_bits_of_the_same_iteration(
    recorded: Callable[..., ReplaySampler],
) -> None:
    replay = recorded(Sampling(sampler=AerSampler()), seed=1)

    again = ran(Sampling(sampler=replay), stop=MaxIterations(5), seed=2)

    assert digests(again) == digests(
        ran(Sampling(sampler=AerSampler()), stop=MaxIterations(5), seed=1)
    )
    assert again.usage == {"shots": 0} or "shots" not in again.usage


def test_a_resumed_replay_goes_on_where_it_was(recorded: Callable[..., ReplaySampler]) -> None:
    algorithm, store = Sampling(sampler=recorded(Sampling(sampler=AerSampler()))), MemoryStore()

    ran(algorithm, stop=MaxIterations(2), store=store, run_id="again")
    resumed = ran(algorithm, stop=MaxIterations(5), store=store, run_id="again")

    assert digests(resumed) == digests(ran(algorithm, stop=MaxIterations(5)))


def test_a_replay_tells_what_it_replays(recorded: Callable[..., ReplaySampler]) -> None:
    replay = recorded(Sampling(sampler=AerSampler(bit_flip=0.1)))

    told = sampled(replay, step=step_of({})).provenance

    assert (told["source"], told["settings"]["run_id"]) == ("replay", "recorded")
    assert told["original"]["settings"]["bit_flip"] == 0.1


def test_a_replay_can_begin_later(recorded: Callable[..., ReplaySampler]) -> None:
    replay = recorded(Sampling(sampler=AerSampler()))
    shifted = replay.model_copy(update={"first": 3})

    third, first = (
        sampled(by, step=step_of({"iteration": iteration}))
        for by, iteration in ((replay, 3), (shifted, 1))
    )

    assert bits_sha256(first) == bits_sha256(third)


def test_an_iteration_that_the_other_run_never_had_is_named(
    recorded: Callable[..., ReplaySampler],
) -> None:
    replay = recorded(Sampling(sampler=RandomSampler()))

    with pytest.raises(HookFailed, match=r"'?recorded'? has kept no sample of iteration 6"):
        ran(Sampling(sampler=replay), stop=MaxIterations(6))


def test_an_iteration_that_was_pruned_is_named(recorded: Callable[..., ReplaySampler]) -> None:
    replay = recorded(Sampling(sampler=RandomSampler()), keep=2)

    with pytest.raises(SamplingFailed, match=r"has kept no sample of iteration 1; .*--keep"):
        sampled(replay, step=step_of({"iteration": 1}))
    assert sampled(replay, step=step_of({"iteration": 5})).shots == 50


def test_other_shots_than_were_taken_are_refused(recorded: Callable[..., ReplaySampler]) -> None:
    replay = recorded(Sampling(sampler=RandomSampler()))

    with pytest.raises(SamplingFailed, match="took 50 shots, not 51"):
        sampled(replay, shots=51)


def test_a_replay_gives_each_label_its_own_samples(recorded: Callable[..., ReplaySampler]) -> None:
    replay = recorded(Parts(sampler=RandomSampler()), seed=1)

    again = ran(Parts(sampler=replay), stop=MaxIterations(5), seed=2)

    assert digests(again) == digests(
        ran(Parts(sampler=RandomSampler()), stop=MaxIterations(5), seed=1)
    )


def test_a_label_that_the_other_run_did_not_have_is_named(
    recorded: Callable[..., ReplaySampler],
) -> None:
    replay = recorded(Parts(sampler=RandomSampler()))

    with pytest.raises(SamplingFailed, match=r"recorded 'middle' of it is no Samples"):
        sampled(replay, shots=20, step=step_of({"label": "middle"}))


def test_a_run_that_sampled_something_else_cannot_be_replayed(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    anyio.run(lambda: Counting().run(store=store, run_id="counting", stop=MaxIterations(3)))

    with pytest.raises(SamplingFailed, match="in run counting what it sampled is no Samples"):
        sampled(ReplaySampler(run_id="counting", store=str(tmp_path)))


def test_a_damaged_record_is_a_failure(
    recorded: Callable[..., ReplaySampler], tmp_path: Path
) -> None:
    replay = recorded(Sampling(sampler=RandomSampler()))
    for path in (tmp_path / "recorded").rglob("steps/*3.sample*"):
        path.write_bytes(b"{}")

    with pytest.raises(SamplingFailed, match=r"replay gave no samples: .*damaged"):
        sampled(replay)


def test_a_run_that_is_not_there_is_answered_with_those_that_are(
    recorded: Callable[..., ReplaySampler],
) -> None:
    replay = recorded(Sampling(sampler=RandomSampler()))
    other = replay.model_copy(update={"run_id": "other"})

    with pytest.raises(RunNotFound, match=r"no run 'other'.*recorded"):
        sampled(other)


def test_a_run_id_that_leads_out_of_the_store_is_refused() -> None:
    with pytest.raises(ValidationError, match="run_id"):
        ReplaySampler(run_id="../elsewhere")
