"""Where a person says that a file is to be: links are followed, pipes and devices written to."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from loop.reports.stored_runs import StoredRun, energies
from system.command_line import CommandLine

RUN = "water"
WRITERS = {
    "report": (("report", RUN), "page.html"),
    "plot": (("plot", RUN), "picture.svg"),
    "history": (("export", RUN, "--csv"), "history.csv"),
    "archive": (("export", RUN), "run.tar.gz"),
}
writers = pytest.mark.parametrize(("words", "name"), WRITERS.values(), ids=WRITERS)


@pytest.fixture(autouse=True)
def run(qcsc_loop: CommandLine) -> None:
    StoredRun(qcsc_loop.store, RUN).driver(1).history(energies(3))


@writers
def test_a_link_is_followed(
    qcsc_loop: CommandLine, tmp_path: Path, words: tuple[str, ...], name: str
) -> None:
    (kept := tmp_path / "kept").mkdir()
    (link := tmp_path / name).symlink_to(kept / name)

    qcsc_loop(*words, "-o", link).well()

    assert link.is_symlink()
    assert [(file.name, file.stat().st_size > 0) for file in kept.iterdir()] == [(name, True)]


@writers
@pytest.mark.skipif(os.geteuid() != 0, reason="to make a device needs root")
def test_a_full_device_is_left_as_it_is_and_says_so(
    qcsc_loop: CommandLine, tmp_path: Path, words: tuple[str, ...], name: str
) -> None:
    device = tmp_path / name
    os.mknod(device, 0o600 | stat.S_IFCHR, os.makedev(1, 7))

    assert "No space left on device" in qcsc_loop(*words, "-o", device).refusal

    assert device.is_char_device()


def test_a_pipe_s_reader_has_the_history(qcsc_loop: CommandLine, tmp_path: Path) -> None:
    os.mkfifo(pipe := tmp_path / "history.csv")
    with os.fdopen(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)) as reader:
        qcsc_loop("export", RUN, "--csv", "-o", pipe).well()
        assert reader.read().startswith("iteration,")
    assert pipe.is_fifo()
