"""The variational quantum eigensolver: a circuit's parameters, moved to where its energy is low.

Peruzzo et al., Nat. Commun. 5, 4213 (2014). With the QAOA ansatz it is QAOA: Farhi, Goldstone and
Gutmann, arXiv:1411.4028.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from anyio import to_thread
from pydantic import (
    Field,
    SerializeAsAny,
    model_validator,
)

from qcsc_algorithms.sqd.chemistry.system import FCIDump, Molecule, System
from qcsc_algorithms.sqd.sample_based import BadSystem, MissingExtra, energy_table
from qcsc_algorithms.vqe.molecular import Molecular, compute_molecule, excitations, uccsd
from qcsc_algorithms.vqe.optimizers import SPSA, Adam, AdamOfExcitations, Floats, Optimizer
from qcsc_algorithms.vqe.pauli_sum import HYDROGEN, PauliSum
from qcsc_loop.algorithm import IterativeAlgorithm
from qcsc_loop.concurrency.worker import in_worker
from qcsc_loop.errors import SamplingFailed
from qcsc_loop.loop.hooks import Table
from qcsc_loop.parameters.operational import OPERATIONAL
from qcsc_loop.parameters.resource import BlockName
from qcsc_loop.sampling.aer.estimator import AerEstimator
from qcsc_loop.sampling.estimator import Estimates, Estimator
from qcsc_loop.steps.parts import run_parts
from qcsc_loop.steps.step import current_step
from qcsc_loop.values.arrays import NDArray
from qcsc_loop.values.chart import Chart
from qcsc_loop.values.record import Record, State

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit.quantum_info import SparsePauliOp
MAX_PATIENCE = 100


class Slope(Record):
    """What the energies of one iteration say.

    Attributes:
        energy, error: of the parameters themselves, and its standard error.
        gradient: float64 (parameters,).
    """

    energy: float
    error: float
    gradient: NDArray


class Variational(State):
    """Parameters on their way downhill. Energies in the Hamiltonian's unit, angles in radians.

    Attributes:
        energy, error: the lowest so far, inf before there is one, and its standard error; the
            lowest of many noisy energies is below its true value, by a few standard errors.
        current, current_error: of the last iteration's parameters.
        gradient_norm: of the last iteration.
        steps: how many were taken.
        parameters: float64 (parameters,), what is measured next.
        signs: float64 (parameters,), random: the direction in which SPSA measures next.
        moments: float64 (2, parameters), Adam's means of the gradient and of its square.
        best_parameters: those of `energy`.
        recent: float64, `energy` of the last iterations, the newest last.
        molecule: what is measured, where it is one.
    """

    chart: ClassVar[Chart] = Chart(
        headline="energy", better="lower", beside=("current",), error="error"
    )

    energy: float = math.inf
    error: float = 0.0
    current: float = math.nan
    current_error: float = math.nan
    gradient_norm: float = math.nan
    steps: int = 0
    parameters: NDArray
    signs: NDArray
    moments: NDArray
    best_parameters: NDArray
    recent: NDArray
    molecule: Molecular | None = None


class VQE(IterativeAlgorithm[Variational, list[Estimates], Slope]):
    """The lowest energy that is found in a parametrised circuit.

    From random parameters, but with `uccsd` from Hartree-Fock's determinant.

    >>> import anyio
    >>> from qcsc_loop import MaxIterations, MemoryStore
    >>> vqe = VQE(hamiltonian={"Z": 1.0}, reps=0, optimizer=SPSA(a=3.0))
    >>> outcome = anyio.run(lambda: vqe.run(store=MemoryStore(), stop=MaxIterations(5)))
    >>> round(outcome.state.energy, 2)
    -1.0

    Attributes:
        hamiltonian: by default hydrogen's, in hartree.
        system: a molecule, or an FCIDUMP file, instead of it.
        ansatz: `efficient-su2` for any Hamiltonian; `qaoa` takes it as the cost operator; `uccsd`,
            single and double excitations of a system's Hartree-Fock determinant.
        precision: the standard error that is aimed at; 0: exact, where the source can be.
        tolerance, patience: converged when `energy` has fallen by at most so much, or by no more
            than its standard error, over so many iterations.
    """

    hamiltonian: PauliSum = HYDROGEN
    system: System | None = Field(default=None, description="a molecule, instead of hamiltonian")
    ansatz: Literal["efficient-su2", "qaoa", "uccsd"] = "efficient-su2"
    reps: int = Field(default=1, ge=0, description="repetitions in the ansatz")
    estimator: SerializeAsAny[Estimator] | BlockName = AerEstimator()
    precision: float = Field(default=0.0, ge=0, allow_inf_nan=False, description="of each energy")
    optimizer: Optimizer = SPSA()
    tolerance: Annotated[float, OPERATIONAL] = Field(
        default=1e-4, ge=0, description="in the Hamiltonian's unit; 0 = never converged"
    )
    patience: Annotated[int, OPERATIONAL] = Field(default=30, ge=1, le=MAX_PATIENCE)
    concurrency: Annotated[int, OPERATIONAL] = Field(
        default=8, ge=1, description="energies at a time"
    )

    @model_validator(mode="after")
    def _fits(self) -> VQE:
        if self.ansatz == "uccsd" and self.system is None:
            raise ValueError(
                "system: a uccsd ansatz excites the electrons of a molecule; give one, as in "
                "system.geometry = 'H 0 0 0; H 0 0 0.735'"
            )
        if self.ansatz != "uccsd" and self.system is not None:
            raise ValueError(
                f"ansatz: {self.ansatz} does not keep a molecule's electrons; with a system take uccsd"
            )
        if self.ansatz == "uccsd" and self.reps == 0:
            raise ValueError("reps: a uccsd ansatz of 0 repetitions has no parameters")
        if self.ansatz == "qaoa" and self.reps == 0:
            raise ValueError("reps: a qaoa ansatz of 0 repetitions has no parameters")
        if self.ansatz == "qaoa" and self.optimizer.type == "adam":
            raise ValueError(
                "optimizer: adam's parameter-shift rule needs parameters of one rotation each, "
                "and one of qaoa's turns many; take spsa"
            )
        return self

    async def initialize(self) -> Variational:
        molecule = None if self.system is None else await self._molecule(self.system)
        circuit, _ = await to_thread.run_sync(self._problem, molecule)
        rng = current_step().rng
        parameters = rng.uniform(-np.pi, np.pi, circuit.num_parameters)
        if molecule is not None:
            parameters = np.zeros(circuit.num_parameters)
        return Variational(
            parameters=parameters,
            signs=rng.choice((-1.0, 1.0), len(parameters)),
            moments=np.zeros((2, len(parameters))),
            best_parameters=parameters,
            recent=np.empty(0),
            molecule=molecule,
        )

    async def _molecule(self, system: Molecule | FCIDump) -> Molecular:
        try:
            found = await in_worker(compute_molecule, system)
            if not excitations(found.hamiltonian):
                raise ValueError("its orbitals leave no excitation of the molecule's symmetry")
        except ValueError as error:
            raise BadSystem(str(error)) from error
        except ModuleNotFoundError as error:
            raise MissingExtra(str(error.name)) from error
        for remark in found.remarks:
            current_step().logger.warning("%s", remark)
        return found

    async def sample(self, state: Variational) -> list[Estimates]:
        circuit, hamiltonian = await to_thread.run_sync(self._problem, state.molecule)
        points = self._rule.points(state.parameters, state.signs, state.steps + 1)
        calls = {
            f"point-{i}": partial(self._estimates, circuit, hamiltonian, point)
            for i, point in enumerate(points)
        }
        found = await run_parts(calls, Estimates, limit=self.concurrency)
        return [estimates for estimates in found.values() if estimates is not None]

    async def evaluate(self, state: Variational, samples: list[Estimates]) -> Slope:
        energies = np.array([estimates.values[0] for estimates in samples])
        errors = np.array([estimates.standard_errors[0] for estimates in samples])
        own = slice(-1, None) if len(energies) % 2 else slice(None)
        return Slope(
            energy=float(energies[own].mean()),
            error=math.hypot(*errors[own]) / len(errors[own]),
            gradient=self._rule.gradient(energies, state.signs, state.steps + 1),
        )

    async def update(self, state: Variational, evaluation: Slope) -> Variational:
        parameters, moments = self.optimizer.moved(
            state.parameters, evaluation.gradient, state.moments, state.steps + 1
        )
        better = evaluation.energy < state.energy
        energy = evaluation.energy if better else state.energy
        return Variational(
            energy=energy,
            error=evaluation.error if better else state.error,
            current=evaluation.energy,
            current_error=evaluation.error,
            gradient_norm=math.hypot(*evaluation.gradient),
            steps=state.steps + 1,
            parameters=parameters,
            signs=current_step().rng.choice((-1.0, 1.0), len(parameters)),
            moments=moments,
            best_parameters=state.parameters if better else state.best_parameters,
            recent=np.append(state.recent, energy)[-(MAX_PATIENCE + 1) :],
            molecule=state.molecule,
        )

    async def converged(self, previous: Variational, current: Variational) -> bool:
        if not self.tolerance or len(current.recent) <= self.patience:
            return False
        fell = float(current.recent[-(self.patience + 1)] - current.recent[-1])
        return fell <= max(self.tolerance, current.error)

    def tables(self, state: Variational) -> dict[str, Table]:
        """`vqe-parameters`: the angles of the lowest energy, in the order of the ansatz's.

        Of a molecule `vqe-energies`, too: beside those of other methods.
        """
        rows = [{"parameter": i, "radians": float(x)} for i, x in enumerate(state.best_parameters)]
        found: dict[str, Table] = {"vqe-parameters": rows}
        if state.molecule is not None and math.isfinite(state.energy):
            found["vqe-energies"] = energy_table("VQE", state.energy, state.molecule.references)
        return found

    @property
    def _rule(self) -> SPSA | Adam:
        """The optimiser, with the gradient's rule for what its parameters turn."""
        if self.ansatz == "uccsd" and isinstance(self.optimizer, Adam):
            return AdamOfExcitations(rate=self.optimizer.rate)
        return self.optimizer

    def _problem(self, molecule: Molecular | None = None) -> tuple[QuantumCircuit, SparsePauliOp]:
        """The ansatz, its parameters open, and what is measured in it."""
        from qiskit.circuit.library import efficient_su2, qaoa_ansatz
        from qiskit.quantum_info import SparsePauliOp

        if molecule is not None:
            terms = list(molecule.terms.items())
            return uccsd(molecule.hamiltonian, self.reps), SparsePauliOp.from_list(terms)
        # sorted: a form may hand the terms over in another order, and sums round by it
        hamiltonian = SparsePauliOp.from_list(sorted(self.hamiltonian.items()))
        if self.ansatz == "qaoa":
            return qaoa_ansatz(hamiltonian, reps=self.reps), hamiltonian
        width = len(next(iter(self.hamiltonian)))
        return efficient_su2(width, reps=self.reps), hamiltonian

    async def _estimates(
        self, circuit: QuantumCircuit, hamiltonian: SparsePauliOp, point: Floats
    ) -> Estimates:
        assert isinstance(self.estimator, Estimator)  # names were resolved when the run started
        found = await self.estimator.estimate(
            circuit.assign_parameters(point), [hamiltonian], precision=self.precision
        )
        if not np.isfinite(found.values).all():  # error mitigation can extrapolate to NaN
            raise SamplingFailed("the estimator", f"the energy is {found.values[0]}")
        return found
