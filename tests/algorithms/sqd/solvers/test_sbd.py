"""sbd over real ranks, by its package and through its files, against pyscf on the same space."""

from __future__ import annotations

import json
import math
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from pydantic import ValidationError

from qcsc_algorithms.sqd.chemistry.hamiltonian import Hamiltonian
from qcsc_algorithms.sqd.determinants.configurations import (
    Strings,
    hartree_fock,
    pack,
)
from qcsc_algorithms.sqd.determinants.subspace import Subspace
from qcsc_algorithms.sqd.solvers.sbd import SbdSolver
from qcsc_algorithms.sqd.solvers.sbd_codec import write_carryover, write_determinants, write_numbers
from qcsc_algorithms.sqd.solvers.sbd_files import SbdFilesSolver, read_solution
from qcsc_algorithms.sqd.solvers.solver import Solution, Solver
from qcsc_algorithms.sqd.testing.sbd import executable
from qcsc_hpc.machine import HPCMachine, LocalMachine, Machine
from qcsc_hpc.mpi.world import RANKS, WRONG_SIZE
from qcsc_hpc.profiles import ExecutionProfile, HPCProfile
from qcsc_loop.errors import JobFailed, JobRefused, ResultUnreadable
from qcsc_loop.steps.step import Step, stepping
from sqd_problems import expected, hamiltonian, subspace

PROGRAM = "qcsc_algorithms.sqd.solvers.sbd_program"
DEADLINE_SECONDS = 30.0  # of one program, which takes a second
AGREE = 1e-8  # hartree

one_and_two = pytest.mark.parametrize("ranks", [1, 2])
shells = pytest.mark.parametrize("name", ["closed", "cation"])


@pytest.fixture
def sbd() -> None:
    if find_spec("sbd") is None:
        pytest.skip("the package sbd-eigensolver is missing: make sbd")


needs_sbd = pytest.mark.usefixtures("sbd")


def solved(solver: Solver, name: str, folder: Path, machine: Machine | None = None) -> Solution:
    folder.mkdir(exist_ok=True)
    return solved_in(solver, hamiltonian(name), subspace(name), folder, machine)


def solved_in(
    solver: Solver,
    problem: Hamiltonian,
    space: Subspace,
    folder: Path,
    machine: Machine | None = None,
) -> Solution:
    with stepping(Step(make_folder=lambda: folder)):
        where = machine or LocalMachine(ranks=1)
        return anyio.run(partial(solver.solve, problem, space, where))


def by_string(strings: Strings, weights: Any) -> dict[bytes, float]:
    return {row.tobytes(): float(w) for row, w in zip(strings, weights, strict=True)}


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, int], Solution]:
    """The solution by sbd on so many ranks, one thread each; computed once."""

    @cache
    def run(name: str, ranks: int) -> Solution:
        return solved(SbdSolver(ranks=ranks), name, tmp_path_factory.mktemp("once"))

    return run


# the package


@needs_sbd
@one_and_two
@shells
def test_energies_are_those_of_pyscf(
    name: str, ranks: int, once: Callable[[str, int], Solution]
) -> None:
    found, reference = once(name, ranks), expected(name)
    space = subspace(name)
    assert found.energy == pytest.approx(reference["energy"], abs=AGREE)
    assert found.converged and found.residual <= SbdSolver().tolerance
    np.testing.assert_allclose(found.occupancies, reference["occupancies"], atol=1e-6)
    for strings, weights, given, known in (
        (found.alpha, found.alpha_weights, space.alpha, reference["alpha_weights"]),
        (found.beta, found.beta_weights, space.beta, reference["beta_weights"]),
    ):
        assert np.all(np.diff(weights) <= 0)
        assert by_string(strings, weights) == pytest.approx(by_string(given, known), abs=1e-6)


