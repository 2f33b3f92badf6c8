"""BitCount as a person runs it: real simulator, real ranks, in one process."""

from __future__ import annotations

import doctest
import json
import math
from fractions import Fraction
from pathlib import Path

import anyio
import numpy as np
import pytest
from pydantic import ValidationError
from qiskit.primitives import BitArray

import qcsc_algorithms.bitcount.bitcount
import qcsc_loop.algorithm
from qcsc_algorithms.bitcount import BitCount, Counts, Histogram
from qcsc_algorithms.bitcount.bitcount import text
from qcsc_hpc.machine import LocalMachine
from qcsc_hpc.mpi.bitcount import Rows, count, width
from qcsc_loop.loop.outcome import Outcome
from qcsc_loop.rules.reason import Reason
from qcsc_loop.rules.stop import MaxIterations
from qcsc_loop.sampling.aer.sampler import AerSampler
from qcsc_loop.steps.step import Step, stepping
from qcsc_loop.store.memory import MemoryStore

SHOTS = 1000


def run(bitcount: BitCount, iterations: int, seed: int = 0) -> Outcome[Histogram]:
    store = MemoryStore()
    try:
        stop = MaxIterations(iterations)
        return anyio.run(lambda: bitcount.run(store=store, seed=seed, stop=stop))
    finally:
        store.close()


def as_dictionary(rows: Rows, counts: Rows) -> dict[bytes, int]:
    return {row.tobytes(): int(n) for row, n in zip(rows, counts, strict=True)}


def histogram(packed: Rows, num_bits: int) -> Histogram:
    rows, counts = count(packed, num_bits)
    return Histogram(bitstrings=rows, counts=counts, shots=len(packed))


def random_counts(shots: int, num_bits: int, seed: int) -> Counts:
    rng = np.random.default_rng([seed, shots, num_bits])
    pool = rng.integers(0, 256, (12, width(num_bits)), np.uint8)
    if num_bits % 8:
        pool[:, 0] &= (1 << num_bits % 8) - 1
    rows, counts = count(pool[rng.integers(0, len(pool), shots)], num_bits)
    return Counts(bitstrings=rows, counts=counts)


def updated(bitcount: BitCount, before: Histogram, added: Counts) -> Histogram:
    return anyio.run(bitcount.update, before, added)


# a run


def test_a_run_with_its_defaults_converges() -> None:
    outcome = run(BitCount(shots=SHOTS), 100)
    assert outcome.reason is Reason.CONVERGED
    assert outcome.state.change < BitCount().tolerance


def test_counts_sum_to_the_shots_of_all_iterations() -> None:
    state = run(BitCount(shots=SHOTS, tolerance=0), 3).state
    assert state.counts.sum() == state.shots == 3 * SHOTS


def test_a_ghz_state_gives_all_zeros_or_all_ones() -> None:
    state = run(BitCount(num_qubits=10, shots=SHOTS), 1).state
    assert state.bitstrings.tolist() == [[0, 0], [3, 255]]


def test_both_outcomes_of_a_ghz_state_are_as_likely() -> None:
    zeros, ones = run(BitCount(shots=SHOTS, tolerance=0), 4).state.counts.tolist()
    # five standard deviations of a fair coin
    assert abs(zeros - ones) < 5 * math.sqrt(4 * SHOTS)


def test_a_tolerance_of_zero_never_converges() -> None:
    outcome = run(BitCount(num_qubits=2, shots=1, tolerance=0), 6)
    assert (outcome.reason, outcome.iteration) == (Reason.MAX_ITERATIONS, 6)


def test_the_first_iteration_has_no_change_yet_and_does_not_converge() -> None:
    outcome = run(BitCount(shots=SHOTS, tolerance=1), 1)
    assert outcome.reason is Reason.MAX_ITERATIONS
    assert math.isnan(outcome.state.change)


@pytest.mark.parametrize("ranks", [2, 3])
def test_the_number_of_ranks_does_not_change_the_bits(ranks: int) -> None:
    alone = run(BitCount(shots=SHOTS, tolerance=0, ranks=1), 2).state_sha256
    assert run(BitCount(shots=SHOTS, tolerance=0, ranks=ranks), 2).state_sha256 == alone


def test_without_a_number_of_ranks_the_machine_s_own_count(tmp_path: Path) -> None:
    bitcount = BitCount(shots=SHOTS, machine=LocalMachine(ranks=3))
    with stepping(Step(make_folder=lambda: tmp_path)):
        state = anyio.run(bitcount.initialize)
        samples = anyio.run(bitcount.sample, state)
        anyio.run(bitcount.evaluate, state, samples)
    assert "-n 3 bash" in (tmp_path / "bitcount.0.job" / "job.sh").read_text()


def test_the_same_seed_gives_the_same_bits() -> None:
    bitcount = BitCount(shots=SHOTS, tolerance=0)
    assert run(bitcount, 2, seed=3).state_sha256 == run(bitcount, 2, seed=3).state_sha256


def test_another_seed_gives_other_bits() -> None:
    bitcount = BitCount(shots=SHOTS, tolerance=0)
    assert run(bitcount, 2, seed=3).state_sha256 != run(bitcount, 2, seed=4).state_sha256


def test_more_qubits_than_a_statevector_holds_are_counted() -> None:
    state = run(BitCount(num_qubits=100, shots=20, ranks=3), 1).state
    assert state.bitstrings.tolist() == [[0] * 13, [15] + [255] * 12]


# the change


