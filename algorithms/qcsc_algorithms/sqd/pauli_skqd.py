"""Sample-based Krylov quantum diagonalization of qubits: spins, or any sum of Pauli strings.

Yu et al., arXiv:2501.09702, as `SKQD`, for a Hamiltonian of qubits: a product state evolves, bit
strings are sampled after each time step, and the Hamiltonian is diagonalised among all of them.
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np
from anyio import to_thread
from pydantic import Field, SerializeAsAny

from qcsc_algorithms.sqd.determinants.configurations import pack, unpack
from qcsc_algorithms.sqd.paulis.evolution import pauli_evolution
from qcsc_algorithms.sqd.paulis.pauli_model import Heisenberg, PauliModel
from qcsc_algorithms.sqd.paulis.pauli_terms import MEANS, PauliTerms
from qcsc_algorithms.sqd.pool import Pool
from qcsc_algorithms.sqd.sample_based import MAX_PATIENCE, has_settled, require_variational
from qcsc_algorithms.sqd.solvers.pauli_subspace import lowest_pauli_state, spectrum_ends
from qcsc_loop.algorithm import IterativeAlgorithm
from qcsc_loop.concurrency.worker import in_worker
from qcsc_loop.errors import InputError
from qcsc_loop.loop.hooks import Table
from qcsc_loop.parameters.operational import OPERATIONAL
from qcsc_loop.parameters.resource import BlockName
from qcsc_loop.sampling.aer.sampler import AerSampler
from qcsc_loop.sampling.sampler import Sampler
from qcsc_loop.sampling.samples import Samples
from qcsc_loop.values.arrays import NDArray
from qcsc_loop.values.chart import Chart
from qcsc_loop.values.record import Record, State

EXACT_QUBITS = 14  # up to here the whole spectrum's ends take seconds
TOLD = 10  # bit strings of the best state that are shown


class PauliKrylov(State):
    """The states sampled so far and the best energy. Energies in the Hamiltonian's unit.

    Attributes:
        energy: the lowest so far; the start's mean at first.
        current: of the last iteration.
        states: evolved states that were sampled.
        configurations: distinct bit strings in the pool.
        strings: of them, how many the last subspace had.
        kept: share of all shots that had the number of ones asked for.
        residual: of the last iteration, the norm of H|c> - E|c>.
        time_step: between two states, in hbar by the unit.
        references: the start's energy, and the exact one where there are few qubits, else NaN.
        best_rows: uint8 (strings, bytes), the likeliest bit strings of the best state.
        best_probabilities: float64 (strings,), theirs.
        recent: `energy` of the last iterations, the newest last.
    """

    chart: ClassVar[Chart] = Chart(
        headline="energy", better="lower", beside=("current",), references="references"
    )

    energy: float
    current: float = math.nan
    states: int = 0
    configurations: int = 0
    strings: int = 0
    kept: float = math.nan
    residual: float = math.nan
    time_step: float
    references: dict[str, float]
    terms: PauliTerms
    pool: Pool
    best_rows: NDArray
    best_probabilities: NDArray
    recent: NDArray


class PauliPooled(Record):
    """The pool with an iteration's samples, and the lowest state among them.

    Attributes:
        energy, residual: of that state.
        strings: that its space has.
        kept: as in `PauliKrylov`.
        rows, probabilities: its likeliest bit strings, the first one most.
    """

    pool: Pool
    energy: float
    residual: float
    strings: int
    kept: float
    rows: NDArray
    probabilities: NDArray


class Prepared(NamedTuple):
    """What a run starts from."""

    terms: PauliTerms
    start: str
    lowest: float
    time_step: float


class PauliSKQD(IterativeAlgorithm[PauliKrylov, Samples, PauliPooled]):
    """Sample-based Krylov quantum diagonalization of a sum of Pauli strings, such as a spin chain.

    >>> import anyio
    >>> from qcsc_loop import MaxIterations, MemoryStore
    >>> skqd = PauliSKQD(hamiltonian={"sites": 4}, shots=500)
    >>> outcome = anyio.run(lambda: skqd.run(store=MemoryStore(), stop=MaxIterations(4)))
    >>> round(outcome.state.energy, 6)
    -6.464102

    Attributes:
        hamiltonian: a Heisenberg chain, coefficients by label, a file of them, or a `SparsePauliOp`.
        start: the product state that evolves, a letter for each qubit, qubit 0 on the right: a bit
            string, or qiskit's letters + - r l too. Empty: 0 and 1 in turn. Where it is a bit
            string, that is in every subspace.
        first_power: the first iteration samples the start after so many time steps; 0: itself.
        time_step: in hbar by the Hamiltonian's unit; empty: pi over the range of its eigenvalues, or
            over a bound of that where there are many qubits, which is too short for large systems.
        trotter_steps: of the product formula, in each time step.
        order: of the formula: 1, Lie and Trotter's; 2, the symmetric one.
        ones: only shots with so many ones count, where the Hamiltonian conserves them: noise is left
            out; empty: all count.
        max_strings: bit strings of the subspace, those that were seen most often.
        tolerance, patience: as in `SQD`.
    """

    hamiltonian: PauliModel = Heisenberg()
    start: str = Field(default="", description="0, 1, +, -, r or l for each qubit")
    sampler: SerializeAsAny[Sampler] | BlockName = AerSampler()
    shots: int = Field(default=20_000, ge=1, description="shots of each circuit")
    first_power: int = Field(default=1, ge=0, le=1, description="time steps of the first state")
    time_step: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, description="hbar by the Hamiltonian's unit"
    )
    trotter_steps: int = Field(default=1, ge=1, description="per time step")
    order: Literal[1, 2] = Field(default=2, description="of the product formula")
    ones: int | None = Field(default=None, ge=0, description="in a shot that counts; empty: any")
    max_strings: int = Field(default=20_000, ge=1, description="bit strings of the subspace")
    tolerance: Annotated[float, OPERATIONAL] = Field(
        default=1e-6, ge=0, description="in the Hamiltonian's unit; 0 = never converged"
    )
    patience: Annotated[int, OPERATIONAL] = Field(default=3, ge=1, le=MAX_PATIENCE)

    async def initialize(self) -> PauliKrylov:
        try:
            found = await in_worker(
                prepare, self.hamiltonian, self.start, self.ones, self.time_step
            )
        except ValueError as error:
            raise BadHamiltonian(str(error)) from error
        energy, width = found.terms.mean(found.start), found.terms.num_qubits
        return PauliKrylov(
            energy=energy,
            time_step=found.time_step,
            references={"start": energy, "exact": found.lowest},
            terms=found.terms,
            pool=Pool.of_width(width),
            best_rows=Pool.of_width(width).rows,
            best_probabilities=np.empty(0),
            recent=np.array([energy]),
        )

    async def sample(self, state: PauliKrylov) -> Samples:
        circuit = await in_worker(
            pauli_evolution,
            self.start or alternating(state.terms.num_qubits),
            state.terms,
            state.states + self.first_power,
            state.time_step,
            self.trotter_steps,
            self.order,
        )
        assert isinstance(self.sampler, Sampler)  # names were resolved when the run started
        return await self.sampler.sample(circuit, shots=self.shots)

    async def evaluate(self, state: PauliKrylov, samples: Samples) -> PauliPooled:
        pool = await to_thread.run_sync(state.pool.with_samples, samples)
        start = self.start or alternating(state.terms.num_qubits)
        try:
            found = await in_worker(
                lowest_in_pool, state.terms, pool, start, self.ones, self.max_strings
            )
        except ModuleNotFoundError as error:
            raise BadHamiltonian(
                f"{error.name} is missing: pip install 'qcsc-loop[sqd]'"
            ) from error
        if not found.strings:
            raise NothingKept(self.ones or 0, int(np.sum(pool.counts)))
        return found

    async def update(self, state: PauliKrylov, evaluation: PauliPooled) -> PauliKrylov:
        require_variational(evaluation.energy, state.references["exact"], unit="")
        better = evaluation.energy < state.energy or not len(state.best_rows)
        energy = min(state.energy, evaluation.energy)
        best = evaluation.rows if better else state.best_rows
        return PauliKrylov(
            energy=energy,
            current=evaluation.energy,
            states=state.states + 1,
            configurations=len(evaluation.pool.counts),
            strings=evaluation.strings,
            kept=evaluation.kept,
            residual=evaluation.residual,
            time_step=state.time_step,
            references=state.references,
            terms=state.terms,
            pool=evaluation.pool,
            best_rows=best,
            best_probabilities=evaluation.probabilities if better else state.best_probabilities,
            recent=np.append(state.recent, energy)[-(MAX_PATIENCE + 1) :],
        )

    async def converged(self, previous: PauliKrylov, current: PauliKrylov) -> bool:
        return has_settled(current.recent, math.nan, self.tolerance, self.patience)

    def tables(self, state: PauliKrylov) -> dict[str, Table]:
        """`pauli-skqd-energies`, and the best state's likeliest bit strings."""
        known = {**state.references, "SKQD": state.energy}
        energies: Table = [
            {"method": name, "energy": value, "above exact": value - state.references["exact"]}
            for name, value in sorted(known.items(), key=lambda item: -item[1])
            if math.isfinite(value)
        ]
        bits = unpack(np.asarray(state.best_rows), state.terms.num_qubits).astype(int)
        strings: Table = [
            # bit 0, which comes first here, is written on the right
            {"bit string": "".join(map(str, row[::-1])), "probability": probability}
            for row, probability in zip(
                bits.tolist(), np.asarray(state.best_probabilities).tolist(), strict=True
            )
        ]
        return {"pauli-skqd-energies": energies, "pauli-skqd-strings": strings}


