"""Which strings are diagonalised: those with a claim first, then a draw by weight."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from scipy import stats

from qcsc_algorithms.sqd.determinants.configurations import Configurations, Strings, pack, unpack
from qcsc_algorithms.sqd.determinants.subspace import Subspace, subsample

NORB, PAIR = 4, (2, 2)
HF = 0b0011
OTHERS = [0b0101, 0b0110, 0b1001, 0b1010, 0b1100]  # all other ways to place two electrons
LEAST_P = 1e-3  # of a chi-square test that passes; the seeds are fixed


def strings(numbers: Sequence[int], norb: int = NORB) -> Strings:
    width = -(-norb // 8)
    content = b"".join(number.to_bytes(width, "big") for number in numbers)
    return np.frombuffer(content, np.uint8).reshape(-1, width)


def values(rows: Strings) -> list[int]:
    return [int.from_bytes(row.tobytes(), "big") for row in rows]


def configurations(pairs: Sequence[tuple[int, int]], weights: Any = None) -> Configurations:
    """Of (alpha, beta) strings."""
    alpha, beta = (unpack(strings([pair[i] for pair in pairs]), NORB) for i in (0, 1))
    equal = np.full(len(pairs), 1 / max(len(pairs), 1))
    return Configurations(alpha, beta, equal if weights is None else np.asarray(weights, float))


def chosen(
    pool: Configurations,
    max_strings: int,
    *,
    carryover: tuple[Sequence[int], Sequence[int]] = ((), ()),
    max_carryover: int = 100,
    electrons: tuple[int, int] = PAIR,
    seed: int | Sequence[int] = 0,
) -> Subspace:
    kept = strings(carryover[0], pool.norb), strings(carryover[1], pool.norb)
    rng = np.random.default_rng(seed)
    return subsample(pool, electrons, max_strings, kept, max_carryover, rng)


def random_strings(rng: np.random.Generator, rows: int, norb: int, electrons: int) -> Any:
    return rng.permuted(np.tile(np.arange(norb) < electrons, (rows, 1)), axis=1)


def random_case(seed: int) -> tuple[Configurations, tuple[int, int], dict[str, Any]]:
    """A pool, its electrons, and limits, all of any size."""
    rng = np.random.default_rng(seed)
    norb = int(rng.choice([4, 7, 8, 9, 12, 66]))
    closed = bool(rng.integers(2))
    electrons = (2, 2) if closed else (3, 1)
    rows = int(rng.integers(0, 25))
    alpha, beta = (random_strings(rng, rows, norb, n) for n in electrons)
    weights = rng.random(rows)
    pool = Configurations(alpha, beta, weights / weights.sum() if rows else weights)
    options = {
        "max_strings": int(rng.integers(1, 20)),
        "carryover": tuple(
            list(
                dict.fromkeys(packed_values(random_strings(rng, int(rng.integers(0, 15)), norb, n)))
            )
            for n in electrons
        ),
        "max_carryover": int(rng.integers(0, 20)),
    }
    return pool, electrons, options


def packed_values(bits: Any) -> list[int]:
    return [sum(1 << int(p) for p in np.flatnonzero(row)) for row in bits]


def random_subspace(seed: int) -> tuple[Subspace, Configurations, tuple[int, int], dict[str, Any]]:
    pool, electrons, options = random_case(seed)
    return chosen(pool, electrons=electrons, seed=seed, **options), pool, electrons, options


def claims(
    pool: Configurations, electrons: tuple[int, int], options: dict[str, Any]
) -> list[tuple[list[int], set[int]]]:
    """Of each spin: strings with a claim in their order, and all that may be chosen from."""
    cap, kept = options["max_carryover"], options["carryover"]
    seen = [set(packed_values(pool.alpha)), set(packed_values(pool.beta))]
    first = [(1 << n) - 1 for n in electrons]
    if electrons[0] == electrons[1]:
        turns = [v for pair in itertools.zip_longest(*kept) for v in pair if v is not None]
        carried = list(dict.fromkeys(turns))[:cap]
        seen, lists = [seen[0] | seen[1]] * 2, [carried, carried]
    else:
        lists = [spin[:cap] for spin in kept]
    heads = [list(dict.fromkeys([f, *spin])) for f, spin in zip(first, lists, strict=True)]
    return [(head, set(head) | pool) for head, pool in zip(heads, seen, strict=True)]


SEEDS = range(60)


@pytest.mark.parametrize("seed", SEEDS)
def test_there_are_exactly_as_many_as_allowed_or_all_there_are(seed: int) -> None:
    found, pool, electrons, options = random_subspace(seed)

    for spin, (_, everything) in zip(
        (found.alpha, found.beta), claims(pool, electrons, options), strict=True
    ):
        assert len(spin) == min(options["max_strings"], len(everything))
        assert set(values(spin)) <= everything
        assert len(set(values(spin))) == len(spin)


@pytest.mark.parametrize("seed", SEEDS)
def test_hartree_fock_is_first_and_the_carried_ones_follow_in_their_order(seed: int) -> None:
    found, pool, electrons, options = random_subspace(seed)
    heads = [head[: options["max_strings"]] for head, _ in claims(pool, electrons, options)]

    for spin, head, n in zip((found.alpha, found.beta), heads, electrons, strict=True):
        assert values(spin)[0] == (1 << n) - 1
        assert values(spin)[: len(head)] == head
    assert found.carried == max(len(head) - 1 for head in heads)


@pytest.mark.parametrize("seed", SEEDS)
def test_all_strings_have_the_right_electrons_and_a_closed_shell_the_same_of_both_spins(
    seed: int,
) -> None:
    found, _, electrons, _ = random_subspace(seed)

    for spin, n in zip((found.alpha, found.beta), electrons, strict=True):
        assert {value.bit_count() for value in values(spin)} == {n}
    same = values(found.alpha) == values(found.beta)
    assert same is (electrons[0] == electrons[1])


def test_the_dimension_is_the_number_of_pairs() -> None:
    pool = configurations([(0b0111, 0b0001), (0b1110, 0b0010), (0b1110, 0b1000)])
    found = chosen(pool, 10, electrons=(3, 1))

    assert (len(found.alpha), len(found.beta), found.dimension) == (2, 3, 6)


# what there is to choose from


def test_a_single_string_is_hartree_fock() -> None:
    found = chosen(configurations([(0b1100, 0b1100)]), 1, carryover=([0b0101], [0b0101]))

    assert (values(found.alpha), found.carried, found.dimension) == ([HF], 0, 1)


def test_without_configurations_hartree_fock_and_the_carried_ones_remain() -> None:
    assert values(chosen(configurations([]), 10).alpha) == [HF]
    found = chosen(configurations([]), 10, carryover=([0b1010], [0b1100]))
    assert (values(found.alpha), found.carried) == ([HF, 0b1010, 0b1100], 2)


def test_a_closed_shell_has_the_strings_of_either_spin_in_both() -> None:
    found = chosen(configurations([(0b0101, 0b1010)]), 10)

    assert sorted(values(found.alpha)) == sorted(values(found.beta)) == [HF, 0b0101, 0b1010]


def test_an_open_shell_keeps_the_spins_apart() -> None:
    found = chosen(configurations([(0b1011, 0b0100)]), 10, electrons=(3, 1))

    assert (values(found.alpha), values(found.beta)) == ([0b0111, 0b1011], [0b0001, 0b0100])


def test_all_that_was_seen_is_taken_where_there_is_room() -> None:
    pool = configurations([(a, b) for a in OTHERS for b in OTHERS])

    assert set(values(chosen(pool, 6).alpha)) == {HF, *OTHERS}
    assert set(values(chosen(pool, 100).alpha)) == {HF, *OTHERS}


# what is carried over


@pytest.mark.parametrize(("cap", "carried"), [(0, 0), (1, 1), (2, 2), (5, 3)])
def test_no_more_is_carried_over_than_the_cap(cap: int, carried: int) -> None:
    kept = [0b1100, 0b1010, 0b1001]
    found = chosen(configurations([]), 10, carryover=(kept, kept), max_carryover=cap)

    assert (values(found.alpha), found.carried) == ([HF, *kept[:cap]], carried)


def test_more_to_carry_over_than_there_is_room_for_leaves_the_most_important() -> None:
    kept = [0b1100, 0b1010, 0b1001, 0b0110]
    found = chosen(configurations([(0b0101, 0b0101)]), 3, carryover=(kept, kept))

    assert (values(found.alpha), found.carried) == ([HF, 0b1100, 0b1010], 2)


def test_a_carried_string_that_was_sampled_too_is_there_once() -> None:
    pool = configurations([(0b1100, 0b1100), (0b1010, HF)])
    found = chosen(pool, 10, carryover=([0b1100], [0b1100]))

    assert (values(found.alpha), found.carried) == ([HF, 0b1100, 0b1010], 1)


def test_hartree_fock_among_the_carried_ones_does_not_count_as_carried() -> None:
    found = chosen(configurations([]), 10, carryover=([HF, 0b1100], [HF, 0b1100]))

    assert (values(found.alpha), found.carried) == ([HF, 0b1100], 1)


def test_a_closed_shell_carries_over_the_most_important_of_either_spin_in_turns() -> None:
    found = chosen(
        configurations([]), 10, carryover=([0b1100, 0b1010, 0b1001], [0b0110]), max_carryover=3
    )

    assert values(found.alpha) == [HF, 0b1100, 0b0110, 0b1010]


def test_an_open_shell_carries_over_each_spins_own() -> None:
    found = chosen(configurations([]), 10, carryover=([0b1110], [0b1000, 0b0100]), electrons=(3, 1))

    assert (values(found.alpha), values(found.beta)) == ([0b0111, 0b1110], [1, 0b1000, 0b0100])
    assert found.carried == 2


# the draw


def test_the_same_generator_draws_the_same_strings_and_another_one_others() -> None:
    rng = np.random.default_rng(0)
    bits = random_strings(rng, 200, 9, 4)
    pool = Configurations(bits, bits[::-1].copy(), np.full(200, 1 / 200))
    one, same, other = (chosen(pool, 20, electrons=(4, 4), seed=seed) for seed in (1, 1, 2))

    assert one.alpha.tobytes() == same.alpha.tobytes()
    assert set(values(one.alpha)) != set(values(other.alpha))


def exact(weights: dict[int, float], draws: int) -> dict[frozenset[int], float]:
    """The probabilities of what is drawn without replacement."""
    found: defaultdict[frozenset[int], float] = defaultdict(float)
    for order in itertools.permutations(weights, draws):
        left, probability = sum(weights.values()), 1.0
        for value in order:
            probability *= weights[value] / left
            left -= weights[value]
        found[frozenset(order)] += probability
    return dict(found)


def drawn(pool: Configurations, draws: int) -> Counter[frozenset[int]]:
    """How often which strings follow Hartree-Fock's."""
    seeds = ([seed, draws] for seed in range(1_500))
    return Counter(
        frozenset(values(chosen(pool, 1 + draws, seed=seed).alpha)[1:]) for seed in seeds
    )


