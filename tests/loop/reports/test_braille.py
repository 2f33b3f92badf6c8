"""A curve in the dots of braille letters."""

from __future__ import annotations

import math

import pytest

from qcsc_loop.reports.braille import Curves, braille_chart, draw


def chart(values: list[float], width: int = 40, height: int = 7, **more: object) -> list[str]:
    given = {"references": {}, "marks": (), **more}
    return braille_chart(values, width=width, height=height, **given)  # type: ignore[arg-type]


def dots(line: str) -> int:
    return sum(bin(ord(c) - 0x2800).count("1") for c in line if 0x2800 <= ord(c) < 0x2900)


def test_a_line_goes_from_one_corner_to_the_other() -> None:
    lines = chart([0, 1, 2, 3])
    assert len(lines) == 7 and max(map(len, lines)) <= 40
    assert lines[0][-1] == "⠉" and "⣀" in lines[5][:6]
    assert lines[-1].split() == ["0", "1", "3"]


def test_a_position_is_named_under_its_place() -> None:
    axis = chart([0, 1, 2, 3])[-1]
    left, right = axis.index("0"), axis.index("3")
    assert axis.index("1") == pytest.approx(left + (right - left) / 3, abs=1)


def test_first_values_that_are_far_off_do_not_press_the_others_flat() -> None:
    lines = chart([1e6, 1e3, *(math.sin(k / 3) for k in range(60))])
    assert all(dots(line) > 3 for line in lines[:6])


def test_the_last_value_is_seen_where_it_leaves_the_others() -> None:
    lines = chart([*(float(k % 2) for k in range(40)), 3.0])
    assert dots(lines[0][-2:]) and not dots(lines[0][:-3])


@pytest.mark.parametrize("values", [[5.0], [5.0, 5.0, 5.0], [0.0], [math.nan, 5.0, math.inf]])
def test_one_value_has_a_height_and_its_name(values: list[float]) -> None:
    lines = chart(values)
    assert any(dots(line) for line in lines)
    assert any(line.split()[:1] in (["5"], ["0"]) for line in lines[:-1])


@pytest.mark.parametrize("values", [[], [math.nan], [math.inf, -math.inf]])
def test_where_there_is_no_value_there_is_no_line(values: list[float]) -> None:
    assert chart(values) == []


def test_a_gap_is_a_gap() -> None:
    whole, broken = chart([1.0] * 9), chart([1.0] * 3 + [math.nan] * 3 + [1.0] * 3)
    assert sum(map(dots, broken)) < sum(map(dots, whole))
    assert "   " in next(line for line in broken if dots(line)).strip()


def test_a_reference_is_a_line_with_its_name_and_value() -> None:
    lines = chart([-1.0, -1.05, -1.1, -1.12], references={"FCI": -1.137})
    line = next(line for line in lines if "FCI" in line)
    assert line.startswith("-1.137 ") and "⠤⠤⠤" in line.replace("⣀", "⠤").replace("⠒", "⠤")


def test_a_reference_that_is_far_off_is_named_below() -> None:
    lines = chart([-1.0, -1.01], references={"FCI": -9.5, "none": math.nan})
    assert "FCI -9.50" in lines[-1]
    assert "none" not in "".join(lines)


def test_a_resume_is_a_seam() -> None:
    lines = chart([float(k % 7) for k in range(30)], marks=[15])
    assert sum("┊" in line for line in lines) >= 3


def test_in_ascii_every_letter_is_one_that_any_terminal_has() -> None:
    lines = chart(
        [math.exp(-k / 9) for k in range(40)],
        references={"goal": 0.0, "far": -99.0},
        marks=[20],
        beside=[[0.5] * 40],
        ascii_only=True,
    )
    assert all(line.isascii() for line in lines)
    assert {"*", ".", "-", "|"} <= set("".join(lines))


def test_what_is_drawn_is_the_largest_and_least_of_many() -> None:
    values = [0.0] * 50_000
    values[20_000], values[40_000] = 1.0, -1.0
    lines = chart(values)
    assert dots(lines[0]) and dots(lines[5])


def test_heights_by_powers_of_ten_leave_out_what_has_none() -> None:
    lines = chart([10.0**-k for k in range(6)] + [0.0, -1.0], log=True)
    assert lines[0].startswith("1e+00") or lines[1].startswith("1e+00")
    assert sum(map(dots, lines))


@pytest.mark.parametrize("width", [1, 5, 9, 12, 80, 400])
@pytest.mark.parametrize("height", [1, 2, 3, 40])
def test_no_line_is_longer_and_no_chart_higher_than_asked(width: int, height: int) -> None:
    lines = chart([-76.09, -76.1, -76.105], width, height, references={"FCI": -76.1211})
    assert len(lines) in (0, height)
    assert all(len(line) <= width for line in lines)


@pytest.mark.parametrize("scale", [1e-300, 1e-9, 1e-3, 1.0, 1e6, 1e12, 1e300])
@pytest.mark.parametrize("offset", [0.0, -76.1, 1e9])
def test_names_of_heights_differ_whatever_the_scale(scale: float, offset: float) -> None:
    lines = chart([offset + scale * k for k in range(30)], 60, 13)
    names = [line.split()[0] for line in lines[:-1] if line.strip() and line[0] != " "]
    assert len(set(names)) == len(names)


def test_pieces_say_what_they_are() -> None:
    curves = Curves(values=[1.0, 2.0, 3.0], references={"goal": 2.5}, beside=[[3.0, 2.0, 1.0]])
    roles = {role for line in draw(curves, width=40, height=8) for _, role in line}
    assert roles >= {"axis", "curve", "beside", "reference"}