class BadHamiltonian(InputError):
    """Terms, a file or a start from which no run can begin."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the Hamiltonian cannot be set up: {why}.")


class NothingKept(InputError):
    """No shot has the number of ones asked for, and the start is no bit string."""

    def __init__(self, ones: int, shots: int) -> None:
        super().__init__(
            f"none of {shots} shots has {ones} ones: there is no space to diagonalise in. Give "
            "another number, a start that has it, or none (ones)."
        )


def prepare(model: PauliModel, start: str, ones: int | None, time_step: float | None) -> Prepared:
    """The terms and what follows from them. Blocks: on at most `EXACT_QUBITS` for seconds.

    Raises:
        ValueError: the terms cannot be read, or the start does not fit them.
    """
    terms = model.terms()
    start = start or alternating(terms.num_qubits)
    _require_start(start, terms.num_qubits, ones)
    lowest, width = math.nan, terms.width_at_most()
    if terms.num_qubits <= EXACT_QUBITS:
        lowest, highest = spectrum_ends(terms.operator())
        width = highest - lowest
    return Prepared(terms, start, lowest, time_step or math.pi / width)


def _require_start(start: str, width: int, ones: int | None) -> None:
    if wrong := sorted(set(start) - set(MEANS)):
        raise ValueError(f"start: {wrong[0]!r} is no state of a qubit: take 0, 1, +, -, r or l")
    if len(start) != width:
        raise ValueError(f"start: {len(start)} letters for {width} qubits; it has one for each")
    if ones is not None and _is_bit_string(start) and start.count("1") != ones:
        raise ValueError(
            f"ones: shots with {ones} ones are kept, and the start {start} has {start.count('1')}"
        )


def alternating(width: int) -> str:
    """The bit string of 0 and 1 in turn, that of qubit 0, on the right, being 1."""
    return ("01" * width)[-width:]


def lowest_in_pool(
    terms: PauliTerms, pool: Pool, start: str, ones: int | None, max_strings: int
) -> PauliPooled:
    """The lowest state among the bit strings seen most often; nothing where none is left. Blocks."""
    rows, counts = np.asarray(pool.rows), np.asarray(pool.counts)
    right = np.ones(len(rows), bool)
    if ones is not None:
        right = unpack(rows, terms.num_qubits).sum(axis=1) == ones
    kept = float(counts[right].sum() / counts.sum())
    # ties by the rows, which a pool has in order
    chosen = rows[right][np.argsort(-counts[right], kind="stable")]
    if _is_bit_string(start):
        own = pack(np.array([[letter == "1" for letter in reversed(start)]]))
        chosen = np.concatenate([own, chosen[(chosen != own).any(axis=1)]])
    chosen = chosen[:max_strings]
    if not len(chosen):
        return PauliPooled(
            pool=pool, energy=math.inf, residual=0.0, strings=0, kept=kept,
            rows=chosen, probabilities=np.empty(0),
        )  # fmt: skip
    found = lowest_pauli_state(terms.operator(), chosen)
    likeliest = np.argsort(-found.probabilities, kind="stable")[:TOLD]
    return PauliPooled(
        pool=pool,
        energy=found.energy,
        residual=found.residual,
        strings=len(chosen),
        kept=kept,
        rows=found.rows[likeliest],
        probabilities=found.probabilities[likeliest],
    )


def _is_bit_string(start: str) -> bool:
    return not set(start) - set("01")
