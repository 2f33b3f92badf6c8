"""Bits to strings of orbitals and back, beside plain Python integers, ffsim and pyscf."""

from __future__ import annotations

from collections import Counter
from typing import Any

import ffsim
import numpy as np
import numpy.typing as npt
import pytest
from ffsim.qiskit import FfsimSampler, PrepareHartreeFockJW, PrepareSlaterDeterminantJW
from pyscf.fci import cistring
from qiskit import QuantumCircuit
from qiskit.quantum_info import Statevector

from qcsc_algorithms.sqd.determinants.configurations import (
    Bits,
    Configurations,
    as_integers,
    from_integers,
    from_samples,
    hartree_fock,
    pack,
    unique_rows,
    unpack,
)
from qcsc_loop.sampling.packing import read_registers
from qcsc_loop.sampling.samples import Samples

SIZES = [1, 4, 7, 8, 9, 12, 16, 31, 32, 33, 63]
LARGE_SIZES = [64, 65, 130]  # pyscf's integers end before
Pair = tuple[int, int]


def random_bits(norb: int, rows: int, seed: int = 0) -> Bits:
    return np.random.default_rng([norb, rows, seed]).random((rows, norb)) < 0.5


def integer(bits: Bits) -> int:
    """One row as a Python integer, bit p for orbital p."""
    return sum(1 << p for p, occupied in enumerate(bits) if occupied)


def integers(bits: Bits) -> list[int]:
    return [integer(row) for row in bits]


