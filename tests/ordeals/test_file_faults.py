"""What the ordeals of files rely on: a fault happens to the operation that it is meant for."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ordeals.file_faults import ERRORS, UNHURT, Act, Fault, FileFaults, Operation, read_log

TESTS = Path(__file__).parents[1]

# what a store does to a file, and to one that it has, with what Python has for it
WRITER = """
import os, shutil, sys
from pathlib import Path
from ordeals.file_faults import Act, Fault, FileFaults

library, folder, log, act, number, error = sys.argv[1:]
FileFaults(Path(library)).arm(Path(folder), Fault(Act(int(act)), int(number), int(error)), Path(log))
place = Path(folder) / "place"
try:
    place.mkdir()
    with open(place / ".new", "xb") as file:
        file.write(b"0123456789")
        file.flush()
        os.fsync(file.fileno())
    os.replace(place / ".new", place / "new")
    os.link(place / "new", place / "twin")
    entries = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(entries)
    os.close(entries)
    with open(place / "new", "ab+") as file:
        file.seek(0)
        file.read()
        file.truncate(8)
        os.fdatasync(file.fileno())
    shutil.copyfile(place / "new", place / "copy")
    os.listdir(place)
    os.utime(place / "new")
    os.stat(place / "new")
    (place / "twin").unlink()
    (Path(folder).parent / "elsewhere").write_text("not counted")
    shutil.rmtree(place)
except OSError as raised:
    print(raised.errno)
"""

# create, write, close of each; the second file's first operation is the fourth
FILLER = """
import sys
from pathlib import Path
from ordeals.file_faults import Act, Fault, FileFaults

library, folder, log, act, number, error = sys.argv[1:]
place = Path(folder) / "place"
place.mkdir()
(place / "old").touch()
FileFaults(Path(library)).arm(Path(folder), Fault(Act(int(act)), int(number), int(error)), Path(log))
for name in "012":
    try:
        (place / name).write_text("x")
        print(0)
    except OSError as raised:
        print(raised.errno)
(place / "old").unlink()
"""

STARTER = """
import subprocess, sys
from pathlib import Path
from ordeals.file_faults import Act, Fault, FileFaults

library, folder, log, act, number, error = sys.argv[1:]
FileFaults(Path(library)).arm(Path(folder), Fault(Act(int(act)), int(number), int(error)), Path(log))
subprocess.run(["touch", f"{folder}/file"], check=True)
print("well")
"""


class Writer:
    """Does the same each time, in a folder of its own."""

    def __init__(self, faults: FileFaults, folder: Path) -> None:
        self.faults, self.folder, self.count = faults, folder, 0

    def writes(
        self, fault: Fault = UNHURT, script: str = WRITER
    ) -> subprocess.CompletedProcess[str]:
        self.count += 1
        self.place.parent.mkdir(parents=True)
        facts = map(str, (self.faults.path, self.place.parent, self.log, int(fault.act)))
        return subprocess.run(
            [sys.executable, "-c", script, *facts, str(fault.number), str(fault.error)],
            env={"PYTHONPATH": str(TESTS), **self.faults.environment},
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def place(self) -> Path:
        return self.folder / str(self.count) / "store" / "place"

    @property
    def log(self) -> Path:
        return self.folder / str(self.count) / "log"

    def operations(self) -> list[Operation]:
        done = self.writes()
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        return read_log(self.log)

    def the(self, name: str, count: int = 0) -> int:
        """The number of an operation, by its name."""
        return [one.number for one in self.operations() if one.name == name][count]

    @property
    def there(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.place.iterdir()}


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> FileFaults:
    return FileFaults.compiled(tmp_path_factory.mktemp("library"))


@pytest.fixture
def writer(faults: FileFaults, tmp_path: Path) -> Writer:
    return Writer(faults, tmp_path)


def test_every_operation_below_the_folder_is_seen_in_its_order(writer: Writer) -> None:
    operations = writer.operations()
    assert [one.number for one in operations] == [*range(1, len(operations) + 1)]
    names = " ".join(one.name for one in operations if one.name not in ("stat", "read"))
    assert names == (
        "mkdir create write sync close rename link open sync folder create truncate sync close "
        "open create write write close list touch unlink open unlink unlink rmdir"
    )
    assert {one.path for one in operations if one.name == "rename"} == {str(writer.place / "new")}
    assert not any("elsewhere" in one.path for one in operations)


def test_a_process_dies_before_and_after_an_operation(writer: Writer) -> None:
    number = writer.the("rename")
    assert writer.writes(Fault(Act.DIE_BEFORE, number)).returncode == -signal.SIGKILL
    assert writer.there == {".new": b"0123456789"}
    assert writer.writes(Fault(Act.DIE_AFTER, number)).returncode == -signal.SIGKILL
    assert writer.there == {"new": b"0123456789"}


def test_a_process_dies_halfway_through_a_write(writer: Writer) -> None:
    done = writer.writes(Fault(Act.DIE_HALFWAY, writer.the("write")))
    assert done.returncode == -signal.SIGKILL
    assert writer.there == {".new": b"01234"}


@pytest.mark.parametrize("error", ERRORS)
def test_an_operation_fails_once(writer: Writer, error: int) -> None:
    done = writer.writes(Fault(Act.FAIL_ONCE, writer.the("create"), error))
    assert (done.returncode, done.stdout) == (0, f"{error}\n")
    assert writer.there == {}


def test_a_write_is_cut_short_and_the_rest_of_it_fails(writer: Writer) -> None:
    done = writer.writes(Fault(Act.FAIL_HALFWAY, writer.the("write"), errno.ENOSPC))
    assert done.stdout == f"{errno.ENOSPC}\n"
    assert writer.there == {".new": b"01234"}


def test_an_operation_is_done_and_says_that_it_is_not(writer: Writer) -> None:
    done = writer.writes(Fault(Act.FAIL_AFTER, writer.the("link"), errno.EIO))
    assert done.stdout == f"{errno.EIO}\n"
    assert writer.there == dict.fromkeys(("new", "twin"), b"0123456789")


def test_a_full_disk_stays_full_and_lets_files_be_removed(writer: Writer) -> None:
    done = writer.writes(Fault(Act.FAIL_ON, 4, errno.ENOSPC), FILLER)
    assert done.stdout.split() == ["0", str(errno.ENOSPC), str(errno.ENOSPC)]
    assert done.stderr == ""
    assert writer.there == {"0": b"x"}


def test_what_a_process_starts_is_not_hurt(writer: Writer) -> None:
    done = writer.writes(Fault(Act.FAIL_ON, 1, errno.EIO), STARTER)
    assert done.stdout == "well\n"
