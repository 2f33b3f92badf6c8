"""The variational quantum eigensolver: a circuit's parameters, moved to where its energy is low.

Peruzzo et al., Nat. Commun. 5, 4213 (2014). With the QAOA ansatz it is QAOA: Farhi, Goldstone and
Gutmann, arXiv:1411.4028.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import numpy.typing as npt
from anyio import to_thread
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    SerializeAsAny,
    model_validator,
)

from qcsc_loop.algorithm import IterativeAlgorithm, Table
from qcsc_loop.codec import NDArray
from qcsc_loop.errors import SamplingFailed
from qcsc_loop.operational import OPERATIONAL
from qcsc_loop.parts import run_parts
from qcsc_loop.resource import BlockName
from qcsc_loop.sampling.aer_estimator import AerEstimator
from qcsc_loop.sampling.estimator import Estimates, Estimator
from qcsc_loop.state import Record, State
from qcsc_loop.step import current_step

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit.quantum_info import SparsePauliOp

Floats = npt.NDArray[np.float64]
MAX_PATIENCE = 100

# H2 in STO-3G at 0.735 angstrom: parity mapping, two qubits tapered off, as in Qiskit's tutorials,
# with the nuclear repulsion of 0.7199689945 hartree in II
HYDROGEN = {
    "II": -0.33240425132387933,
    "IZ": 0.39793742484318045,
    "ZI": -0.39793742484318045,
    "ZZ": -0.01128010425623538,
    "XX": 0.18093119978423156,
}


def _real(value: object) -> object:
    if isinstance(value, complex):
        raise ValueError("a Hermitian operator has real coefficients")
    return value


def _pauli_sum(terms: dict[str, float]) -> dict[str, float]:
    if wrong := [label for label in terms if not label or set(label) - set("IXYZ")]:
        raise ValueError(f"{wrong[0]!r} is no Pauli label: a letter I, X, Y or Z for each qubit")
    if len(widths := sorted({len(label) for label in terms})) > 1:
        raise ValueError(f"all labels have a letter for each qubit, and these have {widths}")
    if not any(set(label) - {"I"} for label in terms):
        raise ValueError("it has no term but the identity: there is nothing to minimise")
    return terms


Coefficient = Annotated[float, BeforeValidator(_real), Field(allow_inf_nan=False)]
PauliSum = Annotated[dict[str, Coefficient], AfterValidator(_pauli_sum)]
"""Coefficients by Pauli label, qubit 0 on the right, as Qiskit writes them."""


class SPSA(BaseModel, frozen=True, extra="forbid"):
    """Simultaneous perturbation: two energies a step, whatever the number of parameters.

    The gradient's estimate is (E(x + c_k d) - E(x - c_k d)) / (2 c_k d) with random signs d, the
    step -a_k times it, with a_k = a / (A + k)^alpha, c_k = c / k^gamma and k from 1. Spall, IEEE
    Trans. Automat. Contr. 37, 332 (1992); how to choose the gains: Spall, IEEE Trans. Aerosp.
    Electron. Syst. 34, 817 (1998).

    Attributes:
        a: in radians squared per unit of energy; smaller for a Hamiltonian of larger coefficients.
        c: in radians; larger for noisier energies.
        stability: A, about a tenth of the iterations that are planned.
        measure_current: a third energy, at x itself; else the mean of the two stands for it.
    """

    type: Literal["spsa"] = "spsa"
    a: float = Field(default=6.0, gt=0)
    c: float = Field(default=0.1, gt=0)
    stability: float = Field(default=10.0, ge=0)
    alpha: float = Field(default=0.602, ge=0, le=1)
    gamma: float = Field(default=0.101, ge=0, le=1)
    measure_current: bool = True

    def points(self, parameters: Floats, signs: Floats, k: int) -> Floats:
        shift = self.c / k**self.gamma * signs
        shifts = [shift, -shift, 0 * shift] if self.measure_current else [shift, -shift]
        return np.asarray(parameters + shifts)

    def gradient(self, energies: Floats, signs: Floats, k: int) -> Floats:
        return np.asarray((energies[0] - energies[1]) / (2 * self.c / k**self.gamma * signs))

    def moved(
        self, parameters: Floats, gradient: Floats, moments: Floats, k: int
    ) -> tuple[Floats, Floats]:
        return parameters - self.a / (self.stability + k) ** self.alpha * gradient, moments


class Adam(BaseModel, frozen=True, extra="forbid"):
    """Adam on the gradient itself: two energies for each parameter, and one at x.

    The gradient is (E(x + pi/2 e_i) - E(x - pi/2 e_i)) / 2, the parameter-shift rule, where each
    parameter turns one Pauli rotation: Schuld et al., Phys. Rev. A 99, 032331 (2019). The step is
    algorithm 1 of Kingma and Ba, arXiv:1412.6980, with its constants.

    Attributes:
        rate: of a step, in radians.
    """

    type: Literal["adam"] = "adam"
    rate: float = Field(default=0.1, gt=0)

    def points(self, parameters: Floats, signs: Floats, k: int) -> Floats:
        pairs = np.kron(np.eye(len(parameters)), [[np.pi / 2], [-np.pi / 2]])
        return parameters + np.vstack([pairs, np.zeros_like(parameters)])

    def gradient(self, energies: Floats, signs: Floats, k: int) -> Floats:
        return np.asarray((energies[:-1:2] - energies[1::2]) / 2)

    def moved(
        self, parameters: Floats, gradient: Floats, moments: Floats, k: int
    ) -> tuple[Floats, Floats]:
        betas = np.array([[0.9], [0.999]])
        moments = betas * moments + (1 - betas) * np.stack([gradient, gradient**2])
        mean, square = moments / (1 - betas**k)
        return parameters - self.rate * mean / (np.sqrt(square) + 1e-8), moments


def _by_name(value: object) -> object:
    return {"type": value} if isinstance(value, str) else value


Optimizer = Annotated[
    Annotated[SPSA | Adam, Field(discriminator="type")], BeforeValidator(_by_name)
]
"""Where to measure, the gradient that follows, and the step: pure functions, `k` counts from 1.

