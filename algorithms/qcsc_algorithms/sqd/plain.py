"""Plain SQD: one circuit is sampled once, and its shots are recovered until they agree with themselves.

Robledo-Moreno et al., arXiv:2405.05068. The first iteration samples; every one recovers the shots
by the occupancies of the one before, draws subspaces of them, and diagonalises. No optimiser. On
request, after some of these the subspace stays, and its orbitals are optimised in turns with
diagonalisations, as in qiskit-addon-sqd's guide on that.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field, model_validator

from qcsc_algorithms.sqd.chemistry.ansatz import LUCJ
from qcsc_algorithms.sqd.chemistry.hamiltonian import Hamiltonian
from qcsc_algorithms.sqd.chemistry.orbital_rotation import with_better_orbitals
from qcsc_algorithms.sqd.chemistry.reference import Energies, References
from qcsc_algorithms.sqd.determinants.excitations import require_holdable
from qcsc_algorithms.sqd.determinants.subspace import Subspace
from qcsc_algorithms.sqd.extrapolation import (
    FEWEST,
    Extrapolation,
    extrapolate,
    nested_subspaces,
)
from qcsc_algorithms.sqd.pool import Pool
from qcsc_algorithms.sqd.sample_based import (
    ENERGY_CHART,
    BadSystem,
    Guess,
    Pooled,
    SampleBased,
    energy_table,
    lower_of,
    require_variational,
    seen_in,
    state_tables,
)
from qcsc_algorithms.sqd.solvers.solver import Solution
from qcsc_hpc.machine import Machine
from qcsc_loop.algorithm import IterativeAlgorithm
from qcsc_loop.concurrency.worker import in_worker
from qcsc_loop.loop.hooks import Table
from qcsc_loop.parameters.operational import OPERATIONAL
from qcsc_loop.sampling.samples import Samples
from qcsc_loop.steps.parts import run_parts
from qcsc_loop.steps.step import current_step
from qcsc_loop.values.arrays import NDArray
from qcsc_loop.values.chart import Chart
from qcsc_loop.values.record import Record, State


class Tuned(Record):
    """A subspace that stays, while its orbitals get better.

    Attributes:
        subspace: the strings.
        rounds: diagonalisations in it so far.
        bound: the last state's energy in the orbitals that come next, in hartree: the next
            diagonalisation's is not above it.
    """

    subspace: Subspace
    rounds: int
    bound: float


class Evaluated(Pooled):
    """What an iteration came to.

    Attributes:
        tuned, hamiltonian: the subspace that stays, and the integrals in better orbitals for it;
            None while shots are recovered.
        extrapolation: to variance 0; None if it is not asked for, or there is none.
    """

    tuned: Tuned | None = None
    hamiltonian: Hamiltonian | None = None
    extrapolation: Extrapolation | None = None


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
        tuned: the subspace that stays, once its orbitals are optimised; `hamiltonian` is then in the
            better ones.
        extrapolation: from the state of `energy`; None if it is not asked for, or there is none. Its
            energy and error are the scalars `extrapolated` and `extrapolated_error` then.
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
    references: References
    parameters: NDArray
    pool: Pool
    guess: Guess
    tuned: Tuned | None = None
    extrapolation: Extrapolation | None = None

    def scalars(self) -> dict[str, float]:
        found = self.extrapolation
        if found is None:
            return super().scalars()
        own = {"extrapolated": found.energy, "extrapolated_error": found.error}
        return super().scalars() | own


# Long: a method for each hook, and for each thing that an option adds to one.
class PlainSQD(SampleBased, IterativeAlgorithm[Recovered, Samples | None, Evaluated]):
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
            many hartree, and no orbital's occupancy by more; once orbitals are optimised the energy
            alone counts.
        optimize_orbitals_after: so many iterations recover; then a last subspace is drawn and stays,
            and each iteration diagonalises in it, and rotates the Hamiltonian to the orbitals that are
            best for its state. It takes the solver native, and restricted orbitals.
        extrapolate: after each iteration the lowest batch's heaviest strings are diagonalised in
            growing numbers, with the variance of each energy, and a line through these gives the
            energy at variance 0 with an error. No shot of it is new. It takes the solver native.
    """

    ansatz: LUCJ = LUCJ()
    batches: int = Field(default=3, ge=1, description="subspaces in each iteration")
    tolerance: Annotated[float, OPERATIONAL] = Field(
        default=1e-5, ge=0, description="hartree; 0 = never converged"
    )
    occupancy_tolerance: Annotated[float, OPERATIONAL] = Field(
        default=1e-3, ge=0, description="of an orbital's occupancy"
    )
    optimize_orbitals_after: int | None = Field(
        default=None, ge=1, description="iterations; then the subspace stays. Empty: never"
    )

    extrapolate: bool = Field(
        default=False, description="energies to variance 0, with an error bar"
    )

    @model_validator(mode="after")
    def _tells_variances(self) -> PlainSQD:
        if self.extrapolate and self.solver.type != "native":
            raise ValueError(
                "extrapolate: energies are extrapolated by their variance, which the solver "
                f"{self.solver.type} does not tell; take native"
            )
        return self

    @model_validator(mode="after")
    def _tells_pairs(self) -> PlainSQD:
        if self.optimize_orbitals_after is not None and self.solver.type != "native":
            raise ValueError(
                "optimize_orbitals_after: orbitals are optimised by the density matrix of two "
                f"electrons, which the solver {self.solver.type} does not tell; take native"
            )
        return self

    async def initialize(self) -> Recovered:
        found = await self._start(self.ansatz)
        norb = found.hamiltonian.norb
        if self.optimize_orbitals_after is not None and found.hamiltonian.beta is not None:
            raise BadSystem(
                "optimize_orbitals_after optimises orbitals common to both spins, and these are "
                "unrestricted: leave it empty, or take restricted orbitals"
            )
        if self.extrapolate:
            self._require_variances(found.hamiltonian)
        return Recovered(
            energy=self._first_energy(found),
            hamiltonian=found.hamiltonian,
            references=found.energies,
            parameters=found.parameters,
            pool=Pool.nothing(norb),
            guess=Guess.nothing(norb),
        )

    def _require_variances(self, hamiltonian: Hamiltonian) -> None:
        norb = hamiltonian.norb
        for electrons in hamiltonian.electrons:
            strings = min(self.max_strings, math.comb(norb, electrons))
            try:
                require_holdable(strings, electrons, norb)
            except ValueError as error:
                raise BadSystem(f"extrapolate: {error}, or do not extrapolate") from error

    async def sample(self, state: Recovered) -> Samples | None:
        if len(state.pool.counts):
            return None
        circuit = await in_worker(self.ansatz.circuit, state.parameters, state.hamiltonian)
        return await self._sampled(circuit)

    async def evaluate(self, state: Recovered, samples: Samples | None) -> Evaluated:
        after = self.optimize_orbitals_after
        if after is not None and current_step().iteration > after:
            return await self._in_better_orbitals(state)
        if not self.extrapolate:
            pooled = await self._pooled(state.hamiltonian, state.pool, samples, state.guess)
            return Evaluated(pool=pooled.pool, found=pooled.found)
        pool = await self._pool(state.pool, samples)
        chosen = await self._chosen(state.hamiltonian, seen_in(pool), state.guess, self.batches)
        solutions = await self._solved(state.hamiltonian, chosen.subspaces)
        return Evaluated(
            pool=pool,
            found=self._summary(chosen.subspaces, solutions, chosen.valid),
            extrapolation=await self._extrapolated(state.hamiltonian, solutions),
        )

    async def _extrapolated(
        self, hamiltonian: Hamiltonian, solutions: list[Solution]
    ) -> Extrapolation | None:
        """From the lowest solution's heaviest strings; None where its subspace is too small."""
        assert isinstance(self.machine, Machine)  # names were resolved when the run started
        lowest = min(solutions, key=lambda solution: solution.energy)
        spaces = nested_subspaces(lowest, closed_shell=hamiltonian.closed_shell)
        if len(spaces) < FEWEST:
            current_step().logger.warning(
                "nothing is extrapolated: of %d by %d strings there are fewer than %d sizes",
                *(len(lowest.alpha), len(lowest.beta), FEWEST),
            )
            return None
        calls = {
            f"variance-{i}": partial(
                self.solver.solve_with_variance, hamiltonian, space, self.machine
            )
            for i, space in enumerate(spaces)
        }
        parts = await run_parts(calls, Solution, limit=self.concurrency)
        points = [solution for solution in parts.values() if solution is not None]
        for solution in points:
            self._warn_of(hamiltonian, solution)
        try:
            found = extrapolate([p.energy for p in points], [p.variance for p in points])
        except ValueError as error:
            current_step().logger.warning("nothing is extrapolated: %s", error)
            return None
        return found.model_copy(update={"dimensions": np.array([s.dimension for s in spaces])})

    async def _in_better_orbitals(self, state: Recovered) -> Evaluated:
        """A diagonalisation in the subspace that stays, and the best orbitals for its state."""
        assert isinstance(self.machine, Machine)  # names were resolved when the run started
        before, rounds, valid = state.hamiltonian, 0, state.valid
        if state.tuned is None:
            chosen = await self._chosen(before, seen_in(state.pool), state.guess, 1)
            (subspace,), valid = chosen.subspaces, chosen.valid
        else:
            subspace, rounds = state.tuned.subspace, state.tuned.rounds
        solution, pairs = await self.solver.solve_with_pairs(before, subspace, self.machine)
        self._warn_of(before, solution)
        better = await in_worker(with_better_orbitals, before, solution.density, pairs)
        extrapolation = None
        if self.extrapolate:
            extrapolation = await self._extrapolated(before, [solution])
        return Evaluated(
            pool=state.pool,
            found=self._summary([subspace], [solution], valid),
            tuned=Tuned(subspace=subspace, rounds=rounds + 1, bound=better.bound),
            hamiltonian=better.hamiltonian,
            extrapolation=extrapolation,
        )

    async def update(self, state: Recovered, evaluation: Evaluated) -> Recovered:
        found = evaluation.found
        require_variational(found.energy, state.references.lowest)
        before, now = state.guess, found.guess
        better = found.energy < state.energy or not before.occupancies.size
        best = now if better else before
        return Recovered(
            energy=lower_of(state.energy, found.energy),
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
            hamiltonian=evaluation.hamiltonian or state.hamiltonian,
            references=state.references,
            parameters=state.parameters,
            pool=evaluation.pool,
            guess=best.model_copy(update={"occupancies": now.occupancies}),
            tuned=evaluation.tuned,
            extrapolation=evaluation.extrapolation if better else state.extrapolation,
        )

    async def converged(self, previous: Recovered, current: Recovered) -> bool:
        still = self.tolerance > 0 and abs(current.current - previous.current) <= self.tolerance
        if self.optimize_orbitals_after is not None:
            return still and previous.tuned is not None
        return still and current.moved <= self.occupancy_tolerance

    def tables(self, state: Recovered) -> dict[str, Table]:
        """`sqd-energies`, beside those of other methods, and the best state's properties.

        With `extrapolate` `sqd-extrapolation`, too: its points, and at variance 0 the line's energy.
        """
        tables: dict[str, Table] = {
            "sqd-energies": energy_table("SQD", state.energy, state.references, state.spin_square),
            **state_tables("sqd", state.hamiltonian, state.guess),
        }
        if state.extrapolation is None:
            return tables
        rows = _with_extrapolated(tables["sqd-energies"], state.extrapolation, state.references)
        return tables | {
            "sqd-energies": rows,
            "sqd-extrapolation": _extrapolation_table(state.extrapolation),
        }


