"""VQE and QAOA, on exact energies, on noisy ones, and resumed at every iteration."""

from __future__ import annotations

import doctest
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import anyio
import numpy as np
import pytest
from prefect.utilities.schema_tools.validation import validate
from pydantic import ValidationError
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp, Statevector

import qcsc_algorithms.vqe.vqe
from qcsc_algorithms.vqe import SPSA, VQE, Adam, Variational
from qcsc_algorithms.vqe.flow import vqe
from qcsc_loop.errors import HookFailed
from qcsc_loop.loop.outcome import Outcome
from qcsc_loop.parameters.operational import OPERATIONAL
from qcsc_loop.rules.reason import Reason
from qcsc_loop.rules.stop import MaxIterations
from qcsc_loop.sampling.aer.estimator import AerEstimator
from qcsc_loop.sampling.estimator import Estimates, Estimator
from qcsc_loop.steps.step import Step, current_step, stepping
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.memory import MemoryStore
from qcsc_loop.store.store import Store
from thorough import first

HYDROGEN_FCI = -1.1373060357534  # hartree; pyscf, H2 at 0.735 angstrom in STO-3G
CHEMICAL_ACCURACY = 1.6e-3  # hartree: 1 kcal/mol
SQUARE = {"IIII": -2.0, "IIZZ": 0.5, "IZZI": 0.5, "ZZII": 0.5, "ZIIZ": 0.5}  # minus the cut

paid: list[tuple[int, str]] = []
"""Iteration and label of each energy that a `Dense` gave."""


made: list[MemoryStore] = []


class Dense(Estimator):
    """A few qubits by numpy: a tenth of Aer's time.

    Attributes:
        breaks: `iteration/label` for which there is no energy.
        without_number: `iteration/label` for which it is NaN.
    """

    type: Literal["dense-test"] = "dense-test"
    breaks: Annotated[str, OPERATIONAL] = ""
    without_number: str = ""

    async def estimate(
        self, circuit: QuantumCircuit, observables: Sequence[SparsePauliOp], *, precision: float
    ) -> Estimates:
        step = current_step()
        place = f"{step.iteration}/{step.label}"
        if place == self.breaks:
            raise ConnectionError("the line is down")
        paid.append((step.iteration, step.label))
        state = Statevector(circuit)
        exact = np.array([state.expectation_value(o).real for o in observables])
        noise = precision * step.rng.standard_normal(len(exact))
        return Estimates(
            values=exact + (math.nan if place == self.without_number else noise),
            standard_errors=np.full(len(exact), precision),
        )


@pytest.fixture(autouse=True)
def no_folder_is_left() -> Iterator[None]:
    yield
    while made:
        made.pop().close()


def memory() -> MemoryStore:
    made.append(MemoryStore())
    return made[-1]


def run(
    algorithm: VQE, iterations: int, seed: int = 0, store: Store | None = None
) -> Outcome[Variational]:
    stop, kept = MaxIterations(iterations), store or memory()
    return anyio.run(lambda: algorithm.run(store=kept, seed=seed, stop=stop, run_id="vqe"))


def energy_at(algorithm: VQE, parameters: Any) -> float:
    circuit, hamiltonian = algorithm._problem()
    state = Statevector(circuit.assign_parameters(parameters))
    return float(state.expectation_value(hamiltonian).real)


def exact_ground_energy(terms: Mapping[str, float]) -> float:
    return float(np.linalg.eigvalsh(SparsePauliOp.from_list(list(terms.items())).to_matrix())[0])


def first_evaluation(algorithm: VQE, seed: int) -> tuple[Variational, Any]:
    with stepping(Step(run_seed=seed, name="initialize")):
        state = anyio.run(algorithm.initialize)
    with stepping(Step(run_seed=seed, iteration=1, name="sample")):
        samples = anyio.run(algorithm.sample, state)
    return state, anyio.run(algorithm.evaluate, state, samples)


# a run


def test_the_default_hamiltonian_has_the_ground_energy_of_hydrogen() -> None:
    assert exact_ground_energy(VQE().hamiltonian) == pytest.approx(HYDROGEN_FCI, abs=1e-9)


@pytest.mark.parametrize("seed", first(1, [1, 7, 9]))
def test_spsa_converges_to_chemical_accuracy(seed: int) -> None:
    outcome = run(VQE(estimator=Dense()), 250, seed)
    assert outcome.reason is Reason.CONVERGED
    assert 0 <= outcome.state.energy - HYDROGEN_FCI < CHEMICAL_ACCURACY


