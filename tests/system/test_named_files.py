"""Where a person says that a file is to be: links are followed, pipes and devices written to."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
from pathlib import Path

import pandas
import pytest

from loop.reports.stored_runs import StoredRun, energies
from system.command_line import CommandLine
from system.interpreter import SCRIPT
from system.terminal import on_a_terminal

RUN = "water"
WRITERS = {
    "report": (("report", RUN, "-o"), "page.html"),
    "plot": (("plot", RUN, "-o"), "picture.svg"),
    "difference": (("diff", RUN, "other", "--plot"), "difference.svg"),
    "history": (("export", RUN, "--csv", "-o"), "history.csv"),
    "parquet": (("export", RUN, "--parquet", "-o"), "history.parquet"),
    "archive": (("export", RUN, "-o"), "run.tar.gz"),
}
writers = pytest.mark.parametrize(("words", "name"), WRITERS.values(), ids=WRITERS)


@pytest.fixture(autouse=True)
def run(qcsc_loop: CommandLine) -> None:
    for run_id in (RUN, "other"):
        StoredRun(qcsc_loop.store, run_id).driver(1).history(energies(3))


@writers
def test_a_link_is_followed(
    qcsc_loop: CommandLine, tmp_path: Path, words: tuple[str, ...], name: str
) -> None:
    (kept := tmp_path / "kept").mkdir()
    (link := tmp_path / name).symlink_to(kept / name)

    qcsc_loop(*words, link).well()

    assert link.is_symlink()
    assert [(file.name, file.stat().st_size > 0) for file in kept.iterdir()] == [(name, True)]


@writers
@pytest.mark.skipif(os.geteuid() != 0, reason="to make a device needs root")
def test_a_full_device_is_left_as_it_is_and_says_so(
    qcsc_loop: CommandLine, tmp_path: Path, words: tuple[str, ...], name: str
) -> None:
    device = tmp_path / name
    os.mknod(device, 0o600 | stat.S_IFCHR, os.makedev(1, 7))

    assert "No space left on device" in qcsc_loop(*words, device).refusal

    assert device.is_char_device()


def piped(qcsc_loop: CommandLine, *words: object) -> subprocess.CompletedProcess[bytes]:
    """A command as a process of its own: what it writes need be no text."""
    command = [str(SCRIPT), *map(str, words)]
    return subprocess.run(
        command,
        env=qcsc_loop.environment,
        cwd=qcsc_loop.store.parent,
        capture_output=True,
        check=True,
    )


@pytest.mark.parametrize(
    ("words", "name"),
    [WRITERS["report"], WRITERS["history"], WRITERS["parquet"], WRITERS["archive"]],
    ids=["report", "history", "parquet", "archive"],
)
def test_a_dash_is_stdout(
    qcsc_loop: CommandLine, tmp_path: Path, words: tuple[str, ...], name: str
) -> None:
    qcsc_loop(*words, tmp_path / name).well()

    written = piped(qcsc_loop, *words, "-").stdout

    assert not [path for path in tmp_path.rglob("*") if path.name == "-"]
    if name == "run.tar.gz":
        (tmp_path / "piped.tar.gz").write_bytes(written)
        qcsc_loop("import", tmp_path / "piped.tar.gz", "--run-id", "again").well()
    elif name.startswith("history."):
        assert written == (tmp_path / name).read_bytes()
    else:
        assert written.lower().startswith(b"<!doctype html>")


def test_an_archive_is_not_shown_on_a_terminal(qcsc_loop: CommandLine) -> None:
    words = [str(SCRIPT), "export", RUN, "-o", "-"]
    shown = on_a_terminal(words, qcsc_loop.environment, columns=400)
    assert "an archive is not written to a terminal: name a file with -o FILE" in shown.written
    assert shown.code == 2


def test_a_file_on_stdout_leaves_no_room_for_json(qcsc_loop: CommandLine) -> None:
    said = qcsc_loop("export", RUN, "--csv", "-o", "-", "--json").refusal
    assert said.startswith("-o - writes the file to stdout, and --json its answer")


@writers
def test_where_no_file_can_be_the_store_is_not_blamed(
    qcsc_loop: CommandLine, tmp_path: Path, words: tuple[str, ...], name: str
) -> None:
    result = qcsc_loop(*words, tmp_path / "nowhere" / name)
    assert f"{name} cannot be written: No such file or directory; name another" in result.refusal
    assert "mend the store" not in result.refusal and result.code == 2


def test_an_archive_that_cannot_be_read_is_not_the_stores_fault(
    qcsc_loop: CommandLine, tmp_path: Path
) -> None:
    (tmp_path / "socket").mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "file"))
        said = qcsc_loop("import", tmp_path / "file").refusal
    assert said == f"{tmp_path}/file cannot be read: No such device or address; nothing was changed"


def test_a_pipe_s_reader_has_the_history(qcsc_loop: CommandLine, tmp_path: Path) -> None:
    os.mkfifo(pipe := tmp_path / "history.csv")
    with os.fdopen(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)) as reader:
        qcsc_loop("export", RUN, "--csv", "-o", pipe).well()
        assert reader.read().startswith("iteration,")
    assert pipe.is_fifo()


def test_parquet_is_the_table_of_csv(qcsc_loop: CommandLine, tmp_path: Path) -> None:
    for form in ("csv", "parquet"):
        qcsc_loop("export", RUN, f"--{form}", "-o", tmp_path / f"history.{form}").well()

    found = pandas.read_parquet(tmp_path / "history.parquet")

    pandas.testing.assert_frame_equal(found, pandas.read_csv(tmp_path / "history.csv"))