def p_value(seen: Counter[frozenset[int]], weights: dict[int, float], draws: int) -> float:
    """Of the chi-square test that strings are drawn by these weights."""
    expected = exact(weights, draws)
    assert seen.keys() <= expected.keys()
    counts = [seen[outcome] for outcome in expected]
    return float(stats.chisquare(counts, [p * seen.total() for p in expected.values()]).pvalue)


@pytest.mark.parametrize("draws", [1, 2])
def test_strings_are_drawn_without_replacement_by_the_weight_of_both_their_spins(
    draws: int,
) -> None:
    pairs = [(0b0101, 0b0110), (0b1001, 0b0101), (0b1100, 0b1100)]
    pool = configurations(pairs, [0.3, 0.5, 0.2])
    weights = {0b0101: 0.8, 0b0110: 0.3, 0b1001: 0.5, 0b1100: 0.4}

    seen = drawn(pool, draws)

    assert p_value(seen, weights, draws) > LEAST_P
    assert p_value(seen, dict.fromkeys(weights, 1.0), draws) < 1e-6  # the test can fail


def test_the_weight_of_a_string_that_is_there_anyway_does_not_change_the_draw() -> None:
    pairs = [(HF, HF), (0b0101, 0b0101), (0b0110, 0b0110), (0b1001, 0b1001)]
    pool = configurations(pairs, [0.94, 0.03, 0.02, 0.01])

    assert p_value(drawn(pool, 1), {0b0101: 3, 0b0110: 2, 0b1001: 1}, 1) > LEAST_P


