"""What is asked of shots first: counts, bitstrings, means; in qiskit's order of bits."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from qiskit.primitives import BitArray
from qiskit.primitives.containers import DataBin
from qiskit.primitives.containers.sampler_pub_result import SamplerPubResult
from qiskit.quantum_info import SparsePauliOp

from qcsc_loop.sampling import counting
from qcsc_loop.sampling.counting import count, merge
from qcsc_loop.sampling.packing import Packed, draw_bits, num_bytes
from qcsc_loop.sampling.samples import Samples, merge_samples
from qcsc_loop.values.codec import Codec

WIDTHS = [1, 7, 8, 9, 16, 20, 21, 63, 64, 65, 127, 128, 129, 156]


def drawn(*widths: int, shots: int = 200, seed: int = 0) -> Samples:
    """Uniform shots of registers r0, r1, ..., some of them twice."""
    rng = np.random.default_rng(seed)
    again = rng.integers(0, shots, shots)
    bits = {f"r{i}": draw_bits(rng, shots, width)[again] for i, width in enumerate(widths)}
    return Samples(
        bits=bits, num_bits={f"r{i}": width for i, width in enumerate(widths)}, shots=shots
    )


def by_qiskit(samples: Samples) -> BitArray:
    """The same shots, all registers joined, as qiskit joins them."""
    arrays: dict[str, Any] = {
        name: BitArray(np.array(rows), samples.num_bits[name])
        for name, rows in samples.bits.items()
    }
    joined = SamplerPubResult(DataBin(**arrays)).join_data()
    assert isinstance(joined, BitArray)
    return joined


@pytest.mark.parametrize("width", WIDTHS)
def test_counts_and_bitstrings_are_qiskits(width: int) -> None:
    samples = drawn(width)
    assert samples.counts().to_dict() == by_qiskit(samples).get_counts()
    assert samples.bitstrings() == by_qiskit(samples).get_bitstrings()
    assert samples.to_bit_array() == by_qiskit(samples)
    assert (samples.unpacked() == by_qiskit(samples).to_bool_array(order="little")).all()


@pytest.mark.parametrize("widths", [(2, 3), (3, 9, 1), (8, 8), (1, 70)], ids=str)
def test_registers_are_joined_as_qiskit_joins_them(widths: tuple[int, ...]) -> None:
    samples = drawn(*widths)
    assert samples.counts().to_dict() == by_qiskit(samples).get_counts()
    assert samples.counts("r1").num_bits == widths[1]
    one = BitArray(np.array(samples.bits["r1"]), widths[1])
    assert samples.counts("r1").to_dict() == one.get_counts()


def test_counts_are_a_mapping_that_is_sorted_by_bitstring() -> None:
    counts = drawn(3).counts()
    assert list(counts) == sorted(counts) and counts.shots == 200
    assert counts["101"] == counts.to_dict()["101"]
    assert "10" not in counts and "1x1" not in counts and counts.get("0000") is None
    most = counts.most_common(2)
    assert most == sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:2]


def test_an_outcome_that_was_not_seen_is_not_there() -> None:
    samples = Samples(bits={"c": np.array([[2]], np.uint8)}, num_bits={"c": 2}, shots=1)
    assert samples.counts().to_dict() == {"10": 1}
    with pytest.raises(KeyError):
        samples.counts()["01"]


def test_a_marginal_has_the_bits_that_were_asked_for_in_that_order() -> None:
    samples = drawn(11)
    chosen = [9, 0, 3]
    assert (
        samples.marginal(chosen).counts().to_dict()
        == by_qiskit(samples).slice_bits(chosen).get_counts()
    )
    two = drawn(3, 4)
    assert two.marginal([6, 2]).bitstrings() == by_qiskit(two).slice_bits([6, 2]).get_bitstrings()
    with pytest.raises(ValueError, match="there is no bit 4: r1 has bits 0 to 3"):
        two.marginal([4], "r1")


def test_an_expectation_is_qiskits_however_the_diagonal_is_given() -> None:
    samples = drawn(4)
    labels = {"ZIII": 0.5, "IZZI": -1.25, "IIIZ": 2.0, "IIII": 3.0}
    operator = SparsePauliOp.from_list(list(labels.items()))
    (expected,) = by_qiskit(samples).expectation_values([operator])

    def function(bits: Packed) -> Any:
        signs = 1.0 - 2.0 * bits
        return (
            0.5 * signs[:, 3] - 1.25 * signs[:, 1] * signs[:, 2] + 2.0 * signs[:, 0] + np.full(1, 3)
        )

    numbers = np.real(np.diag(np.asarray(operator.to_matrix())))
    ways: list[Any] = [operator, labels, numbers, function]
    for way in ways:
        assert samples.expectation(way) == pytest.approx(expected, abs=1e-12)


def test_the_standard_error_is_the_scatter_of_the_shots() -> None:
    samples = drawn(2)
    values = np.array([0.0, 1.0, 5.0, -2.0])
    each = values[samples.bits["r0"][:, 0]]
    assert samples.expectation(values) == pytest.approx(each.mean())
    error = each.std(ddof=1) / math.sqrt(len(each))
    assert samples.standard_error(values) == pytest.approx(error)
    assert math.isnan(drawn(2, shots=1).standard_error(values))


def _complex(_bits: Packed) -> Any:
    return np.zeros((2, 2))


@pytest.mark.parametrize(
    ("diagonal", "why"),
    [
        ({"ZX": 1.0}, "'ZX' is not diagonal"),
        ({"Z": 1.0}, "'Z' has 1 letters, and there are 2 bits"),
        (np.zeros(3), "has 4 numbers"),
        (np.zeros(4, complex), "these are complex"),
        (SparsePauliOp.from_list([("ZZ", 1j)]), "coefficient"),
        ({"ZZ": 1j}, "ZZ has the coefficient 1j: an observable's are real"),
        ({"ZZ": "much"}, "ZZ has the coefficient 'much'"),
        ({"ZZ": None}, "ZZ has the coefficient None"),
        ({"ZZ": [1.0, 2.0]}, "ZZ has the coefficient"),
        ({3: 1.0}, "3 has no letters"),
        (["a", "b", "c", "d"], "real numbers are asked for"),
        ([[1.0], [1.0, 2.0]], "real numbers are asked for"),
        (lambda _bits: np.zeros(4, complex), "these are complex"),
        (lambda _bits: "many", "real numbers are asked for"),
        (_complex, "gives a number for each outcome"),
    ],
)
def test_what_is_no_diagonal_of_these_bits_is_refused(diagonal: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        drawn(2).expectation(diagonal)


def test_an_unknown_register_is_named_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match="there is no register 'meas'; there are: r0, r1"):
        drawn(1, 2).counts("meas")


def test_merged_samples_are_all_shots_with_each_origin() -> None:
    several = [
        drawn(9, seed=i, shots=10 + i).model_copy(update={"provenance": {"seed": i}})
        for i in range(3)
    ]
    merged = several[0] + several[1] + several[2]
    assert merged == merge_samples(several)
    assert merged.shots == 33
    assert merged.bitstrings() == [name for part in several for name in part.bitstrings()]
    assert merged.provenance == {"merged": [{"seed": 0}, {"seed": 1}, {"seed": 2}]}
    with pytest.raises(ValueError, match="cannot be merged"):
        merge_samples([several[0], drawn(8)])
    with pytest.raises(ValueError, match="no samples"):
        merge_samples([])


def test_samples_are_stored_as_they_were_before_they_could_count() -> None:
    samples = Samples(bits={"c": np.array([[2]], np.uint8)}, num_bits={"c": 2}, shots=1)
    body = Codec[Samples](Samples).encode(samples).body
    assert body == (
        b'{"bits":{"c":{"dtype":"|u1","shape":[1,1],"base64":"Ag=="}},'
        b'"num_bits":{"c":2},"shots":1,"provenance":{}}'
    )


def patterns(rng: np.random.Generator, shots: int, width: int) -> dict[str, Packed]:
    """Rows that sorting by the first word tells apart, or does not."""
    size = num_bytes(width)
    few = rng.integers(0, 256, (5, size), np.uint8)
    late = rng.integers(0, 256, (shots, size), np.uint8)
    late[:, :-1] = 7
    mixed = rng.integers(0, 2, (shots, size), np.uint8)
    mixed[: shots // 2, :8] = 1
    return {
        "uniform": rng.integers(0, 256, (shots, size), np.uint8),
        "few": few[rng.integers(0, 5, shots)],
        "late": late,
        "mixed": mixed,
    }


def _counted(rows: Packed, width: int) -> None:
    rows = rows.copy()
    rows[:, 0] >>= -width % 8
    found, times = count(rows, width)
    expected, expected_times = np.unique(rows, axis=0, return_counts=True)
    assert (found == expected).all() and (times == expected_times).all()
    half = len(rows) // 2
    parts = [count(part, width) for part in (rows[:half], rows[half:])]
    merged, merged_times = merge(*(np.concatenate(both) for both in zip(*parts, strict=True)))
    assert (merged == expected).all() and (merged_times == expected_times).all()


@pytest.mark.parametrize("width", [20, 21, 64, 65, 127, 156])
@pytest.mark.parametrize("pattern", ["uniform", "few", "late", "mixed"])
def test_rows_are_counted_in_ascending_order_whatever_they_share(width: int, pattern: str) -> None:
    for shots in (1, 2, 3, 700):
        _counted(patterns(np.random.default_rng(shots), shots, width)[pattern], width)


def _same(words: list[Any]) -> Any:
    return np.zeros(len(words[0]), np.uint64)


def _low_bits(words: list[Any]) -> Any:
    return words[-1] & np.uint64(3)


@pytest.mark.parametrize("hashes", [_same, _low_bits])
def test_distinct_rows_of_one_hash_are_told_apart(
    monkeypatch: pytest.MonkeyPatch, hashes: Callable[[list[Any]], Any]
) -> None:
    monkeypatch.setattr(counting, "_hashes", hashes)
    for pattern in ("late", "mixed"):
        _counted(patterns(np.random.default_rng(1), 300, 156)[pattern], 156)
