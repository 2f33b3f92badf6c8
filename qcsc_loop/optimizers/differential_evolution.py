"""Differential evolution: a population that is bred from its own differences."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from qcsc_loop.optimizers.optimizer import Box, Floats, Move, Optimizer, OptimizerState


class DifferentialEvolution(Optimizer):
    """DE/best/2/bin, or another base: for rugged functions, and as many values at once as wanted.

    A trial is a base member plus the scaled differences of random pairs of others, crossed over
    with the member's own; it takes the member's place if its value is lower. Storn and Price,
    J. Glob. Optim. 11, 341 (1997). Price, Storn and Lampinen, Differential Evolution (2005).

    Attributes:
        population: members, and points that are asked for at a time.
        strategy: the base of a trial, and how many differences; with one, the best member is soon the
            only one.
        scale: of the differences, F.
        crossover: the probability with which a parameter is taken from the mutant, CR.
        perturbation: standard deviation of the first members around the start, in the parameters'
            unit; 0: they are uniform between the bounds, which then have to be given.
    """

    type: Literal["de"] = "de"
    population: int = Field(default=15, ge=6)
    strategy: Literal["best/1", "best/2", "rand/1"] = "best/2"
    scale: float = Field(default=0.6, gt=0, le=2)
    crossover: float = Field(default=0.9, ge=0, le=1)
    perturbation: float = Field(default=0.5, ge=0)

    def first_move(self, start: Floats, box: Box, rng: np.random.Generator) -> Move:
        size = (self.population, len(start))
        if self.perturbation:
            points = start + self.perturbation * rng.standard_normal(size)
        elif box.is_finite:
            points = rng.uniform(box.lower, box.upper, size)
        else:
            raise ValueError(
                "perturbation = 0 draws the first members between the bounds, and not every "
                "parameter has both: give bounds, or a perturbation"
            )
        points[0] = start
        none = np.full(self.population, np.inf)
        # nothing is known of them yet, and any value takes a place of which nothing is known
        return Move(points, start, _spread(points), {"members": box.inside(points), "values": none})

    def next_move(
        self, state: OptimizerState, values: Floats, box: Box, rng: np.random.Generator
    ) -> Move:
        better = values < state.memory["values"]
        members = np.where(better[:, None], state.points, state.memory["members"])
        known = np.where(better, values, state.memory["values"])
        center = members[np.argmin(known)]
        trials = np.stack([self._trial(i, members, center, rng) for i in range(self.population)])
        return Move(trials, center, _spread(members), {"members": members, "values": known})

    def _trial(self, own: int, members: Floats, best: Floats, rng: np.random.Generator) -> Floats:
        others = rng.permutation(np.delete(np.arange(len(members)), own))
        a, b, c, d, e = members[others[:5]]
        if self.strategy == "best/1":
            mutant = best + self.scale * (a - b)
        elif self.strategy == "best/2":
            mutant = best + self.scale * (a - b + c - d)
        else:
            mutant = e + self.scale * (a - b)
        taken = rng.random(len(best)) < self.crossover
        taken[rng.integers(len(best))] = True  # at least one
        trial: Floats = np.where(taken, mutant, members[own])
        return trial


def _spread(members: Floats) -> float:
    return float(members.std(axis=0).max())