def test_adam_converges_to_the_ground_energy_of_a_qubit() -> None:
    algorithm = VQE(hamiltonian={"Z": 1.0, "X": 0.5}, reps=0, estimator=Dense(), optimizer=Adam())
    outcome = run(algorithm, 150)
    assert outcome.reason is Reason.CONVERGED
    assert outcome.state.energy == pytest.approx(-math.sqrt(1.25), abs=1e-4)


@pytest.mark.parametrize("seed", range(2))
def test_with_shot_noise_it_converges_within_the_error(seed: int) -> None:
    noisy = VQE(estimator=Dense(), precision=0.01)
    outcome = run(noisy, 200, seed)
    assert outcome.reason is Reason.CONVERGED
    assert outcome.state.error == outcome.state.current_error == 0.01
    # four standard errors: the lowest of about a hundred noisy energies
    assert outcome.state.energy == pytest.approx(HYDROGEN_FCI, abs=0.04)
    assert energy_at(noisy, outcome.state.best_parameters) - HYDROGEN_FCI < 0.04


def test_aer_s_exact_energies_are_those_of_the_circuit() -> None:
    algorithm = VQE(estimator=AerEstimator())
    state = run(algorithm, 1).state
    assert state.energy == pytest.approx(energy_at(algorithm, state.best_parameters), abs=1e-12)
    assert state.error == 0


def test_the_lowest_energy_is_that_of_its_parameters() -> None:
    algorithm = VQE(estimator=Dense())
    state = run(algorithm, 20).state
    assert state.energy == pytest.approx(energy_at(algorithm, state.best_parameters), abs=1e-12)
    assert state.energy <= state.current


def test_the_order_of_the_terms_does_not_change_the_bits() -> None:
    terms = VQE().hamiltonian
    turned = dict(reversed(terms.items()))
    first = run(VQE(hamiltonian=terms, estimator=Dense()), 3)
    assert run(VQE(hamiltonian=turned, estimator=Dense()), 3).state_sha256 == first.state_sha256


def test_another_seed_gives_other_bits() -> None:
    algorithm = VQE(estimator=Dense())
    assert run(algorithm, 1, seed=1).state_sha256 != run(algorithm, 1, seed=2).state_sha256


# resume


@pytest.mark.parametrize("optimizer", [SPSA(), Adam()], ids=lambda o: o.type)
def test_a_run_resumed_at_any_iteration_has_the_same_bits(optimizer: SPSA | Adam) -> None:
    terms = {"Z": 1.0, "X": 0.5}
    algorithm = VQE(
        hamiltonian=terms, reps=0, estimator=Dense(), precision=0.01, optimizer=optimizer
    )
    straight = run(algorithm, 6)
    for stopped in range(6):
        store = memory()
        run(algorithm, stopped, store=store)
        resumed = run(algorithm, 6, store=store)
        assert resumed.resumed_from == stopped
        assert resumed.state == straight.state
        assert resumed.state_sha256 == straight.state_sha256


def test_on_aer_a_resumed_run_has_the_same_bits() -> None:
    algorithm, store = VQE(precision=0.01), memory()
    run(algorithm, 2, store=store)
    assert run(algorithm, 4, store=store).state_sha256 == run(algorithm, 4).state_sha256


def test_after_a_failure_only_the_missing_energy_is_paid_for(tmp_path: Path) -> None:
    paid.clear()
    store = DirectoryStore(tmp_path)
    with pytest.raises(HookFailed, match="the line is down"):
        run(VQE(estimator=Dense(breaks="2/point-1")), 3, store=store)
    run(VQE(estimator=Dense()), 3, store=store)
    assert sorted(paid) == [(k, f"point-{i}") for k in (1, 2, 3) for i in range(3)]


def test_an_energy_that_is_no_number_is_refused_before_it_is_kept() -> None:
    with pytest.raises(HookFailed, match="the energy is nan"):
        run(VQE(estimator=Dense(without_number="1/point-0")), 1)


# optimisers


