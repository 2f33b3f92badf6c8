"""Closed-loop SQD: circuits whose parameters are driven by the energies of their own samples.

The loop of arXiv:2511.00224: a population of LUCJ circuits is sampled; of each one's samples the
configurations are recovered, subsampled and diagonalised; the energies move the population.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from anyio import to_thread
from pydantic import Field, model_validator

from qcsc_algorithms.sqd.chemistry.ansatz import LUCJ
from qcsc_algorithms.sqd.chemistry.hamiltonian import Hamiltonian
from qcsc_algorithms.sqd.chemistry.reference import References
from qcsc_algorithms.sqd.determinants.configurations import register
from qcsc_algorithms.sqd.optimizers import DifferentialEvolution, Floats, Optimizer, Population
from qcsc_algorithms.sqd.pool import Pool
from qcsc_algorithms.sqd.sample_based import (
    ENERGY_CHART,
    MAX_PATIENCE,
    BadSystem,
    Diagonalised,
    Guess,
    SampleBased,
    Seen,
    energy_table,
    has_settled,
    lower_of,
    require_variational,
    state_tables,
)
from qcsc_loop.algorithm import IterativeAlgorithm
from qcsc_loop.concurrency.worker import in_worker
from qcsc_loop.loop.hooks import Table
from qcsc_loop.parameters.operational import OPERATIONAL
from qcsc_loop.sampling.random_bits import RandomSampler
from qcsc_loop.sampling.samples import Samples
from qcsc_loop.steps.parts import run_parts
from qcsc_loop.steps.step import current_step, labelled
from qcsc_loop.values.arrays import NDArray
from qcsc_loop.values.chart import Chart
from qcsc_loop.values.record import State

Flags = npt.NDArray[np.bool_]


class Walkers(State):
    """A population of circuits and the best state found so far. Energies in hartree.

    Attributes:
        energy: the lowest so far; Hartree-Fock's at first.
        current: the lowest of the last iteration.
        spread: standard deviation over the walkers of the last iteration.
        error: standard error over the batches of its lowest walker; NaN with one batch.
        strings, dimension: of that walker's subspace.
        carried: of its strings, how many were carried over.
        valid: share of its shots with the right numbers of electrons.
        residual: the largest of the last iteration's norms of H|c> - E|c>.
        unconverged: diagonalisations of the last iteration that did not reach their tolerance.
        spin_square: S^2 of the state of `energy`; NaN where a solver does not tell.
        failed: walkers of the last iteration without a result.
        improved: walkers of the last iteration whose trial was better than what they had.
        hamiltonian: the integrals, computed once and carried along.
        references: energies of other methods.
        start: the circuit's parameters from the reference calculation.
        population: the parameters that were kept.
        trials: float64 (walkers, parameters), what is sampled next.
        best_parameters: those of `energy`.
        guess: occupancies and strings of `energy`.
        recent: float64, `energy` of the last iterations, the newest last.
        shots: of each walker's kept parameters, where the optimiser selects anew; else none.
    """

    chart: ClassVar[Chart] = ENERGY_CHART

    energy: float
    current: float = math.nan
    spread: float = math.nan
    error: float = math.nan
    strings: int = 1
    dimension: int = 1
    carried: int = 0
    valid: float = math.nan
    residual: float = math.nan
    unconverged: int = 0
    spin_square: float = math.nan
    failed: int = 0
    improved: int = 0
    hamiltonian: Hamiltonian
    references: References
    start: NDArray
    population: Population
    trials: NDArray
    best_parameters: NDArray
    guess: Guess
    recent: NDArray
    shots: tuple[Pool, ...] = ()


class SQD(
    SampleBased,
    IterativeAlgorithm[Walkers, list[Samples | None], list[Diagonalised | None]],
):
    """Closed-loop sample-based quantum diagonalization.

    >>> import anyio
    >>> from qcsc_loop import MaxIterations, MemoryStore
    >>> hydrogen = {"geometry": "H 0 0 0; H 0 0 0.735", "basis": "sto-3g"}
    >>> sqd = SQD(system=hydrogen, shots=100)
    >>> outcome = anyio.run(lambda: sqd.run(store=MemoryStore(), stop=MaxIterations(1)))
    >>> round(outcome.state.energy, 6)
    -1.137306

    Attributes:
        walkers: circuits per iteration.
        optimizer: where their parameters come from; `fixed`, `perturb` and `random` are controls, and
            so are `cisd` and `hci`, which choose strings without a circuit: they need no shot, and have
            converged after one iteration.
        tolerance, patience: converged when `energy` has fallen by at most so many hartree, or by
            less than the batches' error bar, over so many iterations.
        walker_retries: how often a walker whose job or circuit failed is done again at once.
        quorum: the fewest walkers that must succeed in an iteration; empty: all.
    """

    ansatz: LUCJ = LUCJ()
    walkers: int = Field(default=4, ge=1, description="circuits per iteration")
    optimizer: Optimizer = DifferentialEvolution()
    tolerance: Annotated[float, OPERATIONAL] = Field(
        default=1e-6, ge=0, description="hartree; 0 = never converged"
    )
    patience: Annotated[int, OPERATIONAL] = Field(default=5, ge=1, le=MAX_PATIENCE)
    walker_retries: Annotated[int, OPERATIONAL] = Field(default=0, ge=0)
    quorum: Annotated[int | None, OPERATIONAL] = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _enough_walkers(self) -> SQD:
        if self.walkers < self.optimizer.min_walkers:
            raise ValueError(
                f"walkers: {self.optimizer.type} needs at least {self.optimizer.min_walkers}, "
                f"not {self.walkers}"
            )
        if self.quorum is not None and self.quorum > self.walkers:
            raise ValueError(f"quorum: {self.quorum} of {self.walkers} walkers cannot succeed")
        return self

    async def initialize(self) -> Walkers:
        found = await self._start(self.ansatz)
        if self.optimizer.without_shots is not None and found.hamiltonian.beta is not None:
            raise BadSystem(
                f"{self.optimizer.type} chooses strings over orbitals common to both spins, and these "
                "are unrestricted: take one that samples, or restricted orbitals"
            )
        unknown = self.optimizer.unknown(found.parameters, self.walkers)
        energy = self._first_energy(found)
        return Walkers(
            energy=energy,
            hamiltonian=found.hamiltonian,
            references=found.energies,
            start=found.parameters,
            population=unknown,
            trials=self.optimizer.first(found.parameters, self.walkers, current_step().rng),
            best_parameters=found.parameters,
            guess=Guess.nothing(found.hamiltonian.norb),
            recent=np.array([energy]),
        )

    async def sample(self, state: Walkers) -> list[Samples | None]:
        if self.optimizer.without_shots is not None:
            return [None] * self.walkers
        calls = {
            f"walker-{i}": partial(self._walker_samples, state.hamiltonian, trial)
            for i, trial in enumerate(state.trials)
        }
        found = await run_parts(
            calls, Samples, limit=self.concurrency, retries=self.walker_retries, quorum=self.quorum
        )
        return list(found.values())

    async def evaluate(
        self, state: Walkers, samples: list[Samples | None]
    ) -> list[Diagonalised | None]:
        if self.optimizer.without_shots is not None:
            found = await self._without_shots(state.hamiltonian, self.optimizer.without_shots)
            return [found] * self.walkers
        calls = {
            f"walker-{i}": partial(self._walker_energy, state, i, shots)
            for i, shots in enumerate(samples)
            if shots is not None
        }
        missing = len(samples) - len(calls)
        quorum = None if self.quorum is None else max(1, self.quorum)
        parts = await run_parts(
            calls,
            Diagonalised,
            limit=self.concurrency,
            retries=self.walker_retries,
            quorum=quorum if missing == 0 or quorum is None else min(quorum, len(calls)),
        )
        return [parts.get(f"walker-{i}") for i in range(len(samples))]

    async def update(self, state: Walkers, evaluation: list[Diagonalised | None]) -> Walkers:
        energies = np.array([math.nan if w is None else w.energy for w in evaluation])
        done = [walker for walker in evaluation if walker is not None]
        lowest = min(done, key=lambda walker: walker.energy)
        require_variational(lowest.energy, state.references.lowest)
        better = lowest.energy < state.energy or not state.guess.occupancies.size
        best = lowest if better else None
        parents = np.array([math.nan if w is None else w.parent for w in evaluation])
        before = state.population.found_anew(parents)
        population = before.selected(state.trials, energies)
        energy = lower_of(state.energy, lowest.energy)
        return Walkers(
            energy=energy,
            current=lowest.energy,
            spread=float(np.nanstd(energies)),
            error=lowest.error,
            strings=lowest.strings,
            dimension=lowest.dimension,
            carried=lowest.carried,
            valid=lowest.valid,
            residual=float(np.fmax.reduce([walker.residual for walker in done])),
            unconverged=sum(walker.unconverged for walker in done),
            spin_square=best.spin_square if best else state.spin_square,
            failed=len(evaluation) - len(done),
            improved=int(np.sum(energies < before.energies)),
            hamiltonian=state.hamiltonian,
            references=state.references,
            start=state.start,
            population=population,
            trials=self.optimizer.next(state.start, population, current_step().rng),
            best_parameters=(
                state.trials[int(np.nanargmin(energies))] if best else state.best_parameters
            ),
            guess=best.guess if best else state.guess,
            recent=np.append(state.recent, energy)[-(MAX_PATIENCE + 1) :],
            shots=self._kept_shots(state, evaluation, energies < before.energies),
        )

    def _kept_shots(
        self, state: Walkers, evaluation: list[Diagonalised | None], better: Flags
    ) -> tuple[Pool, ...]:
        if not self.optimizer.selects_anew:
            return ()
        had = state.shots or (Pool.nothing(state.hamiltonian.norb),) * len(evaluation)
        return tuple(
            found.shots if taken and found is not None and found.shots is not None else own
            for own, found, taken in zip(had, evaluation, better, strict=True)
        )

    async def converged(self, previous: Walkers, current: Walkers) -> bool:
        if self.optimizer.without_shots is not None:
            return True  # its strings stay what they are
        return has_settled(current.recent, current.error, self.tolerance, self.patience)

    def tables(self, state: Walkers) -> dict[str, Table]:
        """`sqd-energies`, beside those of other methods, and the best state's properties."""
        return {
            "sqd-energies": energy_table("SQD", state.energy, state.references, state.spin_square),
            **state_tables("sqd", state.hamiltonian, state.guess),
        }

    async def _walker_samples(self, hamiltonian: Hamiltonian, parameters: Floats) -> Samples:
        circuit = await in_worker(self.ansatz.circuit, parameters, hamiltonian)
        if self.optimizer.uniform_bits:
            return await RandomSampler().sample(circuit, shots=self.shots)
        return await self._sampled(circuit)

    async def _walker_energy(self, state: Walkers, walker: int, samples: Samples) -> Diagonalised:
        hamiltonian, norb = state.hamiltonian, state.hamiltonian.norb
        seen = Seen(register(samples, norb))
        found = await self._diagonalised(hamiltonian, seen, state.guess)
        if not self.optimizer.selects_anew:
            return found
        shots = await to_thread.run_sync(Pool.nothing(norb).with_samples, samples)
        return Diagonalised(
            **{**dict(found), "shots": shots, "parent": await self._parent_energy(state, walker)}
        )

    async def _parent_energy(self, state: Walkers, walker: int) -> float:
        """Of the shots of a walker's kept parameters, with the guess of now; NaN without any."""
        if not state.shots or not len(state.shots[walker].counts):
            return math.nan
        shots = state.shots[walker]
        seen = Seen(np.asarray(shots.rows), np.asarray(shots.counts))
        with labelled("parent"):
            found = await self._diagonalised(state.hamiltonian, seen, state.guess)
        return found.energy
