"""Paired differences over seeds: the exact test, its interval, how many seeds a claim takes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from qcsc_loop.sweeping.signed_rank import compare_pairs, holm, least_pairs, p_value


@pytest.mark.parametrize("pairs", [3, 6, 11, 25])
def test_p_is_that_of_scipys_exact_test(pairs: int) -> None:
    differences = np.random.default_rng(pairs).normal(0.4, 1, pairs)
    _, expected = stats.wilcoxon(differences, method="exact")
    assert p_value(differences.tolist()) == pytest.approx(expected, abs=1e-12)


def test_equal_sizes_share_their_ranks_as_in_every_choice_of_signs() -> None:
    differences = [1.0, 1.0, -1.0, 2.0, 3.0, 3.0]
    # counted out: W+ is 18.5 (doubled ranks 4 4 4 8 11 11), and 10 of the 64 choices are as extreme
    sizes = [4, 4, 4, 8, 11, 11]
    sums = [sum(r for k, r in enumerate(sizes) if n >> k & 1) for n in range(64)]
    extreme = sum(total <= 4 for total in sums)
    assert p_value(differences) == 2 * extreme / 64


def test_many_pairs_have_the_normal_distribution() -> None:
    differences = np.random.default_rng(2).normal(0.2, 1, 100)
    _, expected = stats.wilcoxon(differences, method="exact")
    assert p_value(differences.tolist()) == pytest.approx(expected, rel=0.05)


def test_fewer_than_six_seeds_claim_nothing_however_clear_it_is() -> None:
    assert least_pairs() == 6
    assert p_value([1.0] * 5) > 0.05 >= p_value([1.0] * 6)
    five, six = compare_pairs([1.0] * 5), compare_pairs([1.0, 2, 3, 4, 5, 6])
    assert [least_pairs(comparisons) for comparisons in (2, 3, 4, 6)] == [7, 7, 8, 8]
    assert five is not None and five.interval is None
    assert six is not None and six.interval == (1.0, 6.0)


@pytest.mark.parametrize("pairs", [6, 10, 17])
def test_the_interval_is_what_the_test_does_not_reject(pairs: int) -> None:
    differences = np.random.default_rng(pairs).normal(1.0, 1.0, pairs)
    found = compare_pairs(differences.tolist())
    assert found is not None and found.interval is not None
    low, high = found.interval
    inside = [low + 1e-9, found.estimate, high - 1e-9]
    outside = [low - 1e-9, high + 1e-9]
    assert all(p_value((differences - shift).tolist()) > 0.05 for shift in inside)
    assert all(p_value((differences - shift).tolist()) <= 0.05 for shift in outside)


def test_a_small_difference_takes_more_seeds_than_a_large_one() -> None:
    chance = np.random.default_rng(3)
    small = compare_pairs(chance.normal(0.3, 1, 20).tolist())
    large = compare_pairs(chance.normal(2.0, 1, 20).tolist())
    assert small is not None and large is not None
    assert small.wanted is not None and large.wanted is not None
    assert small.wanted > large.wanted >= 6


def test_no_difference_at_all_is_none() -> None:
    found = compare_pairs([0.0, 0.0])
    assert found is not None
    assert (found.p, found.estimate, found.below, found.above) == (1.0, 0.0, 0, 0)
    assert compare_pairs([]) is None


def test_several_comparisons_are_corrected_together() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []
