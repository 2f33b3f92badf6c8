"""Sample-based Krylov quantum diagonalization: samples of a state that evolves in time.

Yu et al., arXiv:2501.09702: the states U^k |HF>, with U the evolution over one time step, are
sampled one after the other; all samples together span the subspace. Nothing is optimised.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from qcsc_algorithms.sqd.chemistry.ansatz import LUCJ
from qcsc_algorithms.sqd.chemistry.hamiltonian import Hamiltonian
from qcsc_algorithms.sqd.chemistry.reference import References
from qcsc_algorithms.sqd.pool import Pool
from qcsc_algorithms.sqd.sample_based import (
    ENERGY_CHART,
    MAX_PATIENCE,
    BadSystem,
    Guess,
    Pooled,
    SampleBased,
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
from qcsc_loop.sampling.samples import Samples
from qcsc_loop.values.arrays import NDArray
from qcsc_loop.values.chart import Chart
from qcsc_loop.values.record import State

if TYPE_CHECKING:
    from qiskit import QuantumCircuit


ALIKE = 1e-6  # hartree

Start = Literal["hartree-fock", "lucj", "spread"]

_NONE = np.empty(0)


class Krylov(State):
    """The states sampled so far and the best energy. Energies in hartree.

    Attributes:
        energy: the lowest so far; Hartree-Fock's at first.
        current: of the last iteration.
        error: standard error over its batches; NaN with one.
        states: evolved states that were sampled.
        configurations: distinct ones in the pool.
        strings, dimension, carried, valid, residual, unconverged: as in `Walkers`.
        spin_square: S^2 of the state of `energy`; NaN where a solver does not tell.
        parameters: of the circuit that the evolution starts with, float64 (parameters,); if any.
        recent: `energy` of the last iterations, the newest last.
    """

    chart: ClassVar[Chart] = ENERGY_CHART

    energy: float
    current: float = math.nan
    error: float = math.nan
    states: int = 0
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
    parameters: NDArray = _NONE
    pool: Pool
    guess: Guess
    recent: NDArray


class SKQD(SampleBased, IterativeAlgorithm[Krylov, Samples, Pooled]):
    """Sample-based Krylov quantum diagonalization; iteration k samples the state at k time steps.

    >>> import anyio
    >>> from qcsc_loop import MaxIterations, MemoryStore
    >>> hydrogen = {"geometry": "H 0 0 0; H 0 0 0.735", "basis": "sto-3g"}
    >>> skqd = SKQD(system=hydrogen, shots=1000)
    >>> outcome = anyio.run(lambda: skqd.run(store=MemoryStore(), stop=MaxIterations(2)))
    >>> round(outcome.state.energy, 6)
    -1.137306

    Attributes:
        start: the state that evolves. "hartree-fock": one determinant; "lucj": the circuit of
            coupled cluster's amplitudes on it; "spread": electrons half in the highest filled and
            half in the lowest empty orbitals, `spread` pairs of them for each spin. Where one
            determinant says little of the ground state, as of an impurity, the others see more.
        first_power: the first iteration samples the start after so many time steps; 0: itself.
        time_step: in atomic units (hbar/hartree); empty: pi over the range of the determinants'
            energies, which tells all eigenvalues in it apart.
        trotter_steps: of the double-factorised product formula, in each time step.
        max_terms: of the factorised Hamiltonian, the largest first; empty: all. Fewer make the
            circuit shorter, and its evolution another one.
        tolerance, patience: as in `SQD`.
    """

    start: Start = Field(default="hartree-fock", description="the state that evolves")
    spread: int = Field(default=1, ge=1, description='pairs of orbitals of start "spread"')
    ansatz: LUCJ = Field(default=LUCJ(), description='of start "lucj"')
    first_power: int = Field(default=1, ge=0, le=1, description="time steps of the first state")
    time_step: float | None = Field(default=None, gt=0, description="hbar/hartree")
    trotter_steps: int = Field(default=1, ge=1, description="per time step")
    max_terms: int | None = Field(default=None, ge=1, description="of the factorisation")
    tolerance: Annotated[float, OPERATIONAL] = Field(default=1e-6, ge=0)
    patience: Annotated[int, OPERATIONAL] = Field(default=3, ge=1, le=MAX_PATIENCE)

    async def initialize(self) -> Krylov:
        found = await self._start(self.ansatz)
        if found.hamiltonian.beta is not None:
            raise BadSystem(
                "skqd evolves a state over orbitals common to both spins, and these are "
                "unrestricted: take sqd or plain-sqd, or restricted orbitals"
            )
        norb, energy = found.hamiltonian.norb, self._first_energy(found)
        return Krylov(
            energy=energy,
            hamiltonian=found.hamiltonian,
            references=found.energies,
            parameters=found.parameters if self.start == "lucj" else _NONE,
            pool=Pool.nothing(norb),
            guess=Guess.nothing(norb),
            recent=np.array([energy]),
        )

    async def sample(self, state: Krylov) -> Samples:
        step = self.time_step or default_time_step(state.hamiltonian)
        circuit = await in_worker(
            evolution_circuit,
            partial(first_state, self.start, self.spread, self.ansatz, state.parameters),
            state.hamiltonian,
            state.states + self.first_power,
            step,
            self.trotter_steps,
            self.max_terms,
        )
        return await self._sampled(circuit)

    async def evaluate(self, state: Krylov, samples: Samples) -> Pooled:
        return await self._pooled(state.hamiltonian, state.pool, samples, state.guess)

    async def update(self, state: Krylov, evaluation: Pooled) -> Krylov:
        found = evaluation.found
        require_variational(found.energy, state.references.lowest)
        better = found.energy < state.energy or not state.guess.occupancies.size
        energy = lower_of(state.energy, found.energy)
        return Krylov(
            energy=energy,
            current=found.energy,
            error=found.error,
            states=state.states + 1,
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
            guess=found.guess if better else state.guess,
            recent=np.append(state.recent, energy)[-(MAX_PATIENCE + 1) :],
        )

    async def converged(self, previous: Krylov, current: Krylov) -> bool:
        return has_settled(current.recent, current.error, self.tolerance, self.patience)

    def tables(self, state: Krylov) -> dict[str, Table]:
        """`skqd-energies`, beside those of other methods, and the best state's properties."""
        return {
            "skqd-energies": energy_table(
                "SKQD", state.energy, state.references, state.spin_square
            ),
            **state_tables("skqd", state.hamiltonian, state.guess),
        }