def test_the_parameter_shift_gradient_is_the_finite_difference() -> None:
    algorithm = VQE(estimator=Dense(), optimizer=Adam())
    state, slope = first_evaluation(algorithm, seed=5)
    h = 1e-5
    differences = [
        (energy_at(algorithm, state.parameters + d) - energy_at(algorithm, state.parameters - d))
        / (2 * h)
        for d in h * np.eye(len(state.parameters))
    ]
    np.testing.assert_allclose(slope.gradient, differences, atol=1e-9)
    assert slope.energy == pytest.approx(energy_at(algorithm, state.parameters), abs=1e-12)


def test_spsa_s_estimate_is_the_slope_along_its_signs() -> None:
    algorithm = VQE(estimator=Dense(), optimizer=SPSA(c=1e-4))
    exact = VQE(estimator=Dense(), optimizer=Adam())
    state, slope = first_evaluation(algorithm, seed=5)
    along = first_evaluation(exact, seed=5)[1].gradient @ state.signs
    np.testing.assert_allclose(slope.gradient, along * state.signs, atol=1e-6)


def test_spsa_s_gains_are_spall_s() -> None:
    spsa = SPSA(a=3.0, c=0.2, stability=7.0, alpha=0.6, gamma=0.1, measure_current=False)
    origin, signs = np.zeros(2), np.array([1.0, -1.0])
    points = spsa.points(origin, signs, 4)
    np.testing.assert_allclose(points[0], 0.2 / 4**0.1 * signs)
    np.testing.assert_allclose(points[1], -points[0])
    parameters, _ = spsa.moved(origin, np.array([1.0, 2.0]), np.zeros((2, 2)), 4)
    np.testing.assert_allclose(parameters, [-3 / 11**0.6, -6 / 11**0.6])


def test_without_a_third_energy_the_mean_of_the_pair_stands_for_the_current_one() -> None:
    optimizer = SPSA(measure_current=False)
    algorithm = VQE(estimator=Dense(), optimizer=optimizer)
    state, slope = first_evaluation(algorithm, seed=1)
    points = optimizer.points(state.parameters, state.signs, 1)
    assert len(points) == 2
    assert slope.energy == pytest.approx(np.mean([energy_at(algorithm, p) for p in points]))


def test_the_error_of_a_mean_of_two_is_smaller_by_the_square_root_of_two() -> None:
    optimizer = SPSA(measure_current=False)
    state = run(VQE(estimator=Dense(), optimizer=optimizer, precision=0.01), 1).state
    assert state.error == pytest.approx(0.01 / math.sqrt(2))


def test_adam_s_first_step_has_the_length_of_its_rate_in_each_parameter() -> None:
    gradient = np.array([0.3, -2.0])
    parameters, _ = Adam(rate=0.1).moved(np.zeros(2), gradient, np.zeros((2, 2)), 1)
    np.testing.assert_allclose(parameters, [-0.1, 0.1], rtol=1e-6)


# convergence


def after(energies: Sequence[float], error: float = 0.0) -> Variational:
    nothing = np.zeros(0)
    return Variational(
        energy=energies[-1],
        error=error,
        parameters=nothing,
        signs=nothing,
        moments=np.zeros((2, 0)),
        best_parameters=nothing,
        recent=np.array(energies),
    )


@pytest.mark.parametrize(
    ("energies", "error", "expected"),
    [
        ([1.0, 1.0], 0.0, False),  # fewer iterations than the window
        ([1.0, 1.0, 1.0], 0.0, True),
        ([1.0, 1.0, 0.9], 0.0, False),
        ([1.0, 1.0, 0.9], 0.2, True),  # no more than the error bar
        ([5.0, 1.0, 1.0, 1.0], 0.0, True),  # what fell before the window does not count
    ],
)
def test_it_has_converged_when_the_lowest_energy_stands_within_the_error_bar(
    energies: list[float], error: float, expected: bool
) -> None:
    state = after(energies, error)
    assert anyio.run(VQE(patience=2, tolerance=1e-3).converged, state, state) is expected


def test_a_tolerance_of_zero_never_converges() -> None:
    state = after([1.0] * 50, 1.0)
    assert anyio.run(VQE(tolerance=0).converged, state, state) is False


# QAOA


@pytest.mark.parametrize("seed", range(2))
def test_qaoa_of_depth_one_cuts_three_quarters_of_a_ring(seed: int) -> None:
    # Farhi, Goldstone and Gutmann, arXiv:1411.4028, section IV
    qaoa = VQE(hamiltonian=SQUARE, ansatz="qaoa", estimator=Dense(), optimizer=SPSA(a=0.5))
    assert run(qaoa, 80, seed).state.energy == pytest.approx(-3.0, abs=1e-3)