def _with_extrapolated(rows: Table, found: Extrapolation, references: Energies) -> Table:
    """Energies with the extrapolated one below SQD's own."""
    row = {
        "method": f"SQD, extrapolated (+- {found.error:.2g})",
        "energy (hartree)": found.energy,
        "above FCI": found.energy - references.fci,
        "S^2": None,
    }
    after = [each["method"] for each in rows].index("SQD") + 1
    return [*rows[:after], row, *rows[after:]]


def _extrapolation_table(found: Extrapolation) -> Table:
    """What is at variance 0, and the points, the nearest first."""
    points = zip(
        np.asarray(found.variances).tolist(),
        np.asarray(found.energies).tolist(),
        np.asarray(found.dimensions).tolist(),
        strict=True,
    )
    return [
        {
            "variance (hartree^2)": variance,
            "energy (hartree)": energy,
            "error (hartree)": error,
            "determinants": dimension,
        }
        for variance, energy, error, dimension in [
            (0.0, found.energy, found.error, None),
            *((variance, energy, None, size) for variance, energy, size in sorted(points)),
        ]
    ]


def _moved(before: Guess, now: Guess) -> float:
    if not before.occupancies.size:
        return math.nan
    return float(np.max(np.abs(np.asarray(now.occupancies) - np.asarray(before.occupancies))))
