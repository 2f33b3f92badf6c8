"""Which line of a traceback is a person's own."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from qcsc_loop.concurrency.loading import load_file
from qcsc_loop.reports.failure import describe_failure, find_failure

MINE = """\
def outer():
    return inner()

def inner():
    return [1][2]
"""


def trace_of(file: Path) -> str:
    """What Python says of the error of a person's file."""
    try:
        load_file(file).outer()
    except IndexError as error:
        return "".join(traceback.format_exception(error))
    raise AssertionError("it does not fail")


def test_it_is_the_innermost_frame_with_its_code_and_its_error(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(MINE)
    found = find_failure(trace_of(file))
    assert found is not None
    assert (found.file, found.line, found.function) == (str(file), 5, "inner")
    assert (found.code, found.error) == ("return [1][2]", "IndexError: list index out of range")
    assert found.others == 2


def test_it_is_the_frame_that_is_known_to_be_theirs(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(MINE)
    found = find_failure(trace_of(file), "mine.py:2")
    assert found is not None and (found.line, found.code) == (2, "return inner()")


def test_of_an_error_of_several_lines_all_are_told() -> None:
    trace = (
        "Traceback (most recent call last):\n"
        '  File "/home/me/mine.py", line 3, in evaluate\n'
        "    raise ValueError(text)\n"
        "ValueError: one\ntwo\n\n"
        "The above exception was the direct cause of the following exception:\n\n"
        "Traceback (most recent call last):\n"
        '  File "/x/site-packages/qcsc_loop/loop/hook_caller.py", line 9, in call\n'
        "    raise failure\n"
        "qcsc_loop.errors.HookFailed: A.evaluate raised ValueError\n"
    )
    found = find_failure(trace)
    assert found is not None and found.error == "ValueError: one\ntwo"


@pytest.mark.parametrize("trace", ["", "no traceback", '  File "half', "Traceback:\n  File\n"])
def test_of_what_is_no_traceback_nothing_is_said(trace: str) -> None:
    assert find_failure(trace) is None


def test_a_file_that_does_not_import_is_told_with_its_last_frames(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(f"{MINE}\nX = outer()\n")
    with pytest.raises(IndexError) as caught:
        load_file(file)
    assert describe_failure(caught.value) == (
        "IndexError: list index out of range, at mine.py:5 (return [1][2]), called at mine.py:2 "
        "(return inner()), called at mine.py:7 (X = outer())"
    )
