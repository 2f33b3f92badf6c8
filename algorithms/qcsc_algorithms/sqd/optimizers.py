"""Where the next circuits' parameters come from: an optimiser, and controls that do not optimise.

A control with a circuit or with random bits costs the same shots and the same diagonalisations; two
need no shot, as their strings follow from the Hamiltonian. Whether an optimiser earns its QPU time
shows only beside these, at the same subspace dimension.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from qcsc_loop.values.arrays import NDArray
from qcsc_loop.values.record import Record

Floats = npt.NDArray[np.float64]


class Population(Record):
    """The parameters that were kept, and what they gave.

    Attributes:
        parameters: float64 (walkers, parameters).
        energies: float64 (walkers,), in hartree; inf before there is one.
    """

    parameters: NDArray
    energies: NDArray

    def found_anew(self, energies: Floats) -> Population:
        """With these energies instead of those that were kept; NaN where there is none."""
        return Population(
            parameters=self.parameters,
            energies=np.where(np.isnan(energies), self.energies, energies),
        )

    def selected(self, trials: Floats, energies: Floats) -> Population:
        """Of each walker the better of what it had and its trial; NaN is a trial that failed."""
        better = energies < self.energies
        return Population(
            parameters=np.where(better[:, None], trials, self.parameters),
            energies=np.where(better, energies, self.energies),
        )


class _Optimizer(BaseModel, ABC):
    model_config = ConfigDict(frozen=True, extra="forbid")

    min_walkers: ClassVar[int] = 1
    uniform_bits: ClassVar[bool] = False  # whether random bits stand in for the circuit's
    without_shots: ClassVar[Literal["cisd", "hci"] | None] = None  # what chooses strings instead

    @property
    def selects_anew(self) -> bool:
        """Whether what a walker had is diagonalised again beside its trial."""
        return False

    def first(self, start: Floats, walkers: int, rng: np.random.Generator) -> Floats:
        """The first trials, float64 (walkers, parameters)."""
        return self.next(start, self.unknown(start, walkers), rng)

    @staticmethod
    def unknown(start: Floats, walkers: int) -> Population:
        """A population of which nothing is known yet."""
        return Population(
            parameters=np.tile(start, (walkers, 1)), energies=np.full(walkers, np.inf)
        )

    @abstractmethod
    def next(self, start: Floats, population: Population, rng: np.random.Generator) -> Floats:
        """The next trials, float64 (walkers, parameters).

        Args:
            start: the parameters from the reference calculation.
        """


class DifferentialEvolution(_Optimizer):
    """DE/best/2/bin (Price, Storn and Lampinen, Differential Evolution, 2005, section 2.5).

    Begins with the start and perturbations of it. A trial is the best walker's parameters plus
    the scaled differences of two random pairs of walkers, crossed over with the walker's own; it
    replaces the walker's if its energy is lower.

    Attributes:
        scale: of the differences, F.
        crossover: the probability with which a parameter is taken from the mutant, CR.
        perturbation: standard deviation of the first trials around the start, in radians.
        selection: what a trial's energy is compared with. "kept": the walker's, as it was found in its
            iteration, with the occupancies and carried-over strings of then; as these get better,
            almost every trial wins. "anew": the energy of the walker's own shots, which are kept,
            diagonalised again with those of now: no more shots, and twice the diagonalisations. It
            only selects: a run's energy is the lowest of its trials', as that of the controls.
    """

    type: Literal["de"] = "de"
    scale: float = Field(default=0.6, gt=0, le=2)
    crossover: float = Field(default=0.9, ge=0, le=1)
    perturbation: float = Field(default=0.2, ge=0)
    selection: Literal["kept", "anew"] = "kept"

    min_walkers = 4

    @property
    def selects_anew(self) -> bool:
        return self.selection == "anew"

    def first(self, start: Floats, walkers: int, rng: np.random.Generator) -> Floats:
        return _perturbed(start, walkers, self.perturbation, rng)

    def next(self, start: Floats, population: Population, rng: np.random.Generator) -> Floats:
        kept = population.parameters
        best = kept[np.argmin(population.energies)]
        trials = np.empty_like(kept)
        for walker, own in enumerate(kept):
            a, b, c, d = kept[rng.permutation(len(kept))[:4]]
            mutant = best + self.scale * (a - b + c - d)
            taken = rng.random(len(own)) < self.crossover
            if len(own):
                taken[rng.integers(len(own))] = True  # at least one
            trials[walker] = np.where(taken, mutant, own)
        return trials


class Fixed(_Optimizer):
    """A control: the start's parameters in every iteration; only shots and subsamples differ."""

    type: Literal["fixed"] = "fixed"

    def next(self, start: Floats, population: Population, rng: np.random.Generator) -> Floats:
        return np.tile(start, (len(population.energies), 1))


class Perturb(_Optimizer):
    """A control: fresh perturbations of the start in every iteration, never selected.

    Attributes:
        perturbation: their standard deviation, in radians.
    """

    type: Literal["perturb"] = "perturb"
    perturbation: float = Field(default=0.2, ge=0)

    def next(self, start: Floats, population: Population, rng: np.random.Generator) -> Floats:
        return _perturbed(start, len(population.energies), self.perturbation, rng)


class Random(_Optimizer):
    """A control without a quantum computer: uniform random bits in place of the circuit's."""

    type: Literal["random"] = "random"

    uniform_bits = True

    def next(self, start: Floats, population: Population, rng: np.random.Generator) -> Floats:
        return np.tile(start, (len(population.energies), 1))


class _Classical(_Optimizer):
    """A control without a quantum computer or a shot: one diagonalisation, the same for any seed."""

    def next(self, start: Floats, population: Population, rng: np.random.Generator) -> Floats:
        return np.tile(start, (len(population.energies), 1))


class CISD(_Classical):
    """A control without a shot: the strings of largest weight in CISD."""

    type: Literal["cisd"] = "cisd"

    without_shots = "cisd"


class HCI(_Classical):
    """A control without a shot: strings that heat-bath selected CI adds, from Hartree-Fock on.

    Holmes, Tubman and Umrigar, J. Chem. Theory Comput. 12, 3674 (2016); over strings, not determinants.
    """

    type: Literal["hci"] = "hci"

    without_shots = "hci"


def _perturbed(start: Floats, walkers: int, deviation: float, rng: np.random.Generator) -> Floats:
    """The start itself, and normal perturbations of it."""
    trials = start + deviation * rng.standard_normal((walkers, len(start)))
    trials[0] = start
    return trials


def _by_name(value: object) -> object:
    return {"type": value} if isinstance(value, str) else value


Optimizer = Annotated[
    Annotated[
        DifferentialEvolution | Fixed | Perturb | Random | CISD | HCI, Field(discriminator="type")
    ],
    BeforeValidator(_by_name),
]
"""An optimiser's or a control's settings; or its name alone."""
