"""What sample-based methods share: from samples of a circuit to an energy."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, Concatenate, NamedTuple, ParamSpec, Self, TypeVar

import numpy as np
import numpy.typing as npt
from anyio import to_thread
from pydantic import BaseModel, Field, SerializeAsAny, model_validator

from qcsc_algorithms.sqd.chemistry.ansatz import LUCJ
from qcsc_algorithms.sqd.chemistry.ffsim_sampler import FfsimSampler
from qcsc_algorithms.sqd.chemistry.hamiltonian import Hamiltonian, lowest_spin_square
from qcsc_algorithms.sqd.chemistry.properties import (
    dipole_moment,
    natural_occupations,
    unpaired_electrons,
)
from qcsc_algorithms.sqd.chemistry.reference import (
    OTHER_SPIN,
    Energies,
    Start,
    set_up,
    start_from,
)
from qcsc_algorithms.sqd.chemistry.reset import begun_at_zero, read_before
from qcsc_algorithms.sqd.chemistry.system import Molecule, System
from qcsc_algorithms.sqd.classical import Method, select_strings
from qcsc_algorithms.sqd.determinants.configurations import (
    Configurations,
    Floats,
    Strings,
    from_rows,
    from_shots,
    hartree_fock,
    unpack,
)
from qcsc_algorithms.sqd.determinants.recovery import recover
from qcsc_algorithms.sqd.determinants.subspace import Draw, Subspace, subsample
from qcsc_algorithms.sqd.pool import Pool
from qcsc_algorithms.sqd.solvers.native import NativeSolver
from qcsc_algorithms.sqd.solvers.solver import Solution, Solver
from qcsc_hpc.machine import LocalMachine, Machine
from qcsc_loop.concurrency.worker import in_worker
from qcsc_loop.errors import InputError
from qcsc_loop.loop.hooks import Table
from qcsc_loop.parameters.operational import OPERATIONAL
from qcsc_loop.parameters.resource import BlockName
from qcsc_loop.sampling.random_bits import RandomSampler
from qcsc_loop.sampling.sampler import Sampler
from qcsc_loop.sampling.samples import Samples
from qcsc_loop.steps.parts import run_parts
from qcsc_loop.steps.step import current_step, labelled
from qcsc_loop.values.arrays import NDArray
from qcsc_loop.values.chart import Chart
from qcsc_loop.values.record import Record

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S")
FCIDUMP = "hamiltonian.fcidump"
MAX_PATIENCE = 100  # energies that a state keeps
ENERGY_CHART = Chart(
    headline="energy",
    better="lower",
    unit="hartree",
    beside=("current",),
    error="error",
    references="references.attainable",
)
BELOW = 1e-7  # hartree below FCI that rounding may explain


class Guess(Record):
    """What earlier diagonalisations say of the state.

    Attributes:
        occupancies: float64 (2, norb), average occupancies of alpha and beta orbitals; (2, 0)
            before there are any.
        alpha, beta: strings to carry over, the most important first.
        density: float64 (2, norb, norb), <a+(p) a(q)> of each spin's electrons; empty where a solver
            does not tell.
        levels: float64 (roots, 2), energies and S^2 where the solver is asked for several states,
            whose mean occupancies and strings are; else empty.
    """

    occupancies: NDArray
    alpha: NDArray
    beta: NDArray
    density: NDArray = np.empty((2, 0, 0))
    levels: NDArray = np.empty((0, 2))

    @classmethod
    def nothing(cls, norb: int) -> Guess:
        """Before the first diagonalisation."""
        none = np.empty((0, -(-norb // 8)), np.uint8)
        return cls(occupancies=np.empty((2, 0)), alpha=none, beta=none)


class Diagonalised(Record):
    """What one set of samples came to.

    Attributes:
        energy: the lowest of the batches, in hartree.
        energies: float64 (batches,).
        guess: from the lowest batch: its important strings; occupancies averaged over batches.
        strings: of the larger spin, in the lowest batch.
        dimension: determinants in it.
        carried: of its strings, how many were carried over.
        valid: share of the shots that had the right numbers of electrons.
        residual: the largest of the batches' norms of H|c> - E|c>, in hartree.
        unconverged: batches whose eigensolver did not reach its tolerance.
        spin_square: of the lowest batch.
        shots: what it came from, where that is wanted again.
        parent: the energy of what its walker had, found again beside it, in hartree; NaN if it was not.
    """

    energy: float
    energies: NDArray
    guess: Guess
    strings: int
    dimension: int
    carried: int
    valid: float
    residual: float
    unconverged: int
    spin_square: float
    shots: Pool | None = None
    parent: float = math.nan

    @property
    def error(self) -> float:
        """Standard error of the mean over batches, in hartree; NaN for a single one."""
        n = len(self.energies)
        return float(np.std(self.energies, ddof=1) / np.sqrt(n)) if n > 1 else float("nan")


class Pooled(Record):
    """The pool with an iteration's samples, and what it came to."""

    pool: Pool
    found: Diagonalised


