"""DICE through its files, by a stand-in that reads and writes what the real program does."""

from __future__ import annotations

import shlex
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest

from qcsc_algorithms.sqd.chemistry.hamiltonian import Hamiltonian
from qcsc_algorithms.sqd.determinants.configurations import (
    Strings,
    pack,
)
from qcsc_algorithms.sqd.determinants.subspace import Subspace
from qcsc_algorithms.sqd.optimizers import Random
from qcsc_algorithms.sqd.solvers.dice import (
    AMPLITUDES,
    DENSITY,
    DICE,
    OUTPUTS,
    DiceSolver,
    read_solution,
)
from qcsc_algorithms.sqd.solvers.dice_codec import (
    MAX_ORBITALS,
    WIDTH,
    amplitudes_size,
    read_amplitudes,
    read_density,
    read_strings,
    write_amplitudes,
    write_density,
    write_energy,
    write_strings,
)
from qcsc_algorithms.sqd.solvers.solver import Solution, Solver
from qcsc_algorithms.sqd.sqd import SQD
from qcsc_algorithms.sqd.testing.dice import ENDED_WELL, executable
from qcsc_hpc.machine import HPCMachine, LocalMachine, Machine
from qcsc_hpc.profiles import Command, ExecutionProfile, HPCProfile
from qcsc_loop.errors import JobFailed, JobRefused, ResultUnreadable
from qcsc_loop.steps.step import Step, stepping
from qcsc_loop.testing import kill_at
from sqd_problems import (
    MOLECULES,
    expected,
    hamiltonian,
    subspace,
)

TIGHT = DiceSolver(tolerance=1e-6)
DEADLINE_SECONDS = 30.0  # of one program, which takes a second
AGREE = 1e-8  # hartree
DIGITS = 1e-6  # of a file's occupancies, and of amplitudes at the solver's tolerance


def site(program: Path, ranks: int = 1, command: Command | None = None) -> HPCMachine:
    """A machine whose Dice is this program."""
    return HPCMachine(
        hpc_profile=HPCProfile(
            scheduler="local", executable_map={DICE.executable_key: str(program)}
        ),
        execution_profile=ExecutionProfile(mpiprocs=ranks, launcher="mpiexec"),
        command=command,
    )


def solved(name: str, folder: Path, machine: Machine, solver: Solver = TIGHT) -> Solution:
    folder.mkdir(exist_ok=True)
    with stepping(Step(make_folder=lambda: folder)):
        return anyio.run(partial(solver.solve, hamiltonian(name), subspace(name), machine))


def by_string(strings: Strings, weights: Any) -> dict[bytes, float]:
    return {row.tobytes(): float(w) for row, w in zip(strings, weights, strict=True)}


# a solution


@pytest.mark.parametrize(("name", "ranks"), [("closed", 2), ("cation", 1)])
def test_energy_density_and_weights_are_those_of_pyscf(
    name: str, ranks: int, tmp_path: Path
) -> None:
    found = solved(name, tmp_path / "run", site(executable(tmp_path), ranks))
    reference, space = expected(name), subspace(name)
    assert found.energy == pytest.approx(reference["energy"], abs=AGREE)
    np.testing.assert_allclose(found.occupancies, reference["occupancies"], atol=DIGITS)
    np.testing.assert_array_equal(np.diagonal(found.density, axis1=1, axis2=2), found.occupancies)
    for strings, weights, given, known in (
        (found.alpha, found.alpha_weights, space.alpha, reference["alpha_weights"]),
        (found.beta, found.beta_weights, space.beta, reference["beta_weights"]),
    ):
        assert np.all(np.diff(weights) <= 0)
        assert by_string(strings, weights) == pytest.approx(by_string(given, known), abs=DIGITS)
    assert found.spin_square == pytest.approx(float(reference["spin_square"]), abs=DIGITS)
    assert found.converged and 0 < found.residual <= 1e-6
    said = (tmp_path / "run/dice.0.job/output.log").read_text()
    told = f"it ended with exit code {ENDED_WELL}, and left its results"
    assert said.count(told) == ranks


