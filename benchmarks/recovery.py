"""Configuration recovery: ours, for all samples at once, beside qiskit-addon-sqd's, one by one.

Both are one thread. On a machine that others use, too, the seconds of CPU are the better figure.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from qiskit_addon_sqd.configuration_recovery import recover_configurations

from benchmarks.figures import Figure, at_least, show
from qcsc_algorithms.sqd.determinants.configurations import (
    Bits,
    Configurations,
    Floats,
    pack,
    unique_rows,
)
from qcsc_algorithms.sqd.determinants.recovery import recover

STRINGS, REPEATS = 100_000, 7
READOUT_ERROR = 0.03  # of each bit: a third of the shots of 32 bits has none, a tenth of 72
SOFTNESS = 0.08  # of the Fermi edge, in units of all orbitals
TIMES_FASTER = 20


class Took(NamedTuple):
    """Seconds of a call."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Noisy:
    """Distinct samples of a correlated state whose bits were read with errors.

    Attributes:
        norb: orbitals; a sample has twice as many bits.
        electrons: of each spin.
    """

    norb: int
    electrons: tuple[int, int]

    @cached_property
    def occupancies(self) -> Floats:
        """Float64 (2, norb): close to 1 far below the Fermi level and to 0 far above it."""
        orbitals, width = np.arange(self.norb), SOFTNESS * self.norb
        return np.array([1 / (1 + np.exp((orbitals - n + 0.5) / width)) for n in self.electrons])

    @cached_property
    def samples(self) -> Configurations:
        """So many, all distinct."""
        rng = np.random.default_rng(0)
        drawn = np.empty((0, 2 * self.norb), bool)
        while len(drawn) < STRINGS:
            both = np.concatenate([self._read(spin, rng) for spin in (1, 0)], axis=1)
            drawn = np.concatenate([drawn, both])
            drawn = drawn[unique_rows(pack(drawn))[1]]
        rows = rng.permutation(drawn)[:STRINGS]
        return Configurations(
            alpha=np.ascontiguousarray(rows[:, self.norb :]),
            beta=np.ascontiguousarray(rows[:, : self.norb]),
            weights=rng.dirichlet(np.ones(STRINGS)),
        )

    def _read(self, spin: int, rng: np.random.Generator) -> Bits:
        """A spin's bits: the right number of electrons, distributed as occupied; then errors."""
        odds = np.log(self.occupancies[spin]) - np.log1p(-self.occupancies[spin])
        keys = odds + rng.gumbel(size=(STRINGS, self.norb))
        filled = np.argsort(np.argsort(-keys, axis=1), axis=1) < self.electrons[spin]
        errors: Bits = rng.random(filled.shape) < READOUT_ERROR
        return filled ^ errors

    @cached_property
    def wrong(self) -> float:
        """The share of samples with a wrong number of electrons."""
        counts = np.stack([self.samples.alpha.sum(axis=1), self.samples.beta.sum(axis=1)], axis=1)
        return float(np.mean(np.any(counts != self.electrons, axis=1)))

    @cached_property
    def rows(self) -> Bits:
        """The samples as the library has them: beta before alpha, the last orbital first."""
        found = self.samples
        return np.concatenate([found.beta[:, ::-1], found.alpha[:, ::-1]], axis=1)

    def recovered(self) -> int:
        """How many distinct configurations ours gives."""
        rng = np.random.default_rng(1)
        return len(recover(self.samples, self.occupancies, self.electrons, rng))

    def recovered_by_peer(self) -> int:
        """How many the library gives."""
        both: Any = (self.occupancies[0], self.occupancies[1])
        found, _ = recover_configurations(
            self.rows, self.samples.weights, both, *self.electrons, rand_seed=1
        )
        return len(found)


def figures(noisy: Noisy) -> list[Figure]:
    """The library takes many seconds, and one turn; ours has turns before and after it."""
    same = noisy.recovered()
    assert noisy.rows.shape == (STRINGS, 2 * noisy.norb) and 0.5 < noisy.wrong < 1
    ours = [_took(noisy.recovered) for _ in range(REPEATS)]
    peer = _took(lambda: _require(same, noisy.recovered_by_peer()))
    ours += [_took(noisy.recovered) for _ in range(REPEATS)]
    walls = [each.wall for each in ours]
    wall, cpu = statistics.median(walls), statistics.median(each.cpu for each in ours)
    what = f"recover, {2 * noisy.norb} bits, {noisy.wrong:.0%} wrong"
    spread = f"{min(walls):.2f}-{max(walls):.2f}"
    name = "recover_configurations"
    target = at_least(TIMES_FASTER, peer.cpu / cpu, " times faster")
    return [
        Figure(f"{what} ({spread} s)", wall, "s", name, peer.wall),
        Figure(what, cpu, "s of CPU", name, peer.cpu, target),
    ]


def _took(act: Callable[[], object]) -> Took:
    wall, cpu = time.perf_counter(), time.process_time()
    act()
    return Took(time.perf_counter() - wall, time.process_time() - cpu)


def _require(ours: int, peer: int) -> None:
    """Both draw from the same distribution, and so find about as many configurations."""
    assert 0.98 < ours / peer < 1.02, f"ours finds {ours} configurations, the library {peer}"


if __name__ == "__main__":
    molecules = (Noisy(16, (5, 5)), Noisy(36, (27, 27)))  # of the sizes of N2 and [4Fe-4S]
    lines = [line for noisy in molecules for line in figures(noisy)]
    show(f"Recovery of {STRINGS:,} distinct samples", lines)
