"""Configuration recovery beside exact probabilities, and beside qiskit-addon-sqd's by the same test."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from qiskit_addon_sqd.configuration_recovery import recover_configurations
from scipy import stats

from qcsc_algorithms.sqd.determinants.configurations import Bits, Configurations, Floats
from qcsc_algorithms.sqd.determinants.recovery import recover

Row = tuple[int, ...]
LEAST_P = 1e-3  # of a chi-square test that passes; the seeds are fixed


def occupied(*rows: Row) -> Bits:
    return np.array(rows, bool)


def configurations(alpha: Bits, beta: Bits, weights: Any = None) -> Configurations:
    equal = np.full(len(alpha), 1 / len(alpha))
    return Configurations(alpha, beta, equal if weights is None else np.asarray(weights, float))


def random_configurations(norb: int, rows: int, rng: np.random.Generator) -> Configurations:
    weights = rng.random(rows) + 0.1
    return configurations(
        rng.random((rows, norb)) < 0.5, rng.random((rows, norb)) < 0.5, weights / weights.sum()
    ).distinct()


def as_rows(bits: Bits) -> list[Row]:
    return [tuple(int(bit) for bit in row) for row in bits]


def recovered_alone(row: Row, occupancies: Any, electrons: int, seed: int = 0) -> Row:
    """What becomes of one string, sampled once."""
    (found,) = as_rows(frequencies_of(row, occupancies, electrons, 1, seed).alpha)
    return found


def frequencies_of(
    row: Row, occupancies: Any, electrons: int, shots: int, seed: int = 0
) -> Configurations:
    """What becomes of many equal strings; beta is right already."""
    alpha = np.repeat(occupied(row), shots, axis=0)
    beta = np.zeros_like(alpha)
    both = np.array([occupancies, np.zeros(len(row))], float)
    rng = np.random.default_rng(seed)
    return recover(configurations(alpha, beta), both, (electrons, 0), rng)


# what holds for every row

OCCUPANCIES = {
    "between": lambda rng, norb: rng.random((2, norb)),
    "zeros and ones": lambda rng, norb: rng.integers(0, 2, (2, norb)).astype(float),
    "rounded": lambda rng, norb: rng.integers(0, 2, (2, norb)) + 1e-12 * rng.normal(size=(2, norb)),
    "tiny": lambda rng, norb: 10.0 ** rng.uniform(-320, 0, (2, norb)),
    "nearly full": lambda rng, norb: 1 - 10.0 ** rng.uniform(-17, 0, (2, norb)),
}


def cases() -> list[Any]:
    return [
        pytest.param(norb, electrons, name, id=f"{norb}-{electrons}-{name}")
        for norb, name in itertools.product((1, 2, 3, 5, 8, 9, 20, 40), OCCUPANCIES)
        for electrons in sorted({(0, norb), (norb, 0), (norb // 2, norb // 2), (1, norb - 1)})
    ]


@pytest.mark.parametrize(("norb", "electrons", "name"), cases())
def test_each_recovered_row_has_the_right_electrons_and_weights_sum_to_one(
    norb: int, electrons: tuple[int, int], name: str
) -> None:
    rng = np.random.default_rng([norb, *electrons])
    found = recover(
        random_configurations(norb, 60, rng), OCCUPANCIES[name](rng, norb), electrons, rng
    )

    assert set(found.alpha.sum(axis=1)) == {electrons[0]}
    assert set(found.beta.sum(axis=1)) == {electrons[1]}
    assert found.weights.sum() == pytest.approx(1, abs=1e-14)
    assert len({*zip(as_rows(found.alpha), as_rows(found.beta), strict=True)}) == len(found)


@pytest.mark.parametrize("seed", range(30))
def test_a_row_loses_or_gains_exactly_what_it_has_too_many_or_too_few(seed: int) -> None:
    rng = np.random.default_rng(seed)
    norb = int(rng.integers(2, 12))
    electrons = int(rng.integers(0, norb + 1))
    row = tuple(int(bit) for bit in rng.integers(0, 2, norb))
    after = recovered_alone(row, rng.random(norb), electrons, seed)

    lost = sum(was > now for was, now in zip(row, after, strict=True))
    gained = sum(was < now for was, now in zip(row, after, strict=True))
    surplus = sum(row) - electrons
    assert (lost, gained) == (max(surplus, 0), max(-surplus, 0))


def test_rows_that_were_right_are_untouched() -> None:
    rng = np.random.default_rng(5)
    before = random_configurations(6, 300, rng).valid((3, 2))
    after = recover(before, rng.random((2, 6)), (3, 2), rng)

    assert np.array_equal(after.alpha, before.alpha)
    assert np.array_equal(after.beta, before.beta)
    assert after.weights == pytest.approx(before.weights, abs=1e-15)


def test_a_spin_that_was_right_is_untouched_where_the_other_was_wrong() -> None:
    alpha = occupied((1, 1, 0, 0), (1, 0, 1, 0), (0, 1, 0, 1))
    beta = occupied((1, 1, 1, 1), (0, 0, 0, 0), (1, 0, 0, 0))
    rng = np.random.default_rng(0)
    after = recover(configurations(alpha, beta), np.full((2, 4), 0.5), (2, 2), rng)

    assert Counter(as_rows(after.alpha)) == Counter(as_rows(alpha))


def test_rows_that_become_equal_are_made_one_with_all_their_weight() -> None:
    alpha = occupied((1, 0, 0), (1, 1, 0), (1, 0, 1), (0, 1, 0))
    beta = np.zeros_like(alpha)
    sure = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])  # always back to orbital 0
    weights = [0.1, 0.2, 0.3, 0.4]
    after = recover(configurations(alpha, beta, weights), sure, (1, 0), np.random.default_rng(0))

    assert as_rows(after.alpha) == [(1, 0, 0), (0, 1, 0)]
    assert after.weights.tolist() == pytest.approx([0.6, 0.4])


def test_the_same_generator_gives_the_same_bits_and_the_input_is_left_as_it_is() -> None:
    before = random_configurations(8, 200, np.random.default_rng(1))
    kept = before.alpha.copy(), before.beta.copy(), before.weights.copy()
    occupancies = np.random.default_rng(2).random((2, 8))
    one, two = (recover(before, occupancies, (4, 3), np.random.default_rng(3)) for _ in range(2))

    for a, b in zip(
        (one.alpha, one.beta, one.weights), (two.alpha, two.beta, two.weights), strict=True
    ):
        assert a.tobytes() == b.tobytes()
    for a, b in zip(kept, (before.alpha, before.beta, before.weights), strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("electrons", [(-1, 2), (2, -1), (5, 2), (2, 5)])
def test_electrons_that_the_orbitals_do_not_hold_are_refused(electrons: tuple[int, int]) -> None:
    some = random_configurations(4, 5, np.random.default_rng(0))

    with pytest.raises(ValueError, match=rf"\({electrons[0]}, {electrons[1]}\) electrons do not"):
        recover(some, np.full((2, 4), 0.5), electrons, np.random.default_rng(0))


# the distribution


@dataclass(frozen=True)
class Case:
    """A configuration that is wrong, and what is known of the state."""

    alpha: Row
    beta: Row
    electrons: tuple[int, int]
    occupancies: tuple[tuple[float, ...], tuple[float, ...]]

    def probabilities(self) -> dict[tuple[Row, Row], float]:
        """The exact distribution of what it becomes."""
        spins = [
            flip_probabilities(row, np.array(occupancies), n)
            for row, occupancies, n in zip(
                (self.alpha, self.beta), self.occupancies, self.electrons, strict=True
            )
        ]
        return {
            (a, b): p * q
            for (a, p), (b, q) in itertools.product(spins[0].items(), spins[1].items())
        }


def flip_weight(occupied: int, occupancy: float, filling: float) -> float:
    """The modified ReLU of arXiv:2405.05068, with delta 0.01, at |bit - occupancy|."""
    distance, expected = (1 - occupancy, 1 - filling) if occupied else (occupancy, filling)
    if distance < expected:
        return 0.01 * distance / expected
    return 0.01 + 0.99 * (distance - expected) / (1 - expected)


def flip_probabilities(row: Row, occupancies: Floats, electrons: int) -> dict[Row, float]:
    """Exact: a draw without replacement, summed over the orders in which the bits may come."""
    surplus = sum(row) - electrons
    if not surplus:
        return {row: 1.0}
    weights = {
        p: flip_weight(bit, occupancies[p], electrons / len(row))
        for p, bit in enumerate(row)
        if bit == (surplus > 0)
    }
    found: defaultdict[Row, float] = defaultdict(float)
    for order in itertools.permutations(weights, abs(surplus)):
        left, probability = sum(weights.values()), 1.0
        for p in order:
            probability *= weights[p] / left
            left -= weights[p]
        found[tuple(bit ^ (p in order) for p, bit in enumerate(row))] += probability
    return dict(found)


CASES = {
    "one too many and one too few": Case(
        (1, 1, 1, 0), (0, 1, 0, 0), (2, 2), ((0.9, 0.6, 0.3, 0.2), (0.95, 0.7, 0.25, 0.1))
    ),
    "two too many and one too few": Case(
        (1, 1, 1, 1), (0, 0, 1, 0), (2, 2), ((0.8, 0.55, 0.4, 0.25), (0.5, 0.7, 0.6, 0.2))
    ),
    "two too few and two too many": Case(
        (0, 0, 0, 0), (1, 0, 1, 1), (2, 1), ((0.7, 0.6, 0.52, 0.18), (0.6, 0.1, 0.2, 0.1))
    ),
    "three too few and a right one": Case(
        (0, 0, 0, 0, 0), (0, 1, 0, 0, 0), (3, 1), ((0.9, 0.7, 0.65, 0.61, 0.1), (0.2,) * 5)
    ),
}


def p_value(sample: Counter[tuple[Row, Row]], case: Case) -> float:
    """Of the chi-square test that a sample comes from the exact distribution."""
    exact = case.probabilities()
    assert sum(exact.values()) == pytest.approx(1)
    assert sample.keys() <= exact.keys()
    expected = {outcome: p * sample.total() for outcome, p in exact.items()}
    # rare outcomes together: the test needs some of each
    rare = [outcome for outcome, n in expected.items() if n < 8]
    observed = [sample[outcome] for outcome in expected if outcome not in rare]
    counts = [n for outcome, n in expected.items() if outcome not in rare]
    if rare:
        observed.append(sum(sample[outcome] for outcome in rare))
        counts.append(sum(expected[outcome] for outcome in rare))
    return float(stats.chisquare(observed, counts).pvalue)


def ours(case: Case, shots: int) -> Counter[tuple[Row, Row]]:
    alpha, beta = (np.repeat(occupied(row), shots, axis=0) for row in (case.alpha, case.beta))
    found = recover(
        configurations(alpha, beta),
        np.array(case.occupancies),
        case.electrons,
        np.random.default_rng(11),
    )
    outcomes = zip(as_rows(found.alpha), as_rows(found.beta), strict=True)
    return Counter(dict(zip(outcomes, np.rint(found.weights * shots).astype(int), strict=True)))


def the_library(case: Case, shots: int) -> Counter[tuple[Row, Row]]:
    norb = len(case.alpha)
    row = occupied(case.beta[::-1] + case.alpha[::-1])  # its columns fall, beta to the left
    alpha, beta = (np.array(spin) for spin in case.occupancies)
    rows, weights = recover_configurations(
        np.repeat(row, shots, axis=0),
        np.full(shots, 1 / shots),
        (alpha, beta),
        *case.electrons,
        rand_seed=12,
    )
    outcomes = zip(as_rows(rows[:, norb:][:, ::-1]), as_rows(rows[:, :norb][:, ::-1]), strict=True)
    return Counter(dict(zip(outcomes, np.rint(weights * shots).astype(int), strict=True)))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_flips_have_the_exact_probabilities(case: Case) -> None:
    assert p_value(ours(case, 50_000), case) > LEAST_P


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_librarys_flips_have_the_same_probabilities(case: Case) -> None:
    assert p_value(the_library(case, 3_000), case) > LEAST_P


def test_the_test_tells_other_probabilities_apart() -> None:
    case, other = CASES["two too many and one too few"], CASES["one too many and one too few"]
    nearly = Case(
        case.alpha, case.beta, case.electrons, (case.occupancies[0], other.occupancies[1])
    )

    assert p_value(ours(case, 3_000), nearly) < 1e-6


def test_rows_are_drawn_independently() -> None:
    shots = 20_000
    alpha = np.tile(occupied((1, 1, 0, 0), (0, 0, 1, 1)), (shots, 1))
    found = recover(
        configurations(alpha, np.zeros_like(alpha)),
        np.full((2, 4), 0.5),
        (1, 0),
        np.random.default_rng(3),
    )

    assert as_rows(found.alpha) == [(1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)]
    assert found.weights == pytest.approx(0.25, abs=5 * np.sqrt(0.25 / shots) / 2)


# occupancies of exactly zero and one


@pytest.mark.parametrize(
    ("row", "electrons", "after"),
    [
        ((1, 1, 1, 0), 2, (1, 1, 0, 0)),
        ((1, 1, 1, 1), 2, (1, 1, 0, 0)),
        ((1, 0, 0, 0), 2, (1, 1, 0, 0)),
        ((0, 0, 0, 1), 3, (1, 1, 0, 1)),
    ],
)
def test_a_bit_that_disagrees_for_sure_flips_before_one_that_agrees_for_sure(
    row: Row, electrons: int, after: Row
) -> None:
    for seed in range(20):
        assert recovered_alone(row, (1, 1, 0, 0), electrons, seed) == after


@pytest.mark.parametrize(
    ("occupancies", "error"),
    [((1, 1, 0.5, 0), "NaN"), ((1, 0.4, 0.5, 0), "Fewer non-zero entries")],
)
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_where_the_library_raises_the_missing_flips_are_uniform(
    occupancies: tuple[float, ...], error: str
) -> None:
    row, electrons = ((1, 1, 0, 0), 1) if error == "NaN" else ((1, 1, 0, 0), 0)
    with pytest.raises(ValueError, match=error):
        recover_configurations(
            occupied((0,) * 4 + row[::-1]),
            np.ones(1),
            (np.array(occupancies), np.zeros(4)),
            electrons,
            0,
            rand_seed=0,
        )
    found = frequencies_of(row, occupancies, electrons, 4_000)

    if electrons == 0:
        assert as_rows(found.alpha) == [(0, 0, 0, 0)]
    else:
        assert as_rows(found.alpha) == [(1, 0, 0, 0), (0, 1, 0, 0)]
        assert found.weights == pytest.approx(0.5, abs=5 * np.sqrt(0.25 / 4_000))


def test_where_the_library_leaves_a_row_wrong_the_flips_are_uniform() -> None:
    sure, row = (1, 1, 1, 0), (1, 1, 1, 0)
    left, _ = recover_configurations(
        occupied((0,) * 4 + row[::-1]), np.ones(1), (np.array(sure), np.zeros(4)), 1, 0
    )
    assert left.sum() == 3
    found = frequencies_of(row, sure, 1, 6_000)

    assert as_rows(found.alpha) == [(1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0)]
    assert found.weights == pytest.approx(1 / 3, abs=5 * np.sqrt(2 / 9 / 6_000))


def test_what_is_drawn_uniformly_comes_after_what_has_a_weight() -> None:
    # two of four must go: orbital 3 has a small weight, the others have none
    found = frequencies_of((1, 1, 1, 1), (1, 1, 1, 1 - 1e-9), 2, 6_000)

    assert as_rows(found.alpha) == [(1, 1, 0, 0), (1, 0, 1, 0), (0, 1, 1, 0)]
    assert found.weights == pytest.approx(1 / 3, abs=5 * np.sqrt(2 / 9 / 6_000))


@pytest.mark.parametrize("electrons", [0, 5])
@pytest.mark.parametrize("occupancy", [0.0, 0.3, 1.0])
def test_an_empty_or_a_full_shell_leaves_no_choice(electrons: int, occupancy: float) -> None:
    rng = np.random.default_rng(0)
    before = random_configurations(5, 40, rng)
    after = recover(before, np.full((2, 5), occupancy), (electrons, electrons), rng)

    assert as_rows(after.alpha) == as_rows(after.beta) == [(int(electrons > 0),) * 5]
    assert after.weights.tolist() == [1.0]
