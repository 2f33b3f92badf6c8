"""A job's folder: what it wrote, how it says it ended, and whether its results are its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from qcsc_hpc.script.job_folder import TAIL_BYTES, JobFolder

BEFORE, START, AFTER = 1_800_000_000, 1_800_000_010, 1_800_000_020


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    """Of a job that has started."""
    write(tmp_path / "started", "", START)
    return JobFolder(tmp_path)


def write(path: Path, text: str, moment: int) -> None:
    path.write_text(text)
    os.utime(path, (moment, moment))


# its account of its end


@pytest.mark.parametrize(
    "text",
    ["", "{", "null", "[]", "{}", '{"job": "12"}', '{"exit_code": 0}', '{"job":"12","exit_c'],
)
def test_an_account_that_cannot_be_read_is_none(folder: JobFolder, text: str) -> None:
    (folder.path / "exit.json").write_text(text)
    assert folder.exit() is None


def test_an_account_is_read(folder: JobFolder) -> None:
    text = '{"job":"12.vm","exit_code":3,"fault":"modules","started":1.5,"ended":2.5,"more":1}'
    (folder.path / "exit.json").write_text(text)
    record = folder.exit()
    assert record is not None
    assert (record.job, record.exit_code, record.fault) == ("12.vm", 3, "modules")
    assert [moment.timestamp() for moment in record.times] == [1.5, 2.5]


# output


def test_the_tail_is_the_end_of_a_long_output(folder: JobFolder) -> None:
    folder.log.write_text("".join(f"line {number}\n" for number in range(100_000)))
    assert len(folder.tail()) == TAIL_BYTES
    assert folder.tail().endswith("line 99999\n")


def test_the_tail_of_a_short_output_is_all_of_it(folder: JobFolder) -> None:
    folder.log.write_text("one\ntwo")
    assert folder.tail() == "one\ntwo"


def test_the_tail_of_a_job_that_wrote_nothing_is_its_scheduler_s(folder: JobFolder) -> None:
    (folder.path / "scheduler.log").write_text("job killed: walltime\n")
    assert folder.tail() == "job killed: walltime\n"
    folder.log.write_text("began\n")
    assert folder.tail() == "began\n"


def test_the_tail_has_what_a_rank_wrote_last_that_nobody_gathered(folder: JobFolder) -> None:
    folder.log.write_text("began\n")
    ranks = folder.path / "output.12" / "0" / "1"
    ranks.mkdir(parents=True)
    write(ranks / "stdout.1.0", "older\n", BEFORE)
    write(ranks / "stderr.1.1", "newer\n", AFTER)
    assert folder.tail() == "began\nnewer\n"


def test_a_job_that_wrote_nothing_has_no_tail(folder: JobFolder) -> None:
    assert folder.tail() == ""


def test_output_that_is_no_text_is_shown_all_the_same(folder: JobFolder) -> None:
    folder.log.write_bytes(b"a\xffb\n")
    assert folder.tail() == "a\ufffdb\n"
    assert folder.written_since(0, 100) == ("a\ufffdb\n", 4)


def test_output_is_told_in_whole_lines(folder: JobFolder) -> None:
    folder.log.write_text("one\ntwo\nthr")
    assert folder.written_since(0, 100) == ("one\ntwo\n", 8)
    folder.log.write_text("one\ntwo\nthree\n")
    assert folder.written_since(8, 100) == ("three\n", 14)


def test_nothing_new_is_nothing(folder: JobFolder) -> None:
    folder.log.write_text("one\n")
    assert folder.written_since(4, 100) == ("", 4)


def test_before_there_is_any_output_there_is_none(folder: JobFolder) -> None:
    assert folder.written_since(0, 100) == ("", 0)


def test_a_line_longer_than_a_look_is_told_in_parts(folder: JobFolder) -> None:
    folder.log.write_text("0123456789\n")
    assert folder.written_since(0, 4) == ("0123", 4)


def test_much_output_is_told_look_by_look(folder: JobFolder) -> None:
    folder.log.write_text("".join(f"line {number}\n" for number in range(1000)))
    told, position = "", 0
    while (look := folder.written_since(position, 64))[0]:
        told += look[0]
        position = look[1]
    assert told == folder.log.read_text()


# the fence


def test_a_folder_nobody_works_in_has_no_owner(folder: JobFolder) -> None:
    assert folder.owner() is None


def test_a_folder_that_was_removed_needs_no_closing(tmp_path: Path) -> None:
    gone = JobFolder(tmp_path / "gone")
    assert (gone.close(), gone.owner(), gone.exit(), gone.tail()) == (None, None, None, "")


# a disk that believes an old look


def test_a_fence_that_is_listed_and_said_not_to_be_there_is_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really, looks = os.readlink, iter([True, True])

    def readlink(path: Path) -> str:
        if next(looks, False):
            raise FileNotFoundError(path)
        return really(path)

    (tmp_path / "fence").symlink_to("12")
    monkeypatch.setattr(os, "readlink", readlink)
    assert JobFolder(tmp_path).close() == "12"


def test_no_name_is_asked_for_that_is_not_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*_args: object, **_options: object) -> None:
        raise AssertionError("a name was asked for that is not there")

    folder = JobFolder(tmp_path)
    with monkeypatch.context() as patched:
        for name in ("open", "read_bytes", "exists"):
            patched.setattr(Path, name, asked)
        patched.setattr(os, "readlink", asked)
        assert (folder.owner(), folder.exit(), folder.is_cancelled) == (None, None, False)
        assert (folder.tail(), folder.written_since(0, 100)) == ("", ("", 0))
