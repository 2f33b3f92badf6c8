"""sbd's files: what is written is read, what is damaged is refused, for any number of orbitals."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from qcsc_algorithms.sqd.determinants.configurations import Strings, pack
from qcsc_algorithms.sqd.solvers.sbd_codec import (
    last_residual,
    read_carryover,
    read_determinants,
    read_energy,
    read_occupancies,
    write_carryover,
    write_determinants,
    write_numbers,
)

ORBITALS = [1, 5, 7, 8, 9, 12, 16, 36, 63, 64, 65, 72, 130]

Read = Callable[[Path, int], Strings]
Write = Callable[[Path, Strings, int], None]
DETERMINANTS = pytest.param(write_determinants, read_determinants, id="determinants")
CARRYOVER = pytest.param(write_carryover, read_carryover, id="carryover")
both = pytest.mark.parametrize(("write", "read"), [DETERMINANTS, CARRYOVER])


def occupations(norb: int) -> npt.NDArray[np.bool_]:
    """Random ones, none, all, and each end's orbital alone; column p is orbital p."""
    rng = np.random.default_rng(norb)
    bits = rng.random((20, norb)) < 0.5
    bits[0], bits[1] = False, True
    bits[2:4] = False
    bits[2, 0], bits[3, -1] = True, True
    return bits


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.bin"


# strings


@both
@pytest.mark.parametrize("norb", ORBITALS)
def test_strings_are_read_as_they_were_written(
    norb: int, write: Write, read: Read, path: Path
) -> None:
    strings = pack(occupations(norb))
    write(path, strings, norb)
    np.testing.assert_array_equal(read(path, norb), strings)