def test_what_is_asked_of_the_program_is_in_its_files(tmp_path: Path) -> None:
    program = program_that(tmp_path, 'echo "$#" > told; exit 3')
    with pytest.raises(JobFailed, match="3"):
        solved("hydrogen", tmp_path / "run", site(program), DiceSolver(tolerance=1e-7))
    job = tmp_path / "run/dice.0.job"
    assert (job / "told").read_text() == "0\n"  # it would take a word for its settings
    assert (job / "input.dat").read_text().splitlines() == [
        "nroots 1",
        "orbitals fcidump.txt",
        "schedule",
        "0 2147483647",
        "end",
        "davidsonTol 1e-07",
        "dE 1e-10",
        "maxiter 1",
        "noio",
        "seed 1",
        "writeBestDeterminants 4",
        "nPTiter 0",
        "DoSpinRDM",
        "DoRDM",
        "DoSpinOneRDM",
        "DoOneRDM",
        "nocc 2",
        "0 1",
        "end",
    ]
    for name in ("AlphaDets.bin", "BetaDets.bin"):
        assert (job / name).read_bytes() == b"\0" * 15 + b"\1" + b"\0" * 15 + b"\2"
    assert (job / "fcidump.txt").read_text().startswith(" &FCI NORB=   2,NELEC= 2,MS2=0,")
    given, read = hamiltonian("hydrogen"), Hamiltonian.read_fcidump(job / "fcidump.txt")
    np.testing.assert_array_equal(read.one_body, given.one_body)
    np.testing.assert_array_equal(read.two_body, given.two_body)
    assert read.constant == 0 and set(read.orbital_symmetry) == {1}


def test_a_machine_s_command_stands_in_for_the_program(tmp_path: Path) -> None:
    own = Command(command_name="ours", executable_key=str(executable(tmp_path)))
    found = solved("hydrogen", tmp_path / "run", site(tmp_path / "nothing", command=own))
    assert found.energy == pytest.approx(-1.137306, abs=1e-6)


@pytest.mark.nightly
def test_a_run_that_is_killed_when_its_job_has_ended_goes_on_with_its_results(
    tmp_path: Path,
) -> None:
    real, starts = executable(tmp_path).rename(tmp_path / "real"), tmp_path / "starts"
    counted = f"echo >> {shlex.quote(str(starts))}"
    program = program_that(tmp_path, counted, f"exec {shlex.quote(str(real))}")
    sqd = SQD(
        system=MOLECULES["hydrogen"],
        solver=DiceSolver(),
        machine=site(program),
        optimizer=Random(),
        shots=50,
        walkers=1,
        max_strings=2,
    )
    killed = kill_at("1/job.finished/durable", sqd)
    assert killed.same_bits, killed
    assert len(starts.read_text().splitlines()) == 2  # the other is of a run that nobody kills


# what the program may do


def program_that(folder: Path, *lines: str) -> Path:
    path = folder / "Dice"
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)
    return path


HYDROGEN = -1.137306  # hartree


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """What Dice leaves for hydrogen, by hand: c(1) |11> + c(2) |22>."""
    folder, h, space = tmp_path / "left", hamiltonian("hydrogen"), subspace("hydrogen")
    folder.mkdir()
    weights = expected("hydrogen")["alpha_weights"]
    write_energy(folder / "shci.e", expected("hydrogen")["energy"] - h.constant)
    write_density(folder / "spin1RDM.0.0.txt", np.array([np.diag(weights)] * 2))
    signs = np.diag([1.0, -1.0])
    state = signs * np.sqrt(weights)
    write_amplitudes(folder / "dets.bin", state, (space.alpha, space.beta), h.norb)
    return folder


def read(folder: Path) -> Solution:
    return read_solution(hamiltonian("hydrogen"), subspace("hydrogen"), 1e-5, folder)


def test_files_are_read_as_they_are_meant(outputs: Path) -> None:
    found = read(outputs)
    assert found.energy == pytest.approx(HYDROGEN, abs=1e-6)
    assert found.converged and found.residual < 1e-7
    assert found.spin_square == pytest.approx(0, abs=1e-12)
    data = (outputs / "dets.bin").read_bytes()
    assert data[:8] == b"\4\0\0\0\2\0\0\0"
    assert (data[16:18], data[26:28]) == (b"20", b"02")
    assert {data[36:38], data[46:48]} == {b"ab", b"ba"}
    assert (outputs / "spin1RDM.0.0.txt").read_text().splitlines() == [
        "4",
        "  0     0   0.98755973",
        "  1     1   0.98755973",
        "  2     2   0.012440266",
        "  3     3   0.012440266",
    ]