def test_strings_without_weight_are_drawn_after_all_others() -> None:
    pool = configurations([(v, v) for v in OTHERS], [0.0, 1e-12, 0.0, 1 - 1e-12, 0.0])

    for seed in range(20):
        assert set(values(chosen(pool, 3, seed=seed).alpha)) == {HF, OTHERS[1], OTHERS[3]}
        assert len(chosen(pool, 5, seed=seed).alpha) == 5


@pytest.mark.parametrize("seed", SEEDS)
def test_the_heaviest_are_those_of_the_largest_weights_whatever_is_drawn(seed: int) -> None:
    pool, electrons, _ = random_case(seed)
    rng, none = np.random.default_rng(seed), strings([], pool.norb)
    found = subsample(pool, electrons, 4, (none, none), 0, rng, "heaviest")
    again = subsample(pool, electrons, 4, (none, none), 0, rng, "heaviest")
    assert found == again
    weights: Counter[int] = Counter()
    for spin, rows in enumerate((pool.alpha, pool.beta)):
        if spin == 0 or electrons[0] == electrons[1]:
            for row, weight in zip(values(pack(rows)), pool.weights, strict=True):
                weights[row] += weight
    first, *others = values(np.asarray(found.alpha))
    assert first == (1 << electrons[0]) - 1
    del weights[first]
    ranked = sorted(weights.items(), key=lambda item: (-round(item[1], 12), item[0]))
    assert [weights[each] for each in others] == pytest.approx([w for _, w in ranked[:3]])


def test_of_equally_heavy_ones_the_lower_come_first() -> None:
    pool = configurations([(each, each) for each in OTHERS[::-1]])
    none = strings([])
    found = subsample(pool, PAIR, 4, (none, none), 0, np.random.default_rng(0), "heaviest")
    assert values(np.asarray(found.alpha)) == [HF, *OTHERS[:3]]


def test_carried_strings_come_before_the_heaviest() -> None:
    pool = configurations([(0b0101, 0b0101), (0b0110, 0b0110)], [0.9, 0.1])
    kept = strings([0b1100]), strings([])
    found = subsample(pool, PAIR, 3, kept, 5, np.random.default_rng(0), "heaviest")
    assert values(np.asarray(found.alpha)) == [HF, 0b1100, 0b0101]
