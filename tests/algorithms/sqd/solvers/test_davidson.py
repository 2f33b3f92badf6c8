"""Davidson's method on matrices that numpy diagonalises, too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qcsc_algorithms.sqd.solvers.crew import Alone
from qcsc_algorithms.sqd.solvers.davidson import Lowest, diagonalise, find_lowest

SHAPE = 12, 25
SIZE = 300


def matrix(seed: int, coupling: float) -> Any:
    rng = np.random.default_rng(seed)
    off = rng.normal(size=(SIZE, SIZE)) * coupling
    return np.diag(np.linspace(-3, 9, SIZE)) + off + off.T


def found(of: Any, roots: int, starts: int, cycles: int = 200) -> Lowest:
    def multiply(vector: Any, image: Any) -> None:
        image[:] = (of @ vector.ravel()).reshape(SHAPE)

    rng = np.random.default_rng(0)
    return find_lowest(
        multiply,
        np.diagonal(of).reshape(SHAPE),
        [rng.normal(size=SHAPE) for _ in range(starts)],
        roots=roots,
        tolerance=1e-6,
        max_cycles=cycles,
        crew=Alone(),
    )


@pytest.mark.parametrize("roots", [1, 3, 20])
@pytest.mark.parametrize("coupling", [0.0, 0.05])
def test_it_finds_the_lowest(roots: int, coupling: float) -> None:
    of = matrix(roots, coupling)
    lowest = found(of, roots, roots + 3)
    assert lowest.converged
    np.testing.assert_allclose(lowest.values, np.linalg.eigvalsh(of)[:roots], atol=1e-9)
    vectors = lowest.vectors.reshape(roots, SIZE)
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(roots), atol=1e-9)
    residuals = of @ vectors.T - vectors.T * lowest.values
    assert np.linalg.norm(residuals, axis=0).max() < 1e-5


def test_equal_eigenvalues_have_a_vector_each() -> None:
    of = np.diag(np.repeat([1.0, 2.0, 3.0], 100))
    lowest = found(of, 4, 7)
    np.testing.assert_allclose(lowest.values, 1, atol=1e-9)


def test_without_enough_cycles_it_says_so() -> None:
    lowest = found(matrix(1, 0.3), 2, 5, cycles=2)
    assert not lowest.converged
    assert lowest.residuals.max() > 1e-6


def test_an_exhausted_space_is_no_loop() -> None:
    """Every vector is an eigenvector: there is nothing to add."""
    of = np.zeros((SIZE, SIZE))
    lowest = found(of, 1, 1)
    assert lowest.values[0] == 0
    assert lowest.converged


@pytest.mark.parametrize("size", [1, 2, 9, 40])
def test_a_small_matrix_is_diagonalised_whole(size: int) -> None:
    rng = np.random.default_rng(size)
    of = rng.normal(size=(size, size))
    of += of.T
    values, vectors = diagonalise(of.copy())
    np.testing.assert_allclose(values, np.linalg.eigvalsh(of), atol=1e-12)
    np.testing.assert_allclose(vectors @ of @ vectors.T, np.diag(values), atol=1e-12)


WHO_COMPILES = """
import sys, time
from pathlib import Path
from qcsc_algorithms.sqd.solvers.compiling import compile_in_turn
def warm_up():
    Path(sys.argv[1], str(time.monotonic_ns())).touch()
    time.sleep(0.2)
    print("done", time.monotonic_ns(), flush=True)
print("asks", time.monotonic_ns(), flush=True)
compile_in_turn(warm_up)
"""


def test_one_process_compiles_while_others_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is not the first begins when the first has done."""
    (tmp_path / "calls").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    command = [sys.executable, "-c", WHO_COMPILES, str(tmp_path / "calls")]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    done = [
        int(line.split()[1])
        for process in started
        for line in process.communicate(timeout=120)[0].splitlines()
        if line.startswith("done")
    ]
    calls = sorted(int(path.name) for path in (tmp_path / "calls").iterdir())
    assert len(calls) == len(done) == 3
    assert min(done) <= calls[1]