@pytest.mark.parametrize("norb", ORBITALS)
def test_a_determinant_is_a_big_endian_integer(norb: int, path: Path) -> None:
    bits = occupations(norb)
    write_determinants(path, pack(bits), norb)
    width = -(-norb // 8)
    values = [sum(1 << p for p in np.flatnonzero(row).tolist()) for row in bits]
    assert path.read_bytes() == b"".join(value.to_bytes(width, "big") for value in values)


@pytest.mark.parametrize("norb", ORBITALS)
def test_bit_j_of_a_carried_string_is_orbital_norb_minus_1_minus_j(norb: int, path: Path) -> None:
    bits = occupations(norb)
    write_carryover(path, pack(bits), norb)
    rows = np.frombuffer(path.read_bytes(), np.uint8).reshape(len(bits), -1)
    for j in range(norb):
        bit_j = rows[:, j // 8] >> (7 - j % 8) & 1
        np.testing.assert_array_equal(bit_j, bits[:, norb - 1 - j])


def test_the_two_alignments_differ_where_bytes_are_not_full(path: Path) -> None:
    strings = np.array([[0b0000_1111, 0b0000_0001]], np.uint8)
    write_determinants(path, strings, 12)
    assert path.read_bytes() == b"\x0f\x01"
    write_carryover(path, strings, 12)
    assert path.read_bytes() == b"\xf0\x10"


@both
@pytest.mark.parametrize("norb", [9, 12, 65, 130])
def test_strings_that_are_cut_off_are_refused(
    norb: int, write: Write, read: Read, path: Path
) -> None:
    write(path, pack(occupations(norb)), norb)
    path.write_bytes(path.read_bytes()[:-1])
    width = -(-norb // 8)
    why = (
        f"file.bin: {20 * width - 1} bytes are no whole number of strings of {norb} orbitals, "
        f"{width} bytes each"
    )
    with pytest.raises(ValueError, match=f"^{why}$"):
        read(path, norb)


@both
def test_a_file_without_strings_is_refused(write: Write, read: Read, path: Path) -> None:
    path.touch()
    with pytest.raises(ValueError, match=r"^file.bin holds no string$"):
        read(path, 12)


@pytest.mark.parametrize(
    ("read", "row"),
    [(read_determinants, b"\x10\x01"), (read_carryover, b"\xf0\x11")],
    ids=["determinants", "carryover"],
)
def test_a_bit_beyond_the_orbitals_is_refused(read: Read, row: bytes, path: Path) -> None:
    path.write_bytes(b"\0\0" + row)
    with pytest.raises(
        ValueError, match=r"^file.bin: string 1 has a bit set beyond its 12 orbitals$"
    ):
        read(path, 12)


@pytest.mark.parametrize(
    ("strings", "why"),
    [
        (np.zeros((2, 3), np.uint8), r"strings of 12 orbitals have not shape \(2, 3\)"),
        (np.zeros((0, 2), np.uint8), r"strings of 12 orbitals have not shape \(0, 2\)"),
        (np.full((2, 2), 255, np.uint8), "string 0 has a bit set beyond its 12 orbitals"),
    ],
    ids=["wide", "none", "high"],
)
def test_strings_of_other_orbitals_are_not_written(strings: Strings, why: str, path: Path) -> None:
    with pytest.raises(ValueError, match=f"^file.bin: {why}$"):
        write_determinants(path, strings, 12)
    assert not path.exists()


# numbers


@pytest.mark.parametrize("energy", [-76.11985123456789, -1.1e-7, 0.0, 134.94])
def test_an_energy_is_read_to_sixteen_digits(energy: float, path: Path) -> None:
    write_numbers(path, np.array([energy]))
    assert read_energy(path) == pytest.approx(energy, rel=1e-15)


def test_occupancies_are_read_as_they_were_written(path: Path) -> None:
    occupancies = np.array([1.0, 0.999_999_999_9, 1e-10, 1e-300])
    write_numbers(path, occupancies)
    np.testing.assert_allclose(read_occupancies(path, 4, 2), occupancies, rtol=1e-15)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is cut off: its last line has no end"),
        ("-76.1", "is cut off: its last line has no end"),
        ("\n", ": '' is no finite number"),
        ("-76.1\n-76.2\n", "has 2 lines, not 1"),
        ("nan\n", ": 'nan' is no finite number"),
        ("-inf\n", ": '-inf' is no finite number"),
        ("energy\n", ": 'energy' is no finite number"),
        ("-76.1 -76.2\n", ": '-76.1 -76.2' is no finite number"),
        ("\xff\n", ": '\ufffd' is no finite number"),
    ],
)
def test_an_energy_that_is_damaged_is_refused(text: str, why: str, path: Path) -> None:
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=rf"^file.bin ?{why}$"):
        read_energy(path)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1\n0.5\n", " has 2 lines, not 3"),
        ("1\n0.5\n0.5\n0\n", " has 4 lines, not 3"),
        ("1\n0.5\n0.5", " is cut off: its last line has no end"),
        ("1\n0.5\nnan\n", ": 'nan' is no finite number"),
        ("1\n1.5\n-0.5\n", ": occupancies are from 0 to 1, not -0.5 to 1.5"),
        ("1\n0.5\n0.4\n", ": occupancies sum to 1.900000, not to 2"),
    ],
)
def test_occupancies_that_are_damaged_are_refused(text: str, why: str, path: Path) -> None:
    path.write_text(text)
    with pytest.raises(ValueError, match=f"^file.bin{why}$"):
        read_occupancies(path, 3, 2)


# what it says


def test_the_residual_is_that_of_the_last_step() -> None:
    log = (
        " Davidson iteration 0.0 (tol=0.139347): -23.4919\n"
        " Davidson iteration 1.12 (tol=8.34299e-07): -23.5021 -22.7033\n Energy = -23.5\n"
    )
    assert last_residual(log) == 8.34299e-07


@pytest.mark.parametrize("log", ["", "slurmstepd: error\n", " Davidson iteration 0.1 (tol=?): 1"])
def test_a_log_without_steps_tells_no_residual(log: str) -> None:
    assert math.isnan(last_residual(log))