def shots_of(pairs: list[Pair], norb: int) -> Samples:
    """Shots of (beta, alpha) integers, as a quantum source gives them."""
    width = -(-2 * norb // 8)
    rows = [((beta << norb) | alpha).to_bytes(width, "big") for beta, alpha in pairs]
    bits = np.frombuffer(b"".join(rows), np.uint8).reshape(len(pairs), width)
    return Samples(bits={"meas": bits}, num_bits={"meas": 2 * norb}, shots=len(pairs))


def pairs_of(configurations: Configurations) -> list[Pair]:
    return list(zip(integers(configurations.beta), integers(configurations.alpha), strict=True))


def sampled(norb: int, *operations: Any, shots: int = 50) -> Configurations:
    """What comes of a circuit of ffsim's on all qubits."""
    circuit = QuantumCircuit(2 * norb)
    for operation in operations:
        circuit.append(operation, range(2 * norb))
    circuit.measure_all()
    bits, widths = read_registers(FfsimSampler(seed=1).run([circuit], shots=shots).result()[0].data)
    return from_samples(Samples(bits=bits, num_bits=widths, shots=shots), norb)


# strings


@pytest.mark.parametrize("norb", SIZES + LARGE_SIZES)
def test_a_string_is_the_big_endian_integer_of_its_orbitals(norb: int) -> None:
    bits = random_bits(norb, 40)
    strings = pack(bits)

    assert strings.dtype == np.uint8 and strings.shape == (40, -(-norb // 8))
    assert [int.from_bytes(row.tobytes(), "big") for row in strings] == integers(bits)


@pytest.mark.parametrize("norb", SIZES + LARGE_SIZES)
def test_unpacking_gives_what_was_packed(norb: int) -> None:
    bits = random_bits(norb, 40)
    back = unpack(pack(bits), norb)

    assert back.dtype == np.bool_
    assert np.array_equal(back, bits)


@pytest.mark.parametrize("norb", SIZES)
def test_pyscfs_integers_are_the_strings(norb: int) -> None:
    bits = random_bits(norb, 40)

    assert as_integers(pack(bits)).tolist() == integers(bits)
    assert np.array_equal(from_integers(integers(bits), norb), pack(bits))


@pytest.mark.parametrize("norb", SIZES)
def test_the_highest_and_the_lowest_orbital_survive(norb: int) -> None:
    bits = np.zeros((2, norb), bool)
    bits[0, 0] = bits[1, -1] = True

    assert as_integers(pack(bits)).tolist() == [1, 1 << (norb - 1)]
    assert np.array_equal(unpack(from_integers([1, 1 << (norb - 1)], norb), norb), bits)


@pytest.mark.parametrize("norb", [4, 8, 9, 65])
def test_no_strings_are_no_strings(norb: int) -> None:
    none = pack(np.zeros((0, norb), bool))

    assert none.shape == (0, -(-norb // 8))
    assert unpack(none, norb).shape == (0, norb)


@pytest.mark.parametrize("norb", [4, 8, 12])
def test_pyscfs_own_strings_come_back_from_ours(norb: int) -> None:
    known = cistring.make_strings(range(norb), norb // 2)

    assert np.array_equal(as_integers(from_integers(known, norb)), known)
    assert np.all(unpack(from_integers(known, norb), norb).sum(axis=1) == norb // 2)


@pytest.mark.parametrize("norb", SIZES)
def test_the_hartree_fock_string_is_pyscfs_first(norb: int) -> None:
    electrons = range(norb + 1) if norb < 10 else (1, 2, norb - 1, norb)
    for n in electrons:
        (string,) = as_integers(hartree_fock(norb, n)).tolist()
        assert string == cistring.addr2str(norb, n, 0)


@pytest.mark.parametrize("width", [1, 2, 7, 8, 9, 17])
def test_distinct_rows_are_in_ascending_order_with_their_places(width: int) -> None:
    rng = np.random.default_rng(width)
    rows = rng.integers(0, 256, (30, width), np.uint8)[rng.integers(0, 30, 200)]
    distinct, first, which = unique_rows(rows)
    texts = [row.tobytes() for row in rows]

    assert [row.tobytes() for row in distinct] == sorted(set(texts))
    assert first.tolist() == [texts.index(row.tobytes()) for row in distinct]
    assert np.array_equal(distinct[which], rows)


# samples


@pytest.mark.parametrize("norb", SIZES + LARGE_SIZES)
def test_samples_are_counted_as_pairs_of_strings(norb: int) -> None:
    rng = np.random.default_rng(norb)
    pool = list(
        zip(integers(random_bits(norb, 9, 1)), integers(random_bits(norb, 9, 2)), strict=True)
    )
    pairs = [pool[i] for i in rng.integers(0, len(pool), 300)]
    found = from_samples(shots_of(pairs, norb), norb)

    assert found.norb == norb
    assert found.weights.sum() == pytest.approx(1, abs=1e-15)
    counts = {pair: n / 300 for pair, n in Counter(pairs).items()}
    assert dict(zip(pairs_of(found), found.weights.tolist(), strict=True)) == pytest.approx(counts)


def test_samples_are_in_ascending_order_of_beta_and_alpha() -> None:
    pairs = [(5, 1), (0, 7), (5, 0), (0, 7), (7, 7)]

    assert pairs_of(from_samples(shots_of(pairs, 3), 3)) == sorted(set(pairs))


def test_a_qiskit_statevectors_shots_have_alpha_in_the_low_qubits() -> None:
    circuit = QuantumCircuit(8)
    circuit.x([0, 2, 7])  # alpha 0 and 2, beta 3
    (text,) = [str(text) for text in Statevector(circuit).sample_counts(10)]

    found = from_samples(shots_of([(int(text[:4], 2), int(text[4:], 2))], 4), 4)
    assert found.alpha.tolist() == [[True, False, True, False]]
    assert found.beta.tolist() == [[False, False, False, True]]


@pytest.mark.parametrize("widths", [{"meas": 7}, {"meas": 9}, {"alpha": 4, "beta": 4}, {}], ids=str)
def test_other_registers_are_refused(widths: dict[str, int]) -> None:
    bits = {name: np.zeros((1, -(-width // 8)), np.uint8) for name, width in widths.items()}
    samples = Samples(bits=bits, num_bits=widths, shots=1)

    with pytest.raises(ValueError, match="samples of 4 orbitals are one register of 8 bits, not"):
        from_samples(samples, 4)


# the order of ffsim's bits


@pytest.mark.parametrize(
    ("norb", "electrons"), [(2, (1, 1)), (4, (2, 2)), (6, (3, 2)), (5, (4, 1)), (9, (2, 0))]
)
def test_a_sampled_hartree_fock_circuit_gives_the_hartree_fock_strings(
    norb: int, electrons: Pair
) -> None:
    found = sampled(norb, PrepareHartreeFockJW(norb, electrons))

    assert len(found) == 1
    assert np.array_equal(pack(found.alpha), hartree_fock(norb, electrons[0]))
    assert np.array_equal(pack(found.beta), hartree_fock(norb, electrons[1]))


@pytest.mark.parametrize(
    ("norb", "alpha", "beta"), [(5, [0, 2, 4], [1]), (4, [3], [0, 1]), (8, [1, 6, 7], [0, 2, 5])]
)
def test_a_sampled_determinant_occupies_the_orbitals_it_was_made_of(
    norb: int, alpha: list[int], beta: list[int]
) -> None:
    found = sampled(norb, PrepareSlaterDeterminantJW(norb, (alpha, beta)))

    assert [np.flatnonzero(row).tolist() for row in found.alpha] == [alpha]
    assert [np.flatnonzero(row).tolist() for row in found.beta] == [beta]


def test_the_strings_are_the_ones_by_which_ffsim_and_pyscf_number_their_amplitudes() -> None:
    norb, electrons = 4, (2, 1)
    state = ffsim.random.random_state_vector(ffsim.dim(norb, electrons), seed=3)
    strings: Any = ffsim.sample_state_vector(
        state,
        norb=norb,
        nelec=electrons,
        shots=20_000,
        seed=4,
        bitstring_type=ffsim.BitstringType.INT,
    )
    pairs = [(int(row) >> norb, int(row) & 15) for row in strings]
    found = from_samples(shots_of(pairs, norb), norb)
    # pyscf: rows are alpha strings, columns beta strings
    amplitudes = np.abs(state.reshape(ffsim.dims(norb, electrons))) ** 2
    row = cistring.strs2addr(norb, electrons[0], as_integers(pack(found.alpha)))
    column = cistring.strs2addr(norb, electrons[1], as_integers(pack(found.beta)))

    assert found.weights == pytest.approx(amplitudes[row, column], abs=5 * np.sqrt(0.25 / 20_000))
    assert len(found) == amplitudes.size


# configurations


def configurations(pairs: list[Pair], weights: npt.ArrayLike, norb: int) -> Configurations:
    beta, alpha = (
        np.array([[value >> p & 1 for p in range(norb)] for value in values], bool)
        for values in zip(*pairs, strict=True)
    )
    return Configurations(alpha=alpha, beta=beta, weights=np.asarray(weights, float))


@pytest.mark.parametrize("norb", [3, 9, 65])
def test_equal_configurations_are_made_one_with_all_their_weight(norb: int) -> None:
    top = 1 << (norb - 1)
    pairs = [(1, top), (top, 1), (1, top), (1, 1), (1, top)]
    found = configurations(pairs, [0.1, 0.2, 0.3, 0.15, 0.25], norb).distinct()

    assert pairs_of(found) == [(1, 1), (1, top), (top, 1)]
    assert found.weights.tolist() == pytest.approx([0.15, 0.65, 0.2])


def test_distinct_configurations_do_not_depend_on_the_order_and_stay_as_they_are() -> None:
    pairs, weights = [(1, 2), (2, 1), (0, 3)], [0.5, 0.25, 0.25]
    one = configurations(pairs, weights, 2).distinct()
    other = configurations(pairs[::-1], weights[::-1], 2).distinct()

    for again in (other, one.distinct()):
        assert pairs_of(again) == pairs_of(one)
        assert again.weights.tolist() == one.weights.tolist()


def test_the_weights_of_distinct_configurations_sum_to_one() -> None:
    assert configurations([(1, 1), (2, 2)], [3, 1], 2).distinct().weights.tolist() == [0.75, 0.25]


def test_valid_are_those_with_the_right_electrons_of_each_spin() -> None:
    pairs = [(0b01, 0b11), (0b11, 0b01), (0b10, 0b11), (0b01, 0b01)]
    found = configurations(pairs, [0.1, 0.4, 0.3, 0.2], 2).valid((2, 1))

    assert pairs_of(found) == [(0b01, 0b11), (0b10, 0b11)]
    assert found.weights.tolist() == pytest.approx([0.25, 0.75])


def test_there_may_be_none_that_are_valid() -> None:
    found = configurations([(1, 1)], [1.0], 2).valid((2, 2))

    assert (len(found), found.norb, found.weights.size) == (0, 2, 0)
