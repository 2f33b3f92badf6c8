"""Counting bitstrings: against other counts of the same shots, alone and over real ranks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from qiskit.primitives import BitArray

from qcsc_hpc.mpi.bitcount import Rows, count, merge, share, width
from qcsc_hpc.mpi.world import RANKS, WRONG_SIZE

MPIEXEC = Path(sys.prefix) / "bin" / "mpiexec"
PROGRAM = "qcsc_hpc.mpi.bitcount"
WIDTHS = [1, 2, 7, 8, 9, 10, 16, 17, 20, 21, 24, 31, 63, 64, 65, 100, 156, 1000]
SHOTS = [0, 1, 2, 100_003]
DEADLINE_SECONDS = 15.0  # of one program, which takes half a second


def random_shots(shots: int, num_bits: int, *, distinct: int = 50) -> Rows:
    """Packed shots, of which many are equal and some are all zeros or all ones."""
    rng = np.random.default_rng([shots, num_bits])
    pool = rng.integers(0, 256, (distinct, width(num_bits)), np.uint8)
    pool[0], pool[1] = 0, 255
    if num_bits % 8:
        pool[:, 0] &= (1 << num_bits % 8) - 1
    return pool[rng.integers(0, distinct, shots)]


def by_rows(rows: Rows, counts: Sequence[int]) -> dict[bytes, int]:
    return {row.tobytes(): int(n) for row, n in zip(rows, counts, strict=True)}


def counted(shots: Rows) -> dict[bytes, int]:
    return dict(Counter(row.tobytes() for row in shots))


# one rank's part


@pytest.mark.parametrize("shots", SHOTS)
@pytest.mark.parametrize("num_bits", WIDTHS)
def test_counts_are_those_of_a_counter(num_bits: int, shots: int) -> None:
    packed = random_shots(shots, num_bits)
    rows, counts = count(packed, num_bits)
    assert by_rows(rows, counts.tolist()) == counted(packed)


@pytest.mark.parametrize("shots", SHOTS)
@pytest.mark.parametrize("num_bits", WIDTHS)
def test_counts_and_their_order_are_those_of_numpy(num_bits: int, shots: int) -> None:
    packed = random_shots(shots, num_bits)
    rows, counts = count(packed, num_bits)
    expected_rows, expected_counts = np.unique(packed, axis=0, return_counts=True)
    np.testing.assert_array_equal(rows, expected_rows)
    np.testing.assert_array_equal(counts, expected_counts)


@pytest.mark.parametrize("num_bits", WIDTHS)
def test_counts_are_those_of_qiskit(num_bits: int) -> None:
    packed = random_shots(1003, num_bits)
    rows, counts = count(packed, num_bits)
    texts = [format(int.from_bytes(row.tobytes(), "big"), f"0{num_bits}b") for row in rows]
    expected = BitArray(packed, num_bits).get_counts()
    assert dict(zip(texts, counts.tolist(), strict=True)) == expected


@pytest.mark.parametrize("num_bits", WIDTHS)
def test_counts_are_of_the_same_type_for_every_width(num_bits: int) -> None:
    rows, counts = count(random_shots(10, num_bits), num_bits)
    assert (rows.dtype, counts.dtype) == (np.dtype(np.uint8), np.dtype(np.int64))
    assert rows.shape == (len(counts), width(num_bits))


@pytest.mark.parametrize("num_bits", [9, 17, 24, 100])
def test_shots_that_are_not_contiguous_are_counted_too(num_bits: int) -> None:
    packed = random_shots(2001, num_bits)
    rows, counts = count(packed[::2], num_bits)
    assert by_rows(rows, counts.tolist()) == counted(packed[::2])


@pytest.mark.parametrize("num_bits", [n for n in WIDTHS if n % 8])
def test_a_bit_above_the_width_is_refused(num_bits: int) -> None:
    packed = random_shots(100, num_bits)
    packed[57, 0] |= 1 << num_bits % 8
    with pytest.raises(ValueError, match=f"a bit set above the {num_bits} declared"):
        count(packed, num_bits)


@pytest.mark.parametrize(
    "packed",
    [
        np.zeros((5, 1), np.uint8),
        np.zeros((5, 3), np.uint8),
        np.zeros(5, np.uint8),
        np.zeros((5, 2), np.int64),
        np.zeros((5, 10), bool),
    ],
    ids=lambda packed: f"{packed.dtype} {packed.shape}",
)
def test_shots_of_another_shape_or_type_are_refused(packed: Rows) -> None:
    with pytest.raises(ValueError, match=r"shots of 10 bits must be uint8 of shape \(shots, 2\)"):
        count(packed, 10)


@pytest.mark.parametrize("num_bits", WIDTHS)
def test_merging_parts_gives_the_count_of_the_whole(num_bits: int) -> None:
    packed = random_shots(1000, num_bits)
    parts = [count(packed[share(1000, rank, 7)], num_bits) for rank in range(7)]
    rows, counts = merge(
        np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
    )
    expected_rows, expected_counts = count(packed, num_bits)
    np.testing.assert_array_equal(rows, expected_rows)
    np.testing.assert_array_equal(counts, expected_counts)


def test_merging_nothing_gives_nothing() -> None:
    rows, counts = merge(np.zeros((0, 3), np.uint8), np.zeros(0, np.int64))
    assert (rows.shape, counts.shape) == ((0, 3), (0,))


def test_merging_adds_large_counts_exactly() -> None:
    rows = np.array([[1], [1]], np.uint8)
    _, counts = merge(rows, np.array([2**53, 1]))
    assert counts.tolist() == [2**53 + 1]


@pytest.mark.parametrize("ranks", [1, 2, 3, 5, 7, 48, 1000])
@pytest.mark.parametrize("total", [0, 1, 2, 3, 10, 47, 48, 49, 1000, 2**40 + 1])
def test_shares_of_all_ranks_are_all_shots_once(total: int, ranks: int) -> None:
    parts = [share(total, rank, ranks) for rank in range(ranks)]
    assert (parts[0].start, parts[-1].stop) == (0, total)
    assert all(a.stop == b.start for a, b in pairwise(parts))


@pytest.mark.parametrize("ranks", [1, 2, 3, 5, 7, 48])
@pytest.mark.parametrize("total", [0, 1, 2, 47, 1000])
def test_no_rank_has_more_than_one_shot_more_than_another(total: int, ranks: int) -> None:
    sizes = [len(range(total)[share(total, rank, ranks)]) for rank in range(ranks)]
    assert max(sizes) - min(sizes) <= 1


# real ranks


def run(
    ranks: int, *arguments: object, told: int | None = None
) -> subprocess.CompletedProcess[str]:
    """The program over real ranks, ended as a group if it does not end by itself.

    Args:
        told: how many ranks it is told to be; None: nobody tells it.
    """
    words = [str(MPIEXEC), "-n", str(ranks), sys.executable, "-m", "mpi4py", "-m", PROGRAM]
    words += map(str, arguments)
    environment = {name: value for name, value in os.environ.items() if name != RANKS}
    with subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=environment | ({} if told is None else {RANKS: str(told)}),
    ) as process:
        try:
            output, errors = process.communicate(timeout=DEADLINE_SECONDS)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    return subprocess.CompletedProcess(words, process.returncode, output, errors)


def saved(folder: Path, shots: Rows) -> tuple[Path, Path]:
    source, target = folder / "shots.npy", folder / "counts.npz"
    np.save(source, shots)
    return source, target


def assert_counted(folder: Path, *, shots: int, num_bits: int, ranks: int) -> None:
    packed = random_shots(shots, num_bits)
    source, target = saved(folder, packed)
    done = run(ranks, num_bits, source, target, told=ranks)
    assert done.returncode == 0, done.stderr  # what an MPI says beside it is its own business
    expected_rows, expected_counts = count(packed, num_bits)
    with np.load(target, allow_pickle=False) as found:
        np.testing.assert_array_equal(found["bitstrings"], expected_rows)
        np.testing.assert_array_equal(found["counts"], expected_counts)


@pytest.mark.parametrize("ranks", [1, 2, 3, 5])
@pytest.mark.parametrize("num_bits", [10, 100])
def test_ranks_count_every_shot_together(tmp_path: Path, num_bits: int, ranks: int) -> None:
    assert_counted(tmp_path, shots=100_003, num_bits=num_bits, ranks=ranks)


@pytest.mark.parametrize("shots", [0, 1, 2])
@pytest.mark.parametrize("num_bits", [10, 100])
def test_fewer_shots_than_ranks_are_counted(tmp_path: Path, num_bits: int, shots: int) -> None:
    assert_counted(tmp_path, shots=shots, num_bits=num_bits, ranks=3)


def test_only_the_result_is_left_beside_the_input(tmp_path: Path) -> None:
    assert_counted(tmp_path, shots=10, num_bits=10, ranks=2)
    assert {path.name for path in tmp_path.iterdir()} == {"shots.npy", "counts.npz"}


def test_the_result_replaces_an_older_one(tmp_path: Path) -> None:
    (tmp_path / "counts.npz").write_bytes(b"old")
    assert_counted(tmp_path, shots=10, num_bits=10, ranks=2)


@pytest.mark.parametrize("told", [1, 3])
def test_another_number_of_ranks_than_told_is_refused(tmp_path: Path, told: int) -> None:
    source, target = saved(tmp_path, random_shots(10, 10))
    done = run(2, 10, source, target, told=told)
    assert done.returncode == WRONG_SIZE
    assert f"COMM_WORLD has 2 ranks, {told} were asked for" in done.stderr
    assert not target.exists()


def test_started_by_hand_any_number_of_ranks_is_right(tmp_path: Path) -> None:
    source, target = saved(tmp_path, random_shots(10, 10))
    done = run(3, 10, source, target)
    assert done.returncode == 0, done.stderr
    assert target.exists()


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_missing_input_fails_and_leaves_no_result(tmp_path: Path, ranks: int) -> None:
    done = run(ranks, 10, tmp_path / "none.npy", tmp_path / "counts.npz")
    assert done.returncode > 0
    assert "none.npy" in done.stderr
    assert not (tmp_path / "counts.npz").exists()


@pytest.mark.parametrize("position", [0, -1], ids=["the first rank's", "the last rank's"])
def test_a_bad_shot_of_one_rank_ends_all_ranks(tmp_path: Path, position: int) -> None:
    packed = random_shots(10, 10)
    packed[position, 0] = 255
    source, target = saved(tmp_path, packed)
    done = run(3, 10, source, target)
    assert done.returncode > 0
    assert "a shot has a bit set above the 10 declared" in done.stderr
    assert not target.exists()


def test_an_input_of_python_objects_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "shots.npy", np.array([{}]), allow_pickle=True)
    done = run(1, 10, tmp_path / "shots.npy", tmp_path / "counts.npz")
    assert done.returncode > 0
    assert not (tmp_path / "counts.npz").exists()


def test_a_folder_that_is_not_there_fails(tmp_path: Path) -> None:
    source, _ = saved(tmp_path, random_shots(10, 10))
    done = run(2, 10, source, tmp_path / "none" / "counts.npz")
    assert done.returncode > 0


def test_the_program_imports_neither_prefect_nor_qiskit() -> None:
    code = (
        f"import sys, {PROGRAM}; "
        "print([m for m in ('prefect', 'qiskit', 'pydantic', 'mpi4py') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