Points come in pairs; a last one without a partner is the parameters themselves.
"""


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
    """

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


class VQE(IterativeAlgorithm[Variational, list[Estimates], Slope]):
    """The lowest energy that is found in a parametrised circuit, from random parameters.

    >>> import anyio
    >>> from qcsc_loop import MaxIterations, MemoryStore
    >>> vqe = VQE(hamiltonian={"Z": 1.0}, reps=0, optimizer=SPSA(a=3.0))
    >>> outcome = anyio.run(lambda: vqe.run(store=MemoryStore(), stop=MaxIterations(5)))
    >>> round(outcome.state.energy, 2)
    -1.0

    Attributes:
        hamiltonian: by default hydrogen's, in hartree.
        ansatz: `efficient-su2` for any Hamiltonian; `qaoa` takes it as the cost operator.
        precision: the standard error that is aimed at; 0: exact, where the source can be.
        tolerance, patience: converged when `energy` has fallen by at most so much, or by no more
            than its standard error, over so many iterations.
    """

    hamiltonian: PauliSum = HYDROGEN
    ansatz: Literal["efficient-su2", "qaoa"] = "efficient-su2"
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
        if self.ansatz == "qaoa" and self.reps == 0:
            raise ValueError("reps: a qaoa ansatz of 0 repetitions has no parameters")
        if self.ansatz == "qaoa" and self.optimizer.type == "adam":
            raise ValueError(
                "optimizer: adam's parameter-shift rule needs parameters of one rotation each, "
                "and one of qaoa's turns many; take spsa"
            )
        return self

    async def initialize(self) -> Variational:
        circuit, _ = await to_thread.run_sync(self._problem)
        rng = current_step().rng
        parameters = rng.uniform(-np.pi, np.pi, circuit.num_parameters)
        return Variational(
            parameters=parameters,
            signs=rng.choice((-1.0, 1.0), len(parameters)),
            moments=np.zeros((2, len(parameters))),
            best_parameters=parameters,
            recent=np.empty(0),
        )

    async def sample(self, state: Variational) -> list[Estimates]:
        circuit, hamiltonian = await to_thread.run_sync(self._problem)
        points = self.optimizer.points(state.parameters, state.signs, state.steps + 1)
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
            gradient=self.optimizer.gradient(energies, state.signs, state.steps + 1),
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
        )

    async def converged(self, previous: Variational, current: Variational) -> bool:
        if not self.tolerance or len(current.recent) <= self.patience:
            return False
        fell = float(current.recent[-(self.patience + 1)] - current.recent[-1])
        return fell <= max(self.tolerance, current.error)

    def tables(self, state: Variational) -> dict[str, Table]:
        """`vqe-parameters`: the angles of the lowest energy, in the order of the ansatz's."""
        rows = [{"parameter": i, "radians": float(x)} for i, x in enumerate(state.best_parameters)]
        return {"vqe-parameters": rows}

    def _problem(self) -> tuple[QuantumCircuit, SparsePauliOp]:
        """The ansatz, its parameters open, and what is measured in it."""
        from qiskit.circuit.library import efficient_su2, qaoa_ansatz
        from qiskit.quantum_info import SparsePauliOp

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