@pytest.mark.parametrize("num_bits", [2, 8, 9, 16, 24, 63, 64, 65, 100, 1000])
def test_the_change_is_the_total_variation_distance_of_the_two_estimates(num_bits: int) -> None:
    bitcount = BitCount(num_qubits=num_bits)
    first, added = random_counts(700, num_bits, 1), random_counts(300, num_bits, 2)
    empty = anyio.run(bitcount.initialize)
    before = updated(bitcount, empty, first)
    after = updated(bitcount, before, added)
    old = as_dictionary(before.bitstrings, before.counts)
    new = as_dictionary(after.bitstrings, after.counts)
    exact = sum(abs(Fraction(old.get(b, 0), 700) - Fraction(n, 1000)) for b, n in new.items()) / 2
    assert after.change == pytest.approx(float(exact), rel=1e-12)


def test_equal_estimates_have_no_change() -> None:
    bitcount = BitCount(num_qubits=2)
    before = histogram(np.array([[0], [3]], np.uint8), 2)
    added = Counts(bitstrings=before.bitstrings, counts=before.counts * 5)
    assert updated(bitcount, before, added).change == 0


def test_estimates_with_nothing_in_common_change_by_the_share_of_the_new_shots() -> None:
    bitcount = BitCount(num_qubits=2)
    before = histogram(np.array([[0]] * 3, np.uint8), 2)
    added = Counts(bitstrings=np.array([[3]], np.uint8), counts=np.array([1]))
    assert updated(bitcount, before, added).change == 0.25


def test_an_update_adds_the_counts_of_equal_bitstrings() -> None:
    bitcount = BitCount(num_qubits=100)
    first, added = random_counts(700, 100, 1), random_counts(300, 100, 1)
    before = updated(bitcount, anyio.run(bitcount.initialize), first)
    after = updated(bitcount, before, added)
    expected = as_dictionary(first.bitstrings, first.counts)
    for row, n in as_dictionary(added.bitstrings, added.counts).items():
        expected[row] = expected.get(row, 0) + n
    assert as_dictionary(after.bitstrings, after.counts) == expected


# parameters


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("shots", 0),
        ("ranks", 0),
        ("num_qubits", 1),
        ("num_qubits", 1001),
        ("tolerance", -1e-9),
        ("tolerance", math.nan),
        ("machine", "no block's name"),
        ("sampler", {"type": "dice"}),
    ],
)
def test_a_parameter_out_of_range_is_refused(name: str, value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        BitCount.model_validate({name: value})
    assert {problem["loc"][0] for problem in caught.value.errors()} == {name}


def test_a_sampler_may_be_given_as_json() -> None:
    given = {"sampler": {"type": "aer", "method": "stabilizer"}, "shots": SHOTS, "tolerance": 0}
    bitcount = BitCount.model_validate_json(json.dumps(given))
    assert bitcount.sampler == AerSampler(method="stabilizer")
    assert run(bitcount, 1).state.shots == SHOTS


def test_parameters_come_back_from_json_as_they_were() -> None:
    bitcount = BitCount(num_qubits=5, sampler=AerSampler(threads=2), machine="local-machine/mine")
    assert BitCount.model_validate_json(bitcount.model_dump_json()) == bitcount


# tables


def table(state: Histogram, num_qubits: int) -> list[dict[str, object]]:
    rows = BitCount(num_qubits=num_qubits).tables(state)["sampler-count-dict"]
    return [dict(row) for row in rows]


def test_the_table_has_the_most_frequent_bitstring_first() -> None:
    rows = table(histogram(np.array([[0], [3], [1], [3], [1], [3]], np.uint8), 2), 2)
    assert [(row["bitstring"], row["count"]) for row in rows] == [("11", 3), ("01", 2), ("00", 1)]


def test_equally_frequent_bitstrings_are_in_ascending_order() -> None:
    rows = table(histogram(np.array([[3], [0], [2], [1]], np.uint8), 2), 2)
    assert [row["bitstring"] for row in rows] == ["00", "01", "10", "11"]


def test_the_probabilities_of_the_table_sum_to_one() -> None:
    state = run(BitCount(num_qubits=12, shots=SHOTS, tolerance=0), 2).state
    probabilities = [row["probability"] for row in table(state, 12)]
    assert all(isinstance(p, float) for p in probabilities)
    assert math.fsum(float(str(p)) for p in probabilities) == pytest.approx(1, abs=1e-12)


def test_the_table_is_plain_json() -> None:
    rows = table(histogram(np.array([[0], [3]], np.uint8), 2), 2)
    assert json.loads(json.dumps(rows)) == rows


def test_the_table_has_at_most_a_thousand_rows() -> None:
    packed = np.arange(3000, dtype=">u2").view(np.uint8).reshape(-1, 2)
    assert len(table(histogram(packed, 12), 12)) == 1000


def test_the_table_of_no_shots_is_empty() -> None:
    assert table(anyio.run(BitCount(num_qubits=3).initialize), 3) == []


@pytest.mark.parametrize("num_bits", [1, 2, 7, 8, 9, 16, 17, 63, 64, 65, 100, 1000])
def test_the_text_of_a_bitstring_is_qiskit_s(num_bits: int) -> None:
    packed = random_counts(50, num_bits, 5).bitstrings
    expected = [next(iter(BitArray(row[None, :], num_bits).get_counts())) for row in packed]
    assert [text(row, num_bits) for row in packed] == expected


def test_the_text_has_qubit_zero_on_the_right() -> None:
    assert text(np.array([1, 2], np.uint8), 10) == "0100000010"


# documentation


@pytest.mark.parametrize(
    "module", [qcsc_loop.algorithm, qcsc_algorithms.bitcount.bitcount], ids=lambda m: m.__name__
)
def test_the_examples_in_the_documentation_run(module: object) -> None:
    results = doctest.testmod(module)  # type: ignore[arg-type]  # any module
    assert results.attempted > 0
    assert results.failed == 0
