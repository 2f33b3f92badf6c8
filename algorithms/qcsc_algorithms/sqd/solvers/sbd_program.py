"""Diagonalises over MPI ranks by the package `sbd-eigensolver`. Run as

    mpiexec -n RANKS python -m mpi4py -m qcsc_algorithms.sqd.solvers.sbd_program PROBLEM FCIDUMP TARGET

PROBLEM, an npz file, holds `norb`, `alpha` and `beta`, packed strings in any order, and the
settings of `SbdSolver`. TARGET, another one, gets `energy` with the FCIDUMP's constant,
`occupancies` (2, norb), `alpha_weights` and `beta_weights` in the order of the strings given,
`residual` and `converged`; it appears by rename, whole or not at all. Started through mpi4py, an
error on one rank ends all.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from qcsc_algorithms.sqd.determinants.configurations import Floats, Strings, unique_rows
from qcsc_algorithms.sqd.solvers.sbd_codec import last_residual
from qcsc_hpc.mpi.world import world
from qcsc_loop.concurrency.whole_file import write_whole

MISSING = 5
AMPLITUDES, SAID = "amplitudes.bin", "davidson.log"  # .bin: raw, anything else would be text

Arrays = Mapping[str, npt.NDArray[Any]]


def lowest_state(problem: Arrays, integrals: Path, comm: Any) -> dict[str, Any]:
    """The lowest eigenstate in a product space of strings; called by all ranks of `comm`.

    Args:
        problem, integrals: the program's input.

    Returns:
        The program's output on rank 0, nothing on the others.

    Raises:
        ValueError: sbd gave no finite energy, or amplitudes of another space.
    """
    engine, norb = _engine(), int(problem["norb"])
    settings = _settings(engine, problem)
    # sbd finds strings by bisection, and starts at the first one
    orders = [unique_rows(problem[spin]) for spin in ("alpha", "beta")]
    words = [_words(engine, rows, norb, settings.bit_length) for rows, _, _ in orders]
    first = comm.rank == 0
    with _kept(Path(SAID), here=first):
        found = engine.tpb_diag(comm, settings, engine.LoadFCIDump(str(integrals)), *words, "", "")
    if not first:
        return {}
    if not np.isfinite(found["energy"]):
        raise ValueError(f"sbd gave the energy {found['energy']}")
    weights = _weights(Path(AMPLITUDES), len(words[0]), len(words[1]))
    # sbd's second run in a process says more digits than its first
    residual = float(f"{last_residual(Path(SAID).read_text(errors='replace')):.6g}")
    return {
        "energy": found["energy"],
        "occupancies": np.array(found["density"]).reshape(norb, 2).T,
        "alpha_weights": weights[0][orders[0][2]],
        "beta_weights": weights[1][orders[1][2]],
        "residual": residual,
        # it says six digits of what it compared
        "converged": residual <= float(problem["tolerance"]),
    }


def _engine() -> Any:
    """The compiled part of sbd; the program ends with code 5 if there is none."""
    # its wrapper for qiskit-addon-sqd takes 4 s and 300 MiB a rank to import, knows no more than
    # 63 orbitals, and decides by SLURM_NTASKS and the like whether there is an MPI
    sys.modules["sbd.sbd_solver"] = None  # type: ignore[assignment]
    try:
        return import_module("sbd").get_backend("cpu")
    except ModuleNotFoundError as error:
        print(
            f"{error}: this solver needs the package sbd-eigensolver, compiled against the MPI "
            "that mpi4py uses: pip install 'qcsc-loop[sbd]'",
            file=sys.stderr,
        )
        sys.exit(MISSING)


def _settings(engine: Any, problem: Arrays) -> Any:
    settings = engine.TPB_SBD()
    settings.method = int(problem["store_hamiltonian"])
    settings.eps = float(problem["tolerance"])
    settings.max_nb = int(problem["block"])
    settings.max_it = int(problem["iterations"])
    settings.max_time = np.inf  # the job's walltime is the limit
    alpha, beta, tasks = (int(size) for size in problem["comm_sizes"])
    settings.adet_comm_size, settings.bdet_comm_size = alpha, beta
    settings.task_comm_size = tasks
    settings.dump_matrix_form_wf = AMPLITUDES
    return settings


def _words(engine: Any, rows: Strings, norb: int, bit_length: int) -> list[list[int]]:
    texts = [format(int.from_bytes(row.tobytes(), "big"), f"0{norb}b") for row in rows]
    words: list[list[int]] = engine.from_strings(texts, bit_length, norb).tolist()
    return words


@contextmanager
def _kept(path: Path, *, here: bool) -> Iterator[None]:
    """Keeps what is written to stdout meanwhile, by any language, in a file; then lets it go on."""
    if not here:
        yield
        return
    sys.stdout.flush()
    stdout = os.dup(1)
    with path.open("wb", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        try:
            yield
        finally:
            os.dup2(stdout, 1)
            os.close(stdout)
            print(path.read_text(errors="replace"), end="", flush=True)


def _weights(path: Path, alpha: int, beta: int) -> tuple[Floats, Floats]:
    """The probability on each string, from the amplitudes (alpha, beta); their file is removed."""
    size = path.stat().st_size
    if size != alpha * beta * 8:
        raise ValueError(f"sbd wrote {size} bytes of amplitudes, not 8 x {alpha} x {beta}")
    amplitudes = np.memmap(path, np.float64, "r", shape=(alpha, beta))
    weights = (
        np.einsum("ab,ab->a", amplitudes, amplitudes),
        np.einsum("ab,ab->b", amplitudes, amplitudes),
    )
    path.unlink()
    return weights


def main(arguments: list[str]) -> None:
    """Runs one rank; the first one writes the result."""
    source, integrals, target = (Path(word) for word in arguments)
    comm = world()
    with np.load(source, allow_pickle=False) as problem:
        found = lowest_state(dict(problem), integrals, comm)
    if found:
        with write_whole(target) as file:
            np.savez(file, **found)


if __name__ == "__main__":
    main(sys.argv[1:])