def first_state(
    start: Start, pairs: int, ansatz: LUCJ, parameters: NDArray, hamiltonian: Hamiltonian
) -> QuantumCircuit:
    """The circuit of the state that evolves, not measured; see `SKQD.start`."""
    if start == "lucj":
        return ansatz.state(np.asarray(parameters), hamiltonian)
    return spread_state(hamiltonian, pairs if start == "spread" else 0)


def spread_state(hamiltonian: Hamiltonian, pairs: int) -> QuantumCircuit:
    """The Hartree-Fock state, with electrons next to the Fermi level spread over pairs of orbitals.

    The i-th orbital below the level and the i-th above share one electron of each spin, as equals.

    Args:
        pairs: at most so many; there may be fewer filled or empty orbitals.
    """
    import ffsim
    from qiskit import QuantumCircuit
    from qiskit.circuit.library import XXPlusYYGate

    norb, electrons = hamiltonian.norb, hamiltonian.electrons
    qubits = 2 * norb
    circuit = QuantumCircuit(qubits)
    circuit.append(ffsim.qiskit.PrepareHartreeFockJW(norb, electrons), range(qubits))
    for spin, filled in enumerate(electrons):
        for i in range(min(pairs, filled, norb - filled)):
            orbitals = spin * norb + filled - 1 - i, spin * norb + filled + i
            # between the two lie the inner pairs, of one electron each: a hop's sign is the same
            circuit.append(XXPlusYYGate(math.pi / 2, -math.pi / 2), orbitals)
    return circuit


def evolution_circuit(
    start: Callable[[Hamiltonian], QuantumCircuit],
    hamiltonian: Hamiltonian,
    steps: int,
    time_step: float,
    trotter_steps: int,
    max_terms: int | None = None,
) -> QuantumCircuit:
    """The measured circuit of a state after so many time steps.

    The Hamiltonian is double-factorised (Motta et al., npj Quantum Inf. 7, 83, 2021); the product
    formula is symmetric, of second order, with `trotter_steps` in each time step.

    Args:
        start: makes the circuit of the state, on 2 norb qubits and not measured.
        steps: 0: the state itself.
        time_step: in hbar/hartree.
    """
    import ffsim

    circuit = start(hamiltonian)
    if steps:
        factorised = ffsim.DoubleFactorizedHamiltonian.from_molecular_hamiltonian(
            hamiltonian.as_ffsim(), max_vecs=max_terms
        )
        evolution = ffsim.qiskit.SimulateTrotterDoubleFactorizedJW(
            factorised, time=steps * time_step, n_steps=steps * trotter_steps, order=1
        )
        circuit.append(evolution, range(2 * hamiltonian.norb))
    circuit.measure_all()
    return circuit


def default_time_step(hamiltonian: Hamiltonian) -> float:
    """Pi over the range of energies between the lowest and the highest orbitals' determinants.

    Where these are alike, as of a ring of sites, over the range that hopping alone gives.
    """
    norb, electrons = hamiltonian.norb, hamiltonian.electrons
    filled = np.arange(norb)
    alpha, beta = electrons
    low = hamiltonian.determinant_energy(filled < alpha, filled < beta)
    high = hamiltonian.determinant_energy(filled >= norb - alpha, filled >= norb - beta)
    levels = np.linalg.eigvalsh(np.array(hamiltonian.one_body))
    hopping = sum(levels[norb - n :].sum() - levels[:n].sum() for n in electrons)
    width = abs(high - low)
    return math.pi / float(width if width > ALIKE else max(hopping, 1.0))