def test_amplitudes_of_another_sign_are_no_eigenstate(outputs: Path) -> None:
    h, space = hamiltonian("hydrogen"), subspace("hydrogen")
    state = np.diag(np.sqrt(expected("hydrogen")["alpha_weights"]))
    write_amplitudes(outputs / "dets.bin", state, (space.alpha, space.beta), h.norb)
    found = read(outputs)
    assert found.residual > 0.1
    assert not found.converged


@pytest.mark.parametrize("name", OUTPUTS)
def test_a_missing_output_is_no_result(name: str, outputs: Path) -> None:
    (outputs / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        read(outputs)


DIAGONAL = b"4\n0 0 %s\n1 1 0.98\n2 2 0.02\n3 3 0.02\n"
HEAD = b"\4\0\0\0\2\0\0\0"
DAMAGED: dict[str, tuple[str, bytes, str]] = {
    "half an energy": ("shci.e", b"\0" * 4, "4 bytes are not one energy, which has 8"),
    "energies of two states": ("shci.e", b"\0" * 16, "16 bytes are not one energy"),
    "no number": ("shci.e", np.array(np.nan).tobytes(), "nan is no finite energy"),
    "half a line": (DENSITY, b"4\n  0   0   0.98", "is cut off: its last line has no end"),
    "of other orbitals": (DENSITY, b"24\n", "is of '24' spin orbitals, not of 4"),
    "not all lines": (DENSITY, b"4\n0 0 1\n", "beta occupancies sum to 0.000000, not to 1"),
    "no element": (DENSITY, b"4\n0 x 1\n", "the line '0 x 1' is no two spin orbitals and a num"),
    "no such orbital": (DENSITY, b"4\n4 4 1\n", "the line '4 4 1' is no two spin orbitals"),
    "above one": (DENSITY, DIAGONAL % b"1.5", "an occupancy is from 0 to 1, not 1.5"),
    "of another state": (DENSITY, b"4\n0 0 1\n1 1 1\n", "and dets.bin are not of the same state"),
    "half a head": (AMPLITUDES, HEAD[:5], "is cut off: 5 bytes are less than its head of 8"),
    "of another space": (
        AMPLITUDES,
        b"\3" + HEAD[1:] + b"\0" * 30,
        "is of 3 determinants of 2 orbitals, not of 4 of 2",
    ),
    "half of it": (AMPLITUDES, HEAD + b"\0" * 20, "has 28 bytes, and 4 determinants of 2 .* 48"),
    "no letter": (AMPLITUDES, HEAD + (b"\0" * 8 + b"2x") * 4, "the letter 'x', not 0, a, b or 2"),
    "strange strings": (AMPLITUDES, HEAD + (b"\0" * 8 + b"22") * 4, "not in the subspace"),
    "one four times": (AMPLITUDES, HEAD + (b"\0" * 8 + b"20") * 4, "lacks 3 determinants, and has"),
    "nothing": (
        AMPLITUDES,
        HEAD + b"".join(b"\0" * 8 + letters for letters in (b"20", b"02", b"ab", b"ba")),
        "its amplitudes have the norm 0",
    ),
}


@pytest.mark.parametrize("which", DAMAGED)
def test_a_damaged_output_is_no_result(which: str, outputs: Path) -> None:
    name, content, why = DAMAGED[which]
    (outputs / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"^{name}.*{why}"):
        read(outputs)


@pytest.mark.parametrize(
    ("after", "error", "why"),
    [
        ("exit 1", None, ""),
        ("exit 0", None, ""),
        ("rm dets.bin; exit 5", JobFailed, "exit code 5"),
        ("echo > dets.bin; exit 5", JobFailed, "exit code 5"),
        ("rm spin1RDM.0.0.txt; exit 0", JobFailed, r"it left no spin1RDM\.0\.0\.txt"),
        ("touch -d 2020-01-01 shci.e", JobFailed, "shci.e is older than the job's start"),
        ("echo 4 > spin1RDM.0.0.txt; exit 1", ResultUnreadable, "occupancies sum to"),
    ],
    ids=["well, says no", "well, says so", "missing", "cut off", "says well", "stale", "damaged"],
)
def test_its_files_say_how_it_ended(
    after: str, error: type[Exception] | None, why: str, outputs: Path, tmp_path: Path
) -> None:
    program = program_that(tmp_path, f"cp {shlex.quote(str(outputs))}/* .", after)
    if error is None:
        found = solved("hydrogen", tmp_path / "run", site(program))
        assert found.energy == pytest.approx(HYDROGEN, abs=1e-6)
        return
    with pytest.raises(error, match=why):
        solved("hydrogen", tmp_path / "run", site(program))


def test_the_stand_in_ends_as_the_real_one_does(tmp_path: Path) -> None:
    """Well, with a code of its own; with no result, it says why, and ends with 0."""
    done = subprocess.run(
        [executable(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    assert done.returncode == 0 and "input.dat" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["Dice"]


# what is refused


def test_a_program_that_is_not_there_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    why = "executable_map: there is no program dice_solver here; give its path under the key dice"
    with pytest.raises(JobRefused, match=why):
        solved("hydrogen", tmp_path / "run", LocalMachine())
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize(
    ("norb", "strings", "why"),
    [
        (129, 2, "its files hold at most 128 orbitals, not 129; take native"),
        (2, 46341, "its files hold at most 2147483647 determinants, not 2147488281; take native"),
    ],
    ids=["orbitals", "determinants"],
)
def test_what_does_not_fit_into_its_files_is_refused(
    norb: int, strings: int, why: str, tmp_path: Path
) -> None:
    large = hamiltonian("hydrogen").model_copy(update={"norb": norb})
    rows = np.zeros((strings, -(-norb // 8)), np.uint8)
    space = Subspace(alpha=rows, beta=rows)
    machine = site(executable(tmp_path))
    with pytest.raises(JobRefused, match=why):
        anyio.run(DiceSolver().solve, large, space, machine)


def test_a_solver_is_chosen_by_its_type() -> None:
    assert Solver.model_validate({"type": "dice", "ranks": 4}) == DiceSolver(ranks=4)


# the files of many orbitals


@pytest.mark.parametrize("norb", [1, 8, 63, 64, 65, 127, MAX_ORBITALS])
def test_strings_and_amplitudes_of_any_width_come_back(norb: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(norb)
    alpha, beta = (pack(np.unique(rng.random((count, norb)) < 0.5, axis=0)) for count in (5, 3))
    for number, strings in enumerate((alpha, beta)):
        path = tmp_path / f"{number}.bin"
        write_strings(path, strings)
        assert path.stat().st_size == WIDTH * len(strings)
        whole = [int.from_bytes(row.tobytes(), "big") for row in strings]
        data = path.read_bytes()
        assert [int.from_bytes(data[i : i + 16], "big") for i in range(0, len(data), 16)] == whole
        np.testing.assert_array_equal(read_strings(path, norb), strings)
    state = rng.standard_normal((len(beta), len(alpha)))
    write_amplitudes(tmp_path / "dets.bin", state, (alpha, beta), norb)
    assert (tmp_path / "dets.bin").stat().st_size == amplitudes_size(state.size, norb)
    found = read_amplitudes(tmp_path / "dets.bin", (alpha, beta), norb)
    np.testing.assert_allclose(found, state / np.linalg.norm(state), rtol=1e-15)


def test_a_density_comes_back_with_eight_digits(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    half = np.linalg.qr(rng.standard_normal((2, 5, 5)))[0][:, :, :2]
    density = half @ half.transpose(0, 2, 1)  # of two electrons of each spin
    density[0, 1, 3] = density[0, 3, 1] = 1e-7  # left out
    write_density(tmp_path / "d.txt", density)
    found = read_density(tmp_path / "d.txt", 5, (2, 2))
    assert found[0, 1, 3] == 0
    np.testing.assert_allclose(found, density, atol=2e-7)
