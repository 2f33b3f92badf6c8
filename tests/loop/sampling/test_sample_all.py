"""Several circuits in one call: their shape, their bits, what they cost, and that they are once."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from pydantic import SerializeAsAny, ValidationError
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import ParameterVector

from loop.sampling.sampling_toys import rotated
from qcsc_loop import (
    AerSampler,
    FakeBackendSampler,
    IterativeAlgorithm,
    MaxIterations,
    Outcome,
    RandomSampler,
    ReplaySampler,
    SampleArray,
    Sampler,
    Samples,
    Shots,
    State,
)
from qcsc_loop.errors import HookFailed, NothingMeasured
from qcsc_loop.sampling.batch import Batch
from qcsc_loop.sampling.packing import draw_bits
from qcsc_loop.steps.step import Step, current_step, stepping
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.memory import MemoryStore
from qcsc_loop.values.codec import Codec

calls: list[str] = []
ANGLES = np.linspace(0, np.pi, 6).reshape(3, 2, 1)


class OneByOne(Sampler):
    """A source that knows nothing of batches, as those of other distributions."""

    type: str = "one-by-one"

    async def sample(self, circuit: QuantumCircuit, *, shots: int) -> Samples:
        step = current_step()
        calls.append(step.label)
        step.spend(shots=shots)
        widths = {register.name: register.size for register in circuit.cregs}
        bits = {name: draw_bits(step.rng, shots, width) for name, width in widths.items()}
        return Samples(bits=bits, num_bits=widths, shots=shots, provenance={"label": step.label})


SAMPLERS: dict[str, Sampler] = {
    "one-by-one": OneByOne(),
    "random": RandomSampler(),
    "aer": AerSampler(),
    "aer-flipped": AerSampler(bit_flip=0.1),
    "fake-backend": FakeBackendSampler(),
}


@pytest.fixture(params=SAMPLERS)
def sampler(request: pytest.FixtureRequest) -> Sampler:
    return SAMPLERS[request.param]


def sampled(
    by: Sampler,
    circuits: Any,
    parameters: Any = None,
    *,
    shots: int = 20,
    step: Step | None = None,
) -> SampleArray:
    async def all_of_them() -> SampleArray:
        with stepping(step or Step(run_seed=3)):
            return await by.sample_all(circuits, parameters, shots=shots)

    return anyio.run(all_of_them)


def turned(axes: int = 1) -> QuantumCircuit:
    """One qubit, turned by each parameter in turn: 1 with certainty where they add up to pi."""
    circuit = QuantumCircuit(axes)
    for qubit, angle in enumerate(ParameterVector("t", axes)):
        circuit.rx(angle, qubit)
    circuit.measure_all()
    return circuit


def test_a_list_of_circuits_gives_an_entry_each(sampler: Sampler) -> None:
    step = Step(run_seed=3)
    found = sampled(sampler, [rotated(3), rotated(3, 0.5)], shots=20, step=step)
    assert (found.shape, found.shots, found.num_bits) == ((2,), 20, {"meas": 3})
    assert found.bits["meas"].shape == (2, 20, 1) and found.bits["meas"].dtype == np.uint8
    assert step.usage["shots"] == 40
    assert isinstance(found[1], Samples) and found[1].shots == 20
    assert found == sampled(sampler, [rotated(3), rotated(3, 0.5)], shots=20)


def test_a_sweep_has_the_shape_of_its_parameters(sampler: Sampler) -> None:
    step = Step(run_seed=3)
    found = sampled(sampler, turned(), ANGLES, step=step)
    assert found.shape == (3, 2) and found.bits["meas"].shape == (3, 2, 20, 1)
    assert step.usage["shots"] == 120
    several = sampled(sampler, [turned(), turned()], ANGLES)
    assert several.shape == (2, 3, 2)
    assert several[0].shape == (3, 2) and several[0, 1].shape == (2,)
    assert isinstance(several[0, 1, 1], Samples) and len(several.flat()) == 12


def test_each_entry_is_of_its_circuit_and_of_its_point() -> None:
    sure = sampled(AerSampler(), turned(2), [[0, 0], [np.pi, 0], [0, np.pi], [np.pi, np.pi]])
    assert [samples.counts().to_dict() for samples in sure.flat()] == [
        {"00": 20},
        {"01": 20},
        {"10": 20},
        {"11": 20},
    ]
    flipped = turned(2).copy()
    flipped.x(0)
    flipped.measure_all(inplace=True, add_bits=False)
    both = sampled(AerSampler(), [turned(2), flipped], [[0, 0], [np.pi, 0]])
    zeros = both.expectation({"IZ": 1.0})
    assert zeros.tolist() == [[1, -1], [-1, 1]] and zeros.shape == both.shape
    assert (both.standard_error({"IZ": 1.0}) == 0).all()


def test_parameters_that_compiling_takes_away_are_not_given() -> None:
    circuit = QuantumCircuit(1, 1)
    circuit.rx(ParameterVector("a", 1)[0], 0)
    circuit.rz(ParameterVector("b", 1)[0], 0)  # before a measurement: of no effect
    circuit.measure(0, 0)
    found = sampled(AerSampler(optimization_level=3), circuit, [[0.0, 0.3], [np.pi, 0.7]])
    assert [samples.bitstrings()[0] for samples in found.flat()] == ["0", "1"]


def test_registers_that_nobody_named_are_told_apart_by_their_place() -> None:
    def unnamed(bit: int) -> QuantumCircuit:
        circuit = QuantumCircuit(QuantumRegister(2), ClassicalRegister(2), ClassicalRegister(1))
        circuit.x(bit)
        circuit.measure([0, 1], [0, 1])
        return circuit

    found = sampled(AerSampler(), [unnamed(0), unnamed(1)])
    first = next(iter(found.num_bits))
    assert [one.counts(first).to_dict() for one in found.flat()] == [{"01": 20}, {"10": 20}]


@pytest.mark.parametrize(
    ("circuits", "parameters", "why"),
    [
        ([], None, "there are no circuits"),
        ([rotated(3), rotated(4)], None, "same classical registers"),
        ([turned()], None, "1 parameters without a value"),
        ([turned()], [[0.1, 0.2]], "last axis is one circuit's parameters"),
        ([turned()], 0.1, "last axis"),
        ([turned()], [[np.nan]], "finite numbers"),
        ([turned()], np.zeros((0, 1)), "nothing to sample"),
        ([rotated(2)], [[0.1]], "0 parameters"),
        ([turned()], [[0.1 + 1j]], "parameters: .* these are complex"),
        ([turned()], [["much"]], "parameters: real numbers are asked for"),
        (None, None, "is a QuantumCircuit, not None"),
        ([None], None, "is a QuantumCircuit, not None"),
        ("circuit", None, "is circuits, not 'circuit'"),
    ],
)
def test_what_cannot_be_sampled_together_is_refused(
    circuits: list[QuantumCircuit], parameters: Any, why: str
) -> None:
    step = Step()
    with pytest.raises(ValueError, match=why):
        sampled(RandomSampler(), circuits, parameters, step=step)
    assert not step.usage


NO_SHOTS: list[Any] = ["10", None, [10, 20], 0, -1, 10.0, True]


@pytest.mark.parametrize("shots", NO_SHOTS, ids=repr)
def test_what_is_no_number_of_shots_is_refused(sampler: Sampler, shots: Any) -> None:
    step = Step()
    with pytest.raises(ValueError, match="shots is a whole number from 1 on"):
        sampled(sampler, rotated(2), shots=shots, step=step)
    assert not step.usage


@pytest.mark.parametrize(
    ("circuit", "why"),
    [
        (None, "is a QuantumCircuit, not None"),
        ([rotated(1), rotated(1)], r"several go to sample_all\(\)"),
        (turned(2), r"2 parameters without a value: bind them .* or give it to sample_all\(\)"),
    ],
    ids=["nothing", "several", "unbound"],
)
@pytest.mark.parametrize("name", [name for name in SAMPLERS if name != "one-by-one"])
def test_what_is_no_circuit_that_can_be_sampled_is_refused(
    name: str, circuit: Any, why: str
) -> None:
    step = Step()
    with pytest.raises(ValueError, match=why):
        alone(SAMPLERS[name], circuit, 10, step)
    assert not step.usage


@pytest.mark.parametrize("shots", NO_SHOTS, ids=repr)
@pytest.mark.parametrize("name", [name for name in SAMPLERS if name != "one-by-one"])
def test_of_one_circuit_what_is_no_number_of_shots_is_refused(name: str, shots: Any) -> None:
    with pytest.raises(ValueError, match="shots is a whole number from 1 on"):
        alone(SAMPLERS[name], rotated(1), shots, Step())


def alone(by: Sampler, circuit: Any, shots: Any, step: Step) -> Samples:
    async def one() -> Samples:
        with stepping(step):
            return await by.sample(circuit, shots=shots)

    return anyio.run(one)


def test_a_circuit_of_which_nothing_is_read_is_refused() -> None:
    with pytest.raises(NothingMeasured):
        sampled(RandomSampler(), [rotated(2), QuantumCircuit(2)])


def test_equal_batches_have_one_fingerprint_and_others_another() -> None:
    def fingerprint(*circuits: QuantumCircuit, parameters: Any = None) -> bytes:
        return Batch.of(circuits, parameters).fingerprint

    assert fingerprint(turned(), parameters=ANGLES) == fingerprint(turned(), parameters=ANGLES)
    prints = {
        fingerprint(rotated(3)),
        fingerprint(rotated(3), rotated(3)),
        fingerprint(rotated(3, 0.1), rotated(3)),
        fingerprint(turned(), parameters=ANGLES),
        fingerprint(turned(), parameters=ANGLES + 1e-9),
        fingerprint(turned(), parameters=ANGLES.reshape(6, 1)),
    }
    assert len(prints) == 6


GRID = np.arange(24.0).reshape(2, 3, 4)  # a number for each entry, as numpy indexes it


def grid() -> SampleArray:
    """Of shape (2, 3, 4): entry k has five bits that are k in each of its two shots, and one of 1."""
    number = GRID.astype(np.uint8)[..., None, None].repeat(2, axis=-2)
    bits = {"k": number, "one": np.ones_like(number)}
    return SampleArray(shape=GRID.shape, bits=bits, num_bits={"k": 5, "one": 1}, shots=2)


def value(samples: Samples) -> float:
    (text,) = samples.counts("k")
    return float(int(text, 2))


INDICES: list[Any] = [
    0,
    -1,
    np.int64(1),
    (1, 2),
    (1, -1, 0),
    slice(None),
    slice(1, None),
    slice(None, None, -1),
    (0, slice(1, 3)),
    (slice(None), 1),
    (slice(None), slice(None), 3),
    slice(2, 2),
    ...,
    (..., 0),
    (0, ..., 1),
    (1, ...),
    (0, 1, 2, ...),
    (),
]


class TestAsANumpyArray:
    @pytest.mark.parametrize("index", INDICES, ids=str)
    def test_it_is_indexed_as_numpy_is(self, index: Any) -> None:
        found, expected = grid()[index], GRID[index]
        if isinstance(found, Samples):
            assert value(found) == expected and np.ndim(expected) == 0
            return
        assert found.shape == expected.shape
        assert [value(each) for each in found.flat()] == expected.ravel().tolist()

    def test_one_goes_through_its_first_axis(self) -> None:
        rows = list(grid())
        assert [row.shape for row in rows] == [(3, 4), (3, 4)]
        assert [[value(each) for each in row] for row in rows[1]] == GRID[1].tolist()
        assert value(next(reversed(rows[0][0]))) == 3

    def test_its_length_is_that_of_its_first_axis(self) -> None:
        assert [len(grid()), len(grid()[0]), len(grid()[0, 1:])] == [2, 3, 2]
        assert grid() and not grid()[2:]

    def test_a_single_entry_has_no_axis(self) -> None:
        one = grid()[0, 0, 0, ...]
        assert one.shape == () and one and isinstance(one[()], Samples)
        for use in (len, iter):
            with pytest.raises(TypeError, match=r"has no length; take it with array\[\(\)\]"):
                use(one)

    @pytest.mark.parametrize(
        "index",
        [True, np.True_, (0, False), None, 1.0, "0", [0, 1], np.array([0, 1]), np.zeros(2, bool)],
        ids=repr,
    )
    def test_what_means_nothing_is_refused_with_what_does(self, index: Any) -> None:
        with pytest.raises(IndexError, match=r"are taken by whole numbers, slices and \.\.\., not"):
            grid()[index]

    @pytest.mark.parametrize("index", [2, -3, (0, 3), (0, 0, 0, 0), (..., 4), (0, 0, 0, 0, ...)])
    def test_an_index_outside_the_shape_is_refused(self, index: Any) -> None:
        with pytest.raises(IndexError, match=r"is outside the shape \(2, 3, 4\)"):
            grid()[index]

    def test_a_slice_of_words_and_two_ellipses_are_refused(self) -> None:
        with pytest.raises(IndexError, match="has a slice of something else than numbers"):
            grid()["a":"b"]
        with pytest.raises(IndexError, match="more than one ellipsis"):
            grid()[..., ...]

    def test_counts_and_bitstrings_are_those_of_each_entry(self) -> None:
        several = grid()
        counts: Any = several.counts("k")  # of objects: numpy does not say which
        texts = several.bitstrings("k")
        assert counts.shape == (2, 3, 4) and counts.dtype == np.object_
        assert (texts.shape, texts[1, 2, 3].tolist()) == ((2, 3, 4, 2), ["10111"] * 2)
        for place in np.ndindex(several.shape):
            assert counts[place].to_dict() == several[place].counts("k").to_dict()
            assert texts[place].tolist() == several[place].bitstrings("k")
        assert several.bitstrings()[1, 2, 3].tolist() == several[1, 2, 3].bitstrings()
        assert several[:0].counts().shape == (0, 3, 4)
        assert several[:0].bitstrings().shape == (0, 3, 4, 2)

    def test_qiskit_has_it_in_the_same_shape(self) -> None:
        several = grid()
        one, joined = several.to_bit_array("k"), several.to_bit_array()
        assert (one.shape, one.num_shots, one.num_bits) == ((2, 3, 4), 2, 5)
        assert (joined.shape, joined.num_bits) == ((2, 3, 4), 6)
        for place in np.ndindex(several.shape):
            assert one.get_counts(place) == several[place].counts("k").to_dict()
            assert joined.get_counts(place) == several[place].counts().to_dict()


def test_an_array_is_stored_exactly() -> None:
    found = sampled(RandomSampler(), turned(), ANGLES, shots=2000)
    codec = Codec[SampleArray](SampleArray)
    assert codec.decode(codec.encode(found)) == found


# in a loop


class Digest(State):
    digest: str = ""


class Sweeping(IterativeAlgorithm[Digest, SampleArray, str]):
    """Samples a sweep in every iteration."""

    sampler: SerializeAsAny[Sampler] = AerSampler()
    fails: bool = False

    async def initialize(self) -> Digest:
        return Digest()

    async def sample(self, state: Digest) -> SampleArray:
        found = await self.sampler.sample_all([rotated(2), rotated(2, 0.4)], shots=10)
        if self.fails:
            raise ValueError("told to fail")
        return found

    async def evaluate(self, state: Digest, samples: SampleArray) -> str:
        return hashlib.sha256(samples.bits["meas"].tobytes()).hexdigest()

    async def update(self, state: Digest, evaluation: str) -> Digest:
        return Digest(digest=hashlib.sha256((state.digest + evaluation).encode()).hexdigest())


def ran(algorithm: Sweeping, store: Any, stop: Any, run_id: str = "sweep") -> Outcome[Digest]:
    return anyio.run(lambda: algorithm.run(store=store, run_id=run_id, seed=2, stop=stop))


def test_a_run_that_is_resumed_has_the_same_sweeps_and_all_shots_count(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    for last in (1, 2, 3):
        resumed = ran(Sweeping(), store, MaxIterations(last))
    whole = ran(Sweeping(), MemoryStore(), MaxIterations(3))
    assert resumed.state == whole.state
    assert resumed.usage["shots"] == whole.usage["shots"] == 60


def test_a_budget_ends_a_run_before_a_sweep_that_would_exceed_it() -> None:
    outcome = ran(Sweeping(), MemoryStore(), MaxIterations(9) | Shots(50))
    assert outcome.usage["shots"] == 40


def test_entries_of_a_source_that_takes_one_at_a_time_are_each_once(tmp_path: Path) -> None:
    calls.clear()
    store = DirectoryStore(tmp_path)
    with pytest.raises(HookFailed):
        ran(Sweeping(sampler=OneByOne(), fails=True), store, MaxIterations(1))
    with pytest.raises(HookFailed):
        ran(Sweeping(sampler=OneByOne(), fails=True), store, MaxIterations(1))
    assert len(calls) == 2


def test_a_sweep_is_replayed(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    first = ran(Sweeping(), store, MaxIterations(2))
    replay = ReplaySampler(run_id="sweep", store=str(tmp_path))
    again = ran(Sweeping(sampler=replay), store, MaxIterations(2), "again")
    assert again.state == first.state and "shots" not in again.usage
    with pytest.raises(HookFailed, match="is no Samples"):
        ran(_Single(sampler=replay), store, MaxIterations(1), "single")


class _Single(Sweeping):
    async def sample(self, state: Digest) -> SampleArray:
        await self.sampler.sample(rotated(2), shots=10)
        raise AssertionError("it was not refused")


@pytest.mark.parametrize("kind", ["aer", "random", "fake-backend", "replay"])
def test_a_source_without_fractional_gates_says_so(kind: str) -> None:
    with pytest.raises(ValidationError, match=f"{kind} has no fractional gates to ask for"):
        Sweeping.model_validate({"sampler": {"type": kind, "fractional_gates": True}})