@needs_sbd
@one_and_two
def test_on_one_thread_a_run_gives_the_same_bits_again(
    ranks: int, once: Callable[[str, int], Solution], tmp_path: Path
) -> None:
    first, second = once("closed", ranks), solved(SbdSolver(ranks=ranks), "closed", tmp_path)
    assert first.energy.hex() == second.energy.hex()
    for name in ("occupancies", "alpha", "beta", "alpha_weights", "beta_weights"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


@needs_sbd
@pytest.mark.parametrize(
    "settings",
    [
        {"store_hamiltonian": True, "adet_comm_size": 2},
        {"bdet_comm_size": 2},
        {"task_comm_size": 2},
    ],
    ids=["adet", "bdet", "task"],
)
def test_every_way_to_divide_the_work_gives_the_same_energy(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    found = solved(SbdSolver(ranks=2, **settings), "cation", tmp_path)
    assert found.converged
    assert found.energy == pytest.approx(expected("cation")["energy"], abs=AGREE)


@needs_sbd
def test_what_sbd_says_of_its_residual_is_so(tmp_path: Path) -> None:
    solver = SbdSolver(block=3, iterations=1)
    found = solved(solver, "closed", tmp_path)
    assert not found.converged
    gap = found.energy - expected("closed")["energy"]
    # the eigenvalue nearest to a Rayleigh quotient is no farther from it than its residual
    assert 0 < gap < found.residual
    assert "Davidson iteration 0.2 (tol=" in (tmp_path / "sqd-sbd.0.job/output.log").read_text()


@needs_sbd
def test_more_orbitals_than_bits_in_a_word_are_no_matter(tmp_path: Path) -> None:
    """Hydrogen's two orbitals as the first and the last of 70."""
    small, norb = hamiltonian("hydrogen"), 70
    ends = [0, norb - 1]
    one_body = np.diag(np.linspace(5, 6, norb))
    one_body[np.ix_(ends, ends)] = small.one_body
    pairs = {(p, q): ends[p] * (ends[p] + 1) // 2 + ends[q] for p in (0, 1) for q in range(p + 1)}
    two_body = np.zeros(norb * (norb + 1) // 2 * (norb * (norb + 1) // 2 + 1) // 2)
    for i, bra in enumerate(pairs.values()):
        for j, ket in enumerate(list(pairs.values())[: i + 1]):
            two_body[bra * (bra + 1) // 2 + ket] = small.two_body[i * (i + 1) // 2 + j]
    wide = small.model_copy(update={"norb": norb, "one_body": one_body, "two_body": two_body})
    strings = pack(np.eye(norb, dtype=bool)[[0, norb - 1, 30]])
    space = Subspace(alpha=strings, beta=strings)
    found = solved_in(SbdSolver(), wide, space, tmp_path)
    assert found.energy == pytest.approx(expected("hydrogen")["energy"], abs=AGREE)
    np.testing.assert_array_equal(found.alpha[:2], strings[:2])
    assert found.alpha_weights[2] == pytest.approx(0, abs=1e-12)


@needs_sbd
def test_a_single_determinant_is_solved_by_more_ranks_than_it_needs(tmp_path: Path) -> None:
    h = hamiltonian("hydrogen")
    only = hartree_fock(h.norb, 1)
    found = solved_in(SbdSolver(ranks=2), h, Subspace(alpha=only, beta=only), tmp_path)
    assert found.energy == pytest.approx(-1.116999, abs=1e-6)
    assert found.converged and found.residual == 0


@needs_sbd
def test_a_scheduler_s_number_of_tasks_is_not_taken_for_an_mpi(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE"):  # of the batch job the driver sits in
        monkeypatch.setenv(name, "64")
    found = solved(SbdSolver(ranks=2), "hydrogen", tmp_path)
    assert found.energy == pytest.approx(-1.137306, abs=1e-6)


def started(words: list[str], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )


def test_ranks_that_do_not_know_each_other_stop(tmp_path: Path) -> None:
    words = ["-m", "mpi4py", "-m", PROGRAM, "a.npz", "b.fcidump", "c.npz"]
    done = started(words, tmp_path, **{RANKS: "2"})
    assert done.returncode == WRONG_SIZE
    assert "COMM_WORLD has 1 ranks, 2 were asked for" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_programs_import_no_prefect(tmp_path: Path) -> None:
    heavy = ("prefect", "qiskit", "jax", "qiskit_addon_sqd", "pyscf")
    modules = f"{PROGRAM}, qcsc_algorithms.sqd.testing.sbd"
    code = f"import sys, {modules}; print([m for m in {heavy} if m in sys.modules])"
    assert started(["-c", code], tmp_path).stdout.strip() == "[]"


def test_without_the_package_the_program_says_what_to_install(tmp_path: Path) -> None:
    code = f"""if True:
        import sys
        sys.modules["sbd"] = None
        from {PROGRAM} import _engine
        _engine()
        """
    done = started(["-c", code], tmp_path)
    assert done.returncode == 5
    assert "pip install 'qcsc-loop[sbd]'" in done.stderr


# settings


@pytest.mark.parametrize("kind", [SbdSolver, SbdFilesSolver])
def test_ranks_that_the_sizes_do_not_divide_are_refused(
    kind: type[SbdSolver | SbdFilesSolver], tmp_path: Path
) -> None:
    solver = kind(ranks=3, adet_comm_size=2)
    why = "ranks: 3 are no multiple of adet_comm_size x bdet_comm_size x task_comm_size, which is 2"
    with pytest.raises(JobRefused, match=why):
        solved(solver, "hydrogen", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_more_parts_of_the_task_than_there_are_tasks_are_refused() -> None:
    with pytest.raises(ValidationError, match="1 x 1 parts of the strings make 3 tasks"):
        SbdSolver(task_comm_size=4)


@pytest.mark.parametrize("kind", [SbdSolver, SbdFilesSolver])
def test_a_solver_is_chosen_by_its_type(kind: type[SbdSolver | SbdFilesSolver]) -> None:
    name = kind.model_fields["type"].default
    found = Solver.model_validate({"type": name, "block": 30})
    assert found == kind(block=30)


# the files


def site(folder: Path, program: Path | None = None, ranks: int = 1) -> HPCMachine:
    """A machine whose own sbd is the stand-in, or the program given."""
    return HPCMachine(
        hpc_profile=HPCProfile(
            scheduler="local", executable_map={"sbd": str(program or executable(folder))}
        ),
        execution_profile=ExecutionProfile(mpiprocs=ranks, launcher="mpiexec"),
    )


def test_through_files_the_energy_is_that_of_pyscf(tmp_path: Path) -> None:
    found = solved(SbdFilesSolver(), "closed", tmp_path / "run", site(tmp_path, ranks=2))
    reference, space = expected("closed"), subspace("closed")
    assert found.energy == pytest.approx(reference["energy"], abs=AGREE)
    np.testing.assert_allclose(found.occupancies, reference["occupancies"], atol=1e-6)
    known = by_string(space.alpha, reference["alpha_weights"])
    weights = [known[row.tobytes()] for row in found.alpha]
    assert len(weights) == len(known) and np.all(np.diff(weights) < 1e-9)
    np.testing.assert_array_equal(found.beta, found.alpha)
    assert found.converged and found.residual <= SbdFilesSolver().tolerance
    assert math.isnan(found.spin_square) and np.isnan(found.alpha_weights).all()


def test_open_shells_have_a_file_for_beta_if_the_program_reads_one(tmp_path: Path) -> None:
    solver = SbdFilesSolver(separate_beta=True)
    found = solved(solver, "cation", tmp_path / "run", site(tmp_path))
    assert found.energy == pytest.approx(expected("cation")["energy"], abs=AGREE)
    for strings, given in zip(
        (found.alpha, found.beta), (subspace("cation").alpha, subspace("cation").beta), strict=True
    ):
        assert {row.tobytes() for row in strings} == {row.tobytes() for row in given}


def test_open_shells_are_refused_if_it_does_not(tmp_path: Path) -> None:
    with pytest.raises(
        JobRefused, match="separate_beta: the program's file of determinants is for"
    ):
        solved(SbdFilesSolver(), "cation", tmp_path / "run", site(tmp_path))
    assert list((tmp_path / "run").iterdir()) == []


def test_a_program_that_is_not_there_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(JobRefused, match="executable_map: there is no program sbd here"):
        solved(SbdFilesSolver(), "hydrogen", tmp_path / "run")


def test_the_program_finds_its_files_in_its_folder_and_by_name(tmp_path: Path) -> None:
    """The first published builds read fixed names; later ones are told."""
    program = program_that(tmp_path, 'printf "%s\\n" "$@" > told; exit 3')
    solver = SbdFilesSolver(block=7, iterations=4, tolerance=1e-5)
    with pytest.raises(JobFailed):
        solved(solver, "hydrogen", tmp_path / "run", site(tmp_path, program))
    job = tmp_path / "run/sbd.0.job"
    words = (job / "told").read_text().split()
    told = dict(zip(words[::2], words[1::2], strict=True))
    for option, name in {"--fcidump": "fcidump.txt", "--adetfile": "AlphaDets.bin"}.items():
        assert Path(told.pop(option)).read_bytes() == (job / name).read_bytes()
    assert told == {
        "--task_comm_size": "1",
        "--adet_comm_size": "1",
        "--bdet_comm_size": "1",
        "--method": "0",
        "--block": "7",
        "--iteration": "4",
        "--tolerance": "1e-05",
        "--carryover_type": "1",
        "--carryover_ratio": "1.0",
        "--rdm": "0",
    }
    assert (job / "AlphaDets.bin").read_bytes() == b"\1\2"


OUTPUTS = ["davidson_energy.txt", "occ_a.txt", "occ_b.txt", "carryover.bin"]


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """What sbd leaves for hydrogen, by hand."""
    return left_by_sbd("hydrogen", tmp_path / "left")


def left_by_sbd(name: str, folder: Path) -> Path:
    folder.mkdir()
    found, norb = expected(name), hamiltonian(name).norb
    write_numbers(folder / "davidson_energy.txt", np.array([found["energy"]]))
    for spin, occupancies in zip("ab", found["occupancies"], strict=True):
        write_numbers(folder / f"occ_{spin}.txt", occupancies)
    write_carryover(folder / "carryover.bin", subspace(name).alpha, norb)
    return folder


def program_that(folder: Path, *lines: str) -> Path:
    path = folder / "sbd"
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)
    return path


def read(folder: Path) -> Solution:
    return read_solution(hamiltonian("hydrogen"), subspace("hydrogen"), 1e-6, folder)


def test_without_a_log_the_residual_is_unknown_and_nothing_is_called_converged(
    outputs: Path,
) -> None:
    found = read(outputs)
    assert found.energy == pytest.approx(-1.137306, abs=1e-6)
    assert math.isnan(found.residual)
    assert not found.converged


@pytest.mark.parametrize(("residual", "converged"), [("9.9e-07", True), ("1.1e-06", False)])
def test_its_log_says_whether_it_converged(residual: str, converged: bool, outputs: Path) -> None:
    (outputs / "output.log").write_text(f" Davidson iteration 0.1 (tol={residual}): -1.1\n")
    assert read(outputs).converged is converged
    assert read(outputs).residual == float(residual)


@pytest.mark.parametrize("name", OUTPUTS)
def test_a_missing_output_is_no_result(name: str, outputs: Path) -> None:
    (outputs / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        read(outputs)


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("davidson_energy.txt", b"-1.13", "is cut off"),
        ("davidson_energy.txt", b"-1.1\n", "more than the -1.11699899. of the Hartree-Fock"),
        ("occ_a.txt", b"0.5\n", "has 1 lines, not 2"),
        ("occ_b.txt", b"1\n1\n", "sum to 2.000000, not to 1"),
        ("carryover.bin", b"", "holds no string"),
        ("carryover.bin", b"\x80", "does not hold the 2 strings of the subspace"),
        ("carryover.bin", b"\x80\x80", "does not hold the 2 strings of the subspace"),
        ("carryover.bin", b"\x80\xc0", "does not hold the 2 strings of the subspace"),
        ("carryover.bin", b"\x80\x20", "string 1 has a bit set beyond its 2 orbitals"),
    ],
)
def test_a_damaged_output_is_no_result(name: str, content: bytes, why: str, outputs: Path) -> None:
    (outputs / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"^{name}.*{why}"):
        read(outputs)


@pytest.mark.parametrize(
    ("after", "error", "why"),
    [
        ("rm carryover.bin", JobFailed, "it left no carryover.bin"),
        ("touch -d 2020-01-01 occ_a.txt", JobFailed, "occ_a.txt is older than the job's start"),
        (
            "echo nan > davidson_energy.txt",
            ResultUnreadable,
            "davidson_energy.txt: 'nan' is no finite number",
        ),
    ],
    ids=["missing", "stale", "damaged"],
)
def test_bad_outputs_are_no_result(
    after: str, error: type[Exception], why: str, outputs: Path, tmp_path: Path
) -> None:
    program = program_that(tmp_path, f"cp {shlex.quote(str(outputs))}/* .", after)
    with pytest.raises(error, match=why):
        solved(SbdFilesSolver(), "hydrogen", tmp_path / "run", site(tmp_path, program))


def test_an_older_program_that_takes_no_beta_file_is_found_out(tmp_path: Path) -> None:
    """It ignores the option, takes the alpha strings for both spins, and ends well."""
    left = left_by_sbd("cation", tmp_path / "left")
    program = program_that(tmp_path, f"cp {shlex.quote(str(left))}/* .")
    solver = SbdFilesSolver(separate_beta=True)
    with pytest.raises(JobFailed, match=r"it left no carryover_b\.bin"):
        solved(solver, "cation", tmp_path / "run", site(tmp_path, program))


@needs_sbd
def test_sbd_itself_reads_the_determinants_as_they_are_meant(tmp_path: Path) -> None:
    widths = [5, 8, 12, 16, 36, 63, 64, 65, 72, 130]
    meant = {}
    for norb in widths:
        bits = np.unique(np.random.default_rng(norb).random((9, norb)) < 0.5, axis=0)
        write_determinants(tmp_path / f"{norb}.bin", pack(bits), norb)
        meant[str(norb)] = sorted("".join("01"[int(b)] for b in row[::-1]) for row in bits)
    code = f"""if True:
        import json, sys
        sys.modules["sbd.sbd_solver"] = None
        from sbd import get_backend
        engine, found = get_backend("cpu"), {{}}
        for norb in {widths}:
            word = -(-norb // 3)  # a process of sbd's knows one number of words
            dets = engine.LoadAlphaDets(f"{{norb}}.bin", word, norb)
            found[norb] = [engine.makestring(det, word, norb) for det in dets]
        json.dump(found, open("found.json", "w"))
        """
    done = started(["-c", code], tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "found.json").read_text()) == meant
