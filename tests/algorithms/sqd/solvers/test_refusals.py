"""What a solver cannot do here is said before anything is sampled."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import anyio
import pytest

from qcsc_algorithms.sqd import SQD, CallableSolver, DiceSolver, Molecule, PyscfSolver, SbdSolver
from qcsc_algorithms.sqd.solvers import callable as callable_solver
from qcsc_algorithms.sqd.solvers import pyscf, sbd
from qcsc_algorithms.sqd.solvers.sbd_files import SbdFilesSolver
from qcsc_loop import MaxIterations, MemoryStore
from qcsc_loop.errors import HookFailed, JobRefused
from qcsc_loop.sampling.random_bits import RandomSampler
from qcsc_loop.sampling.samples import Samples

HYDROGEN = Molecule(geometry="H 0 0 0; H 0 0 0.735", basis="sto-3g")


class Paid(RandomSampler):
    """Whose shots cost."""

    type: Literal["paid"] = "paid"  # type: ignore[assignment]  # a name of its own

    async def sample(self, circuit: Any, *, shots: int, label: str = "") -> Samples:
        raise AssertionError("shots were paid for")


def refusal_of(solver: Any) -> str:
    algorithm = SQD(system=HYDROGEN, sampler=Paid(), solver=solver, shots=10)
    run = algorithm.run(store=MemoryStore(), stop=MaxIterations(1))
    with pytest.raises((JobRefused, HookFailed)) as raised:
        anyio.run(lambda: run)
    said = str(raised.value)
    assert "shots were paid for" not in said
    return said


def test_sbd_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sbd, "find_spec", lambda _name: None)
    assert "sbd-eigensolver is not installed here" in refusal_of(SbdSolver())


def test_ranks_that_its_sizes_do_not_divide() -> None:
    assert "2 are no multiple" in refusal_of(SbdSolver(ranks=2, adet_comm_size=3))


@pytest.mark.parametrize("solver", [DiceSolver(), SbdFilesSolver()], ids=["dice", "sbd-files"])
def test_a_program_that_is_not_here(solver: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert "there is no program" in refusal_of(solver)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("nowhere.at_all:function", "leads to no function"),
        ("json:dumps", "cannot be called as function([(alpha, beta)], one_body"),
        ("{}/own.py:solver", "'tolerated'"),
        ("{}/broken.py:solver", "leads to no function"),
    ],
)
def test_a_function_that_is_none_of_this_kind(function: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("def solver(batch, one_body, two_body, norb, nelec): ...")
    (tmp_path / "broken.py").write_text("import nothing_of_that_name")
    solver = CallableSolver(function=function.format(tmp_path), options={"tolerated": 1})
    found = refusal_of(solver)
    assert said in found and "give package.module:function" in found and "\n" not in found


@pytest.mark.parametrize(
    ("module", "solver"),
    [(pyscf, PyscfSolver()), (callable_solver, CallableSolver())],
    ids=["pyscf", "callable"],
)
def test_more_orbitals_than_it_takes(
    module: Any, solver: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_ORBITALS", 1)
    assert "at most 1 orbitals, not 2; take native" in refusal_of(solver)