class Seen(NamedTuple):
    """Distinct packed shots of one register, and how often each was seen.

    Attributes:
        rows: uint8 (distinct, bytes).
        counts: int64 (distinct,); None: `rows` are single shots, repeated ones among them.
    """

    rows: Strings
    counts: npt.NDArray[np.int64] | None = None

    def configurations(self, norb: int) -> Configurations:
        """What electron configurations these are."""
        if self.counts is None:
            return from_shots(self.rows, norb)
        return from_rows(self.rows, self.counts, norb)


class Chosen(NamedTuple):
    """The subspaces that are diagonalised.

    Attributes:
        valid: share of the shots with the right numbers of electrons.
        blind: whether there were none, and no occupancies to recover the others by.
    """

    subspaces: list[Subspace]
    valid: float
    blind: bool


def seen_in(pool: Pool) -> Seen:
    """All of a pool."""
    return Seen(np.asarray(pool.rows), np.asarray(pool.counts))


def choose_subspaces(
    seen: Seen,
    norb: int,
    electrons: tuple[int, int],
    guess: Guess,
    max_strings: int,
    max_carryover: int,
    batches: int,
    rng: np.random.Generator,
    draw: Draw = "weighted",
    same_orbitals: bool = True,
) -> Chosen:
    """Recovers configurations and draws subspaces of them."""
    configurations = seen.configurations(norb)
    pool = configurations.valid(electrons)
    blind = not guess.occupancies.size and not len(pool)
    occupancies = _hartree_fock_occupancies(norb, electrons) if blind else guess.occupancies
    if occupancies.size:
        pool = recover(configurations, occupancies, electrons, rng)
    carryover = (guess.alpha, guess.beta)
    subspaces = [
        subsample(
            pool,
            electrons,
            max_strings,
            carryover,
            max_carryover,
            rng,
            draw,
            same_orbitals=same_orbitals,
        )
        for _ in range(batches)
    ]
    return Chosen(subspaces, _valid_share(configurations, electrons), blind)


