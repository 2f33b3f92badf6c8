"""Plain SQD: one circuit is sampled once, and its shots are recovered until they agree with themselves.

Robledo-Moreno et al., arXiv:2405.05068. The first iteration samples; every one recovers the shots
by the occupancies of the one before, draws subspaces of them, and diagonalises. No optimiser.
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from qcsc_algorithms.sqd.chemistry.ansatz import LUCJ
from qcsc_algorithms.sqd.chemistry.hamiltonian import Hamiltonian
from qcsc_algorithms.sqd.chemistry.reference import Energies
from qcsc_algorithms.sqd.pool import Pool
from qcsc_algorithms.sqd.sample_based import (
    ENERGY_CHART,
    Guess,
    Pooled,
    SampleBased,
    energy_table,
    require_variational,
    state_tables,
)
from qcsc_loop.algorithm import IterativeAlgorithm
from qcsc_loop.concurrency.worker import in_worker
from qcsc_loop.loop.hooks import Table
from qcsc_loop.parameters.operational import OPERATIONAL
from qcsc_loop.sampling.sampler import Sampler
from qcsc_loop.sampling.samples import Samples
from qcsc_loop.values.arrays import NDArray
from qcsc_loop.values.chart import Chart
from qcsc_loop.values.record import State


class Recovered(State):
    """The shots, and the best state of them so far. Energies in hartree.

    Attributes:
        energy: the lowest so far; Hartree-Fock's at first.
        current: of the last iteration.
        error: standard error over its batches; NaN with one.
        moved: the largest change of an orbital's occupancy by it; NaN for the first.
        configurations: distinct ones among the shots.
        strings, dimension, carried, valid, residual, unconverged: as in `Walkers`.
        spin_square: S^2 of the state of `energy`; NaN where a solver does not tell.
        parameters: of the circuit, float64 (parameters,).
        guess: occupancies of the last iteration; all else of the state of `energy`.
    """

    chart: ClassVar[Chart] = ENERGY_CHART

    energy: float
    current: float = math.nan
    error: float = math.nan
    moved: float = math.nan
    configurations: int = 0
    strings: int = 1
    dimension: int = 1
    carried: int = 0
    valid: float = math.nan
    residual: float = math.nan
    unconverged: int = 0
    spin_square: float = math.nan
    hamiltonian: Hamiltonian
    references: Energies
    parameters: NDArray
    pool: Pool
    guess: Guess


class PlainSQD(SampleBased, IterativeAlgorithm[Recovered, Samples | None, Pooled]):
    """Sample-based quantum diagonalization of one set of shots, with self-consistent recovery.

    >>> import anyio
    >>> from qcsc_loop import MaxIterations, MemoryStore
    >>> hydrogen = {"geometry": "H 0 0 0; H 0 0 0.735", "basis": "sto-3g"}
    >>> sqd = PlainSQD(system=hydrogen, shots=1000)
    >>> outcome = anyio.run(lambda: sqd.run(store=MemoryStore(), stop=MaxIterations(3)))
    >>> round(outcome.state.energy, 6)
    -1.137306

    Attributes:
        ansatz: the circuit; its parameters are from CCSD's amplitudes.
        batches: subspaces that are drawn and diagonalised in each iteration.
        tolerance, occupancy_tolerance: converged when an iteration changed the energy by at most so
            many hartree, and no orbital's occupancy by more.
    """

    ansatz: LUCJ = LUCJ()
    batches: int = Field(default=3, ge=1, description="subspaces in each iteration")
    tolerance: Annotated[float, OPERATIONAL] = Field(
        default=1e-5, ge=0, description="hartree; 0 = never converged"
    )
    occupancy_tolerance: Annotated[float, OPERATIONAL] = Field(
        default=1e-3, ge=0, description="of an orbital's occupancy"
    )

    async def initialize(self) -> Recovered:
        found = await self._start(self.ansatz)
        norb = found.hamiltonian.norb
        return Recovered(
            energy=found.energies.hf,
            hamiltonian=found.hamiltonian,
            references=found.energies,
            parameters=found.parameters,
            pool=Pool.nothing(norb),
            guess=Guess.nothing(norb),
        )

    async def sample(self, state: Recovered) -> Samples | None:
        if len(state.pool.counts):
            return None
        circuit = await in_worker(self.ansatz.circuit, state.parameters, state.hamiltonian)
        assert isinstance(self.sampler, Sampler)  # names were resolved when the run started
        return await self.sampler.sample(circuit, shots=self.shots)

    async def evaluate(self, state: Recovered, samples: Samples | None) -> Pooled:
        return await self._pooled(state.hamiltonian, state.pool, samples, state.guess)

    async def update(self, state: Recovered, evaluation: Pooled) -> Recovered:
        found = evaluation.found
        require_variational(found.energy, state.references.fci)
        before, now = state.guess, found.guess
        better = found.energy < state.energy or not before.occupancies.size
        best = now if better else before
        return Recovered(
            energy=min(state.energy, found.energy),
            current=found.energy,
            error=found.error,
            moved=_moved(before, now),
            configurations=len(evaluation.pool.counts),
            strings=found.strings,
            dimension=found.dimension,
            carried=found.carried,
            valid=found.valid,
            residual=found.residual,
            unconverged=found.unconverged,
            spin_square=found.spin_square if better else state.spin_square,
            hamiltonian=state.hamiltonian,
            references=state.references,
            parameters=state.parameters,
            pool=evaluation.pool,
            guess=best.model_copy(update={"occupancies": now.occupancies}),
        )

    async def converged(self, previous: Recovered, current: Recovered) -> bool:
        return (
            self.tolerance > 0
            and abs(current.current - previous.current) <= self.tolerance
            and current.moved <= self.occupancy_tolerance
        )

    def tables(self, state: Recovered) -> dict[str, Table]:
        """`sqd-energies`, beside those of other methods, and the best state's properties."""
        return {
            "sqd-energies": energy_table("SQD", state.energy, state.references, state.spin_square),
            **state_tables("sqd", state.hamiltonian, state.guess),
        }


def _moved(before: Guess, now: Guess) -> float:
    if not before.occupancies.size:
        return math.nan
    return float(np.max(np.abs(np.asarray(now.occupancies) - np.asarray(before.occupancies))))