def test_qaoa_of_depth_two_finds_the_maximum_cut_of_a_square() -> None:
    qaoa = VQE(
        hamiltonian=SQUARE,
        ansatz="qaoa",
        reps=2,
        estimator=Dense(),
        tolerance=0,
        optimizer=SPSA(a=0.3),
    )
    assert exact_ground_energy(SQUARE) == pytest.approx(-4)
    # of the seeds 0 to 5 this one leads to it; the others end in local minima above -3.5
    assert run(qaoa, 80, seed=4).state.energy < -3.95


def test_qaoa_runs_on_aer() -> None:
    qaoa = VQE(hamiltonian=SQUARE, ansatz="qaoa")
    state = run(qaoa, 1).state
    assert state.energy == pytest.approx(energy_at(qaoa, state.best_parameters), abs=1e-12)


# parameters


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"hamiltonian": {}}, "no term but the identity"),
        ({"hamiltonian": {"II": 1.0}}, "no term but the identity"),
        ({"hamiltonian": {"Z": 1.0, "XX": 1.0}}, r"a letter for each qubit, and these have \[1, 2"),
        ({"hamiltonian": {"ZA": 1.0}}, "'ZA' is no Pauli label"),
        ({"hamiltonian": {"": 1.0}}, "'' is no Pauli label"),
        ({"hamiltonian": {"Z": 1j}}, "a Hermitian operator has real coefficients"),
        ({"hamiltonian": {"Z": np.complex128(1)}}, "a Hermitian operator has real coefficients"),
        ({"hamiltonian": {"Z": "1j"}}, "should be a valid number"),
        ({"hamiltonian": {"Z": math.nan}}, "should be a finite number"),
        ({"ansatz": "uccsd"}, "excites the electrons of a molecule; give one"),
        ({"ansatz": "hartree"}, "'efficient-su2', 'qaoa' or 'uccsd'"),
        ({"ansatz": "qaoa", "reps": 0}, "0 repetitions has no parameters"),
        ({"ansatz": "qaoa", "optimizer": "adam"}, "take spsa"),
        ({"reps": -1}, "greater than or equal to 0"),
        ({"precision": -1e-9}, "greater than or equal to 0"),
        ({"precision": math.inf}, "should be a finite number"),
        ({"optimizer": "bfgs"}, "'spsa', 'adam'"),
        ({"optimizer": {"type": "spsa", "c": 0}}, "greater than 0"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence) as caught:
        VQE.model_validate(given)
    assert caught.value.error_count() == 1


def test_an_optimiser_may_be_given_by_name() -> None:
    assert VQE.model_validate({"optimizer": "adam"}).optimizer == Adam()


def test_parameters_come_back_from_json_as_they_were() -> None:
    algorithm = VQE(hamiltonian=SQUARE, optimizer=Adam(rate=0.3), estimator="aer-estimator/mine")
    assert VQE.model_validate_json(algorithm.model_dump_json()) == algorithm


# what people see


def test_the_scalars_begin_with_the_lowest_energy_and_its_error() -> None:
    outcome = run(VQE(estimator=Dense(), precision=0.01), 2)
    names = ["energy", "error", "current", "current_error", "gradient_norm", "steps"]
    assert list(outcome.scalars) == names
    assert all(math.isfinite(value) for value in outcome.scalars.values())


def test_the_table_has_the_angles_of_the_lowest_energy() -> None:
    algorithm = VQE(estimator=Dense())
    state = run(algorithm, 2).state
    rows = algorithm.tables(state)["vqe-parameters"]
    assert [row["radians"] for row in rows] == state.best_parameters.tolist()


def test_the_flow_s_form_takes_an_algorithm_and_refuses_what_is_none() -> None:
    form = vqe.parameters.model_dump()
    given = VQE(hamiltonian=SQUARE, ansatz="qaoa").model_dump(mode="json")
    validate({"algorithm": given}, form)
    assert vqe.validate_parameters({"algorithm": given})["algorithm"] == VQE.model_validate(given)
    with pytest.raises(Exception, match="shots"):
        validate({"algorithm": {"shots": 5}}, form, raise_on_error=True)


def test_the_example_in_the_documentation_runs() -> None:
    results = doctest.testmod(qcsc_algorithms.vqe.vqe)
    assert results.attempted > 0
    assert results.failed == 0