class SampleBased(BaseModel):
    """The parameters of sample-based quantum diagonalization, and its classical half.

    Attributes:
        max_strings: strings of each spin; the subspace has at most their square determinants.
        carryover: the share of them that may be carried over from the best result so far.
        batches: independent subsamples that are diagonalised; the lowest counts, all together
            give an error bar.
        reset_mitigation: qubits are read before each circuit, too, and shots count only where all
            were 0. Takes a source that can read them twice, as a QPU can; ffsim cannot.
        draw: how strings are taken from the recovered samples. "weighted": drawn, with their weights;
            "heaviest": those of the largest weights, of which there is one batch.
    """

    system: System = Molecule(frozen_core=1)
    sampler: SerializeAsAny[Sampler] | BlockName = FfsimSampler()
    shots: int = Field(default=20_000, ge=1, description="shots of each circuit")
    max_strings: int = Field(default=120, ge=1, description="strings of each spin")
    carryover: float = Field(default=0.5, ge=0, le=1, description="share of carried-over strings")
    batches: int = Field(default=1, ge=1, description="subsamples per circuit")
    reset_mitigation: bool = Field(
        default=False, description="only shots that began with all qubits at 0 count"
    )
    draw: Draw = Field(default="weighted", description="how strings are taken from samples")
    solver: SerializeAsAny[Solver] = NativeSolver()
    machine: Annotated[SerializeAsAny[Machine] | BlockName, OPERATIONAL] = LocalMachine()
    concurrency: Annotated[int, OPERATIONAL] = Field(
        default=8, ge=1, description="circuits, and diagonalisations, at a time"
    )

    @model_validator(mode="after")
    def _batches_that_differ(self) -> Self:
        if self.draw == "heaviest" and self.batches > 1:
            raise ValueError(
                f"batches: {self.batches} of the heaviest strings would all be the same; give "
                "batches = 1, or draw = weighted"
            )
        return self

    async def _start(self, ansatz: LUCJ) -> Start:
        """Integrals, reference energies, first parameters; with an FCIDUMP for people to keep.

        Raises:
            BadSystem: they cannot be computed.
            JobRefused: they are of orbitals that the solver does not take.
        """
        ready = await computed_of(self.system, set_up)
        asked = self.solver.asked_spin_square(ready.hamiltonian.electrons)
        found = await computed_of(ready, start_from, ansatz, asked)
        assert isinstance(self.machine, Machine)  # names were resolved when the run started
        await self.solver.require(found.hamiltonian, self.machine)  # before anything is sampled
        for remark in found.remarks:
            current_step().logger.warning("%s", remark)
        folder = current_step().work_dir
        await to_thread.run_sync(found.hamiltonian.write_fcidump, folder / FCIDUMP)
        return found

    @model_validator(mode="after")
    def _can_read_twice(self) -> Self:
        if self.reset_mitigation and isinstance(self.sampler, FfsimSampler | RandomSampler):
            raise ValueError(
                f"reset_mitigation: {self.sampler.type} does not read qubits twice; take a sampler "
                "that does, such as ibm-runtime or aer"
            )
        return self

    def _first_energy(self, start: Start) -> float:
        """Hartree-Fock's, the best there is yet; NaN if a state of another spin is asked for."""
        hamiltonian = start.hamiltonian
        asked = self.solver.asked_spin_square(hamiltonian.electrons)
        other = abs(lowest_spin_square(hamiltonian.electrons) - asked) > OTHER_SPIN
        return math.nan if other else start.energies.hf

    async def _sampled(self, circuit: QuantumCircuit) -> Samples:
        """Shots of a measured circuit, and with reset mitigation those of them that count."""
        assert isinstance(self.sampler, Sampler)  # names were resolved when the run started
        if not self.reset_mitigation:
            return await self.sampler.sample(circuit, shots=self.shots)
        longer = await in_worker(read_before, circuit)
        return begun_at_zero(await self.sampler.sample(longer, shots=self.shots))

    async def _diagonalised(
        self, hamiltonian: Hamiltonian, seen: Seen, guess: Guess
    ) -> Diagonalised:
        """Recovery, subsamples, diagonalisations; draws on the current step's randomness."""
        chosen = await self._chosen(hamiltonian, seen, guess, self.batches)
        solutions = await self._solved(hamiltonian, chosen.subspaces)
        return self._summary(chosen.subspaces, solutions, chosen.valid)

    async def _chosen(
        self, hamiltonian: Hamiltonian, seen: Seen, guess: Guess, batches: int
    ) -> Chosen:
        """So many subspaces; draws on the current step's randomness."""
        electrons, rng = hamiltonian.electrons, current_step().rng
        chosen = await in_worker(
            partial(choose_subspaces, draw=self.draw, same_orbitals=hamiltonian.beta is None),
            *(seen, hamiltonian.norb, electrons, guess),
            *(self.max_strings, self._max_carried, batches, rng),
        )
        if chosen.blind:
            current_step().logger.warning(
                "no sample has the right numbers of electrons %s: all are recovered towards the "
                "Hartree-Fock occupancies",
                electrons,
            )
        return chosen

    @property
    def _max_carried(self) -> int:
        """Strings of each spin that may be carried over."""
        return int(self.carryover * self.max_strings)

    async def _pooled(
        self, hamiltonian: Hamiltonian, pool: Pool, samples: Samples | None, guess: Guess
    ) -> Pooled:
        """The pool with new samples, if there are any, and what all of it comes to."""
        pool = await self._pool(pool, samples)
        return Pooled(pool=pool, found=await self._diagonalised(hamiltonian, seen_in(pool), guess))

    async def _pool(self, pool: Pool, samples: Samples | None) -> Pool:
        """The pool with new samples, if there are any."""
        if samples is None:
            return pool
        return await to_thread.run_sync(pool.with_samples, samples)

    async def _without_shots(self, hamiltonian: Hamiltonian, method: Method) -> Diagonalised:
        """The energy among strings that the Hamiltonian alone chooses."""
        asked = self.solver.asked_spin_square(hamiltonian.electrons)
        found = await in_worker(select_strings, method, hamiltonian, self.max_strings, asked)
        if not found.converged:
            current_step().logger.warning(
                "%s: a state that its strings are chosen by did not converge", method
            )
        solutions = await self._solved(hamiltonian, [found.subspace])
        return self._summary([found.subspace], solutions, math.nan)

    async def _solved(self, hamiltonian: Hamiltonian, subspaces: list[Subspace]) -> list[Solution]:
        assert isinstance(self.machine, Machine)  # names were resolved when the run started
        calls = {
            f"batch-{i}": partial(self.solver.solve, hamiltonian, subspace, self.machine)
            for i, subspace in enumerate(subspaces)
        }
        if len(calls) == 1:  # a record of its own would say what its walker's does at once
            ((label, solve),) = calls.items()
            with labelled(label):
                solutions = [await solve()]
        else:
            found = await run_parts(calls, Solution, limit=self.concurrency)
            solutions = [solution for solution in found.values() if solution is not None]
        for solution in solutions:
            self._warn_of(hamiltonian, solution)
        return solutions

    def _warn_of(self, hamiltonian: Hamiltonian, solution: Solution) -> None:
        if not solution.converged:
            current_step().logger.warning(
                "the eigensolver stopped before its tolerance: residual %.2g hartree at "
                "%.9f hartree; give it more cycles",
                solution.residual,
                solution.energy,
            )
        self._warn_of_spin(hamiltonian, solution)

    def _warn_of_spin(self, hamiltonian: Hamiltonian, solution: Solution) -> None:
        asked = self.solver.asked_spin_square(hamiltonian.electrons)
        if abs(solution.spin_square - asked) > OTHER_SPIN:  # not if either is NaN
            current_step().logger.warning(
                "the state at %.9f hartree has S^2 = %.3f, not %.3g: it is of another spin, or a "
                "mixture; more strings, or another solver, may tell them apart",
                solution.energy,
                solution.spin_square,
                asked,
            )

    def _summary(
        self, subspaces: list[Subspace], solutions: list[Solution], valid: float
    ) -> Diagonalised:
        limit = self._max_carried
        energies = np.array([solution.energy for solution in solutions])
        lowest = int(np.argmin(energies))
        best, space = solutions[lowest], subspaces[lowest]
        return Diagonalised(
            energy=best.energy,
            energies=energies,
            guess=Guess(
                occupancies=np.mean([s.occupancies for s in solutions], axis=0),
                alpha=best.alpha[:limit],
                beta=best.beta[:limit],
                density=best.density,
                levels=best.levels,
            ),
            strings=max(len(space.alpha), len(space.beta)),
            dimension=space.dimension,
            carried=space.carried,
            valid=valid,
            residual=float(np.fmax.reduce([solution.residual for solution in solutions])),
            unconverged=sum(not solution.converged for solution in solutions),
            spin_square=best.spin_square,
        )


