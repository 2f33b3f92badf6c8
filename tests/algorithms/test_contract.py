"""Every algorithm that is shipped, in its variants, keeps the contract that its runs are resumed by."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import entry_points
from typing import Any

import pytest

from qcsc_loop.algorithm import AnyAlgorithm
from qcsc_loop.catalog import find_algorithm
from qcsc_loop.parameters.build import build
from qcsc_loop.testing import check_algorithm

H2 = {"geometry": "H 0 0 0; H 0 0 0.735", "basis": "sto-3g", "frozen_core": 0}
SMALL_SQD: dict[str, Any] = {"system": H2, "walkers": 4, "shots": 100}

# by its name
VARIANTS: dict[str, list[dict[str, Any]]] = {
    "bitcount": [{"num_qubits": 2, "shots": 10}],
    "vqe": [
        {},
        {"optimizer": "adam", "precision": 0.1},
        {"ansatz": "qaoa", "hamiltonian": {"ZZ": 1.0, "ZI": 0.5}},
    ],
    "sqd": [
        SMALL_SQD,
        *({**SMALL_SQD, "optimizer": kind} for kind in ("fixed", "perturb", "random", "hci")),
        {**SMALL_SQD, "optimizer": {"type": "de", "selection": "anew"}},
        {**SMALL_SQD, "solver": "pyscf"},
        {**SMALL_SQD, "sampler": "ffsim"},
    ],
    "pauli-skqd": [
        {"hamiltonian": {"sites": 4}, "shots": 100},
        {
            "hamiltonian": {"type": "terms", "given": {"XX": 1.0, "ZI": 0.5}},
            "start": "+0",
            "shots": 100,
            "order": 1,
        },
    ],
    "plain-sqd": [{"system": H2, "shots": 100}],
    "skqd": [{"system": H2, "shots": 100}, {"system": H2, "shots": 100, "solver": "pyscf"}],
}
EXAMPLE = "examples/custom.py:FindPhase"
MINIMIZATION = "examples/optimisers/after.py:Energy"


def tried(algorithm: AnyAlgorithm) -> None:
    checked = check_algorithm(algorithm, iterations=2, kills=4)
    assert (checked.findings, checked.kills) == ([], 4)


def rows() -> Iterator[Any]:
    """Each takes minutes: the first variant of the two quick ones in CI, all in nightly runs."""
    for name, variants in VARIANTS.items():
        for number, given in enumerate(variants):
            quick = name in ("bitcount", "vqe") and not number
            mark = pytest.mark.thorough if quick else pytest.mark.nightly
            yield pytest.param(name, given, marks=mark, id=f"{name} {number}")


@pytest.mark.parametrize(("name", "given"), [*rows()])
@pytest.mark.guarantee("G9")
def test_it_has_the_same_bits_in_every_life(name: str, given: dict[str, Any]) -> None:
    tried(build(find_algorithm(name), given))


@pytest.mark.nightly
def test_so_has_the_example() -> None:
    tried(build(find_algorithm(EXAMPLE), {"shots": 20}))


@pytest.mark.nightly
@pytest.mark.parametrize("optimizer", ["nelder-mead", "spsa"])
def test_so_has_a_function_that_is_minimised(optimizer: str) -> None:
    given = {"start": [0.1] * 8, "optimizer": {"type": optimizer}}
    tried(build(find_algorithm(MINIMIZATION), given))


def test_every_algorithm_is_tried() -> None:
    assert set(VARIANTS) == {each.name for each in entry_points(group="qcsc_loop.algorithms")}