class BadSystem(InputError):
    """A molecule or file from which no run can start."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the system cannot be set up: {why}.")


class MissingExtra(InputError):
    """A package that is not installed."""

    def __init__(self, package: str) -> None:
        super().__init__(f"SQD needs {package}: pip install 'qcsc-loop[sqd]'")


class NotVariational(ValueError):
    """An energy that no state of these electrons has."""

    def __init__(self, energy: float, lowest: float, unit: str) -> None:
        super().__init__(
            f"the eigensolver gave {energy:.9f}{unit}, below the exact {lowest:.9f}: its result "
            "is wrong and was not accepted"
        )


async def computed_of(
    system: S, compute: Callable[Concatenate[S, P], T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """What is computed of a system in a worker process.

    Raises:
        BadSystem: it cannot be set up.
        MissingExtra: a package that it takes is not installed.
    """
    try:
        return await in_worker(compute, system, *args, **kwargs)
    except ValueError as error:
        raise BadSystem(str(error)) from error
    except ModuleNotFoundError as error:
        raise MissingExtra(str(error.name)) from error


def require_variational(energy: float, lowest: float, unit: str = " hartree") -> None:
    """Refuses what is below the exact energy, where that is known.

    Args:
        unit: begins with its space, if there is one.

    Raises:
        NotVariational: it is.
    """
    if energy < lowest - BELOW:
        raise NotVariational(energy, lowest, unit)


def lower_of(best: float, found: float) -> float:
    """The lower energy; of the best so far there may be none, NaN."""
    return found if math.isnan(best) else min(best, found)


def _valid_share(configurations: Configurations, electrons: tuple[int, int]) -> float:
    right = (configurations.alpha.sum(axis=1) == electrons[0]) & (
        configurations.beta.sum(axis=1) == electrons[1]
    )
    return float(configurations.weights[right].sum())


def _hartree_fock_occupancies(norb: int, electrons: tuple[int, int]) -> Floats:
    rows: list[Strings] = [hartree_fock(norb, n) for n in electrons]
    return np.array([unpack(row, norb)[0] for row in rows], np.float64)


def has_settled(energies: NDArray, error: float, tolerance: float, patience: int) -> bool:
    """Whether an energy that only falls has stopped falling.

    Args:
        energies: the best so far after each iteration, the newest last, in hartree.
        error: standard error of the newest; NaN if it is not known.
        tolerance: hartree; 0: never.
        patience: iterations over which it fell by at most the tolerance, or the error.
    """
    if not tolerance or len(energies) <= patience:
        return False
    fell = float(energies[-(patience + 1)] - energies[-1])
    return fell <= max(tolerance, error if math.isfinite(error) else 0.0)


def state_tables(method: str, hamiltonian: Hamiltonian, guess: Guess) -> dict[str, Table]:
    """Properties of the best state, by artifact key; none before there is one.

    Args:
        method: the keys' first word.
    """
    tables: dict[str, Table] = {}
    if len(guess.levels):
        tables[f"{method}-states"] = [
            {"state": i, "energy (hartree)": energy, "S^2": spin_square}
            for i, (energy, spin_square) in enumerate(np.asarray(guess.levels).tolist())
        ]
    density = np.asarray(guess.density)
    if (
        not density.size or hamiltonian.beta is not None
    ):  # no sum over spins: of other orbitals each
        return tables
    occupations = natural_occupations(density)
    tables[f"{method}-natural-orbitals"] = [
        {"orbital": i + 1, "occupation": n} for i, n in enumerate(occupations.tolist())
    ]
    properties = [{"property": "unpaired electrons", "value": unpaired_electrons(occupations)}]
    moment = dipole_moment(hamiltonian, density)
    if moment is not None:
        named = {"": float(np.linalg.norm(moment))} | dict(zip("xyz", moment.tolist(), strict=True))
        properties += [
            {"property": f"dipole {axis}".strip() + " (debye)", "value": value}
            for axis, value in named.items()
        ]
    return tables | {f"{method}-properties": properties}


def energy_table(
    method: str, energy: float, references: Energies, spin_square: float = math.nan
) -> Table:
    """Energies by method, with their distance from the exact one, and S^2.

    The run's own is first, where the few rows that a run ends with have it; then the highest.
    """
    others = sorted(references.by_method.items(), key=lambda item: -item[1])
    return [
        {
            "method": name,
            "energy (hartree)": value,
            "above FCI": value - references.fci,
            "S^2": spin_square if name == method else None,
        }
        for name, value in [(method, energy), *others]
        if math.isfinite(value)
    ]
