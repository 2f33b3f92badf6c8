"""What a store in a folder keeps beyond the contract: on a damaged, full or dying disk."""

from __future__ import annotations

import errno
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BufferedReader, FileIO
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest

from qcsc_loop.errors import DamagedDocument, StoreError
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.values.codec import Codec
from qcsc_loop.values.document import Document
from qcsc_loop.values.record import NDArray, State
from small_disk import small_disk
from waiting import DEADLINE_SECONDS, until


class Vector(State):
    name: str = "vector"
    values: NDArray


CODEC: Codec[Vector] = Codec(Vector)
VECTOR = Vector(values=np.arange(200.0))
NAME = "run/checkpoints/00000007.e0001"


@pytest.fixture
def disk(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "store")


@pytest.fixture
def written(disk: DirectoryStore) -> DirectoryStore:
    disk.write(NAME, CODEC.encode(VECTOR))
    return disk


def paths(store: DirectoryStore) -> tuple[Path, Path]:
    (arrays,) = [*(store.root / NAME).parent.glob("*.npz"), Path("no arrays")][:1]
    return store.root / f"{NAME}.json", arrays


def files(store: DirectoryStore) -> set[str]:
    return {path.name for path in store.root.rglob("*") if path.is_file()}


def read_back(store: DirectoryStore) -> Vector:
    return CODEC.decode(store.read(NAME))


# files


def test_the_file_of_a_document_is_json(disk: DirectoryStore) -> None:
    disk.write(NAME, Document(b'{"x":1.5}', {}, b'{"iteration":7}'))
    with paths(disk)[0].open() as file:
        content = json.load(file)
    assert content.keys() == {"sha256", "format", "arrays", "meta", "value"}
    assert (content["meta"], content["value"]) == ({"iteration": 7}, {"x": 1.5})


def test_the_file_of_large_arrays_is_what_numpy_reads(written: DirectoryStore) -> None:
    with np.load(paths(written)[1], allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["a0"], VECTOR.values)


def test_nothing_but_the_document_s_two_files_is_left(written: DirectoryStore) -> None:
    assert files(written) == {path.name for path in paths(written)}


def test_the_arrays_of_a_replaced_document_are_removed(written: DirectoryStore) -> None:
    written.write(NAME, CODEC.encode(Vector(values=np.ones(300))))
    assert files(written) == {path.name for path in paths(written)}


def test_the_arrays_of_a_removed_document_are_removed(written: DirectoryStore) -> None:
    written.remove(NAME)
    assert files(written) == set()


def test_nothing_is_left_of_a_creation_that_lost(disk: DirectoryStore) -> None:
    disk.create(NAME, Document(b"1"))
    disk.create(NAME, CODEC.encode(VECTOR))
    assert files(disk) == {paths(disk)[0].name}


def test_making_a_store_makes_no_folder(disk: DirectoryStore) -> None:
    assert disk.names("") == []
    assert not disk.root.exists()


def test_the_home_folder_may_be_written_as_a_tilde(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert DirectoryStore("~/runs").root == Path("/home/someone/runs")


def test_a_store_stays_where_it_was_when_the_working_folder_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = DirectoryStore("runs")
    monkeypatch.chdir("/")
    assert store.root == tmp_path / "runs"


def test_names_leave_out_temporary_files(written: DirectoryStore) -> None:
    (paths(written)[0].parent / ".00000008.e0001.json.host.1.0.tmp").write_bytes(b"half")
    assert written.names("run/checkpoints") == ["00000007.e0001"]


def test_the_age_leaves_no_file_behind(disk: DirectoryStore) -> None:
    disk.touch("run/0001.beat")
    disk.age("run/0001.beat")
    assert files(disk) == {"0001.beat"}


# damage


@pytest.mark.parametrize("length", [0, 1, 10, 75, 76, 90, 100, 150, -100, -3, -2, -1])
def test_a_truncated_document_is_damaged(written: DirectoryStore, length: int) -> None:
    path, _ = paths(written)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(DamagedDocument, match="00000007"):
        read_back(written)


@pytest.mark.parametrize("length", [0, 1, 29, 30, 100, 500, 1000, -100, -22, -3, -2, -1])
def test_a_document_with_truncated_arrays_is_damaged(written: DirectoryStore, length: int) -> None:
    _, path = paths(written)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(DamagedDocument):
        read_back(written)


def test_a_document_without_its_arrays_is_damaged(written: DirectoryStore) -> None:
    paths(written)[1].unlink()
    with pytest.raises(DamagedDocument, match="missing"):
        read_back(written)


def test_a_document_with_another_one_s_arrays_is_damaged(
    written: DirectoryStore, tmp_path: Path
) -> None:
    other = DirectoryStore(tmp_path / "other")
    other.write(NAME, CODEC.encode(Vector(values=np.ones(200))))
    paths(written)[1].write_bytes(paths(other)[1].read_bytes())
    with pytest.raises(DamagedDocument, match="sha256"):
        read_back(written)


def test_a_document_with_changed_notes_is_damaged(disk: DirectoryStore) -> None:
    disk.write(NAME, Document(b"1", {}, b'{"iteration":7}'))
    path, _ = paths(disk)
    path.write_text(path.read_text().replace('"iteration":7', '"iteration":8'))
    with pytest.raises(DamagedDocument, match="sha256"):
        disk.read(NAME)


def test_an_empty_document_says_that_it_is_empty(written: DirectoryStore) -> None:
    paths(written)[0].write_bytes(b"")
    with pytest.raises(DamagedDocument, match="it is empty"):
        read_back(written)


def test_a_file_of_something_else_says_that_it_is_no_document(written: DirectoryStore) -> None:
    paths(written)[0].write_bytes(b'{"value":1}')
    with pytest.raises(DamagedDocument, match="not one of our documents"):
        read_back(written)


def flipped(store: DirectoryStore, path: Path, position: int, bit: int) -> str:
    """What reading gives after one flipped bit: "damaged", "whole", or what else it was."""
    content = bytearray(path.read_bytes())
    content[position] ^= 1 << bit
    path.write_bytes(content)
    try:
        return "whole" if read_back(store) == VECTOR else "wrong"
    except DamagedDocument:
        return "damaged"
    except Exception as error:  # what the test is about: no other error may come
        return f"{type(error).__name__} at byte {position} bit {bit}: {error}"
    finally:
        content[position] ^= 1 << bit
        path.write_bytes(content)


def test_a_document_with_any_byte_changed_is_damaged(written: DirectoryStore) -> None:
    path, _ = paths(written)
    positions = range(path.stat().st_size)
    results = {flipped(written, path, position, position % 8) for position in positions}
    assert results == {"damaged"}


def test_arrays_with_any_bit_of_their_envelope_changed_are_damaged_or_the_same(
    written: DirectoryStore,
) -> None:
    _, path = paths(written)
    size = path.stat().st_size
    # zip's and numpy's headers in front, zip's directory at the end; time stamps may change
    positions = [*range(180), *range(size - 100, size)]
    results = {flipped(written, path, position, bit) for position in positions for bit in range(8)}
    assert results == {"damaged", "whole"}


def test_arrays_with_any_byte_of_their_values_changed_are_damaged(written: DirectoryStore) -> None:
    _, path = paths(written)
    positions = range(200, path.stat().st_size - 120, 7)
    results = {flipped(written, path, position, position % 8) for position in positions}
    assert results == {"damaged"}


# logs


def torn_log(disk: DirectoryStore) -> None:
    disk.append("run/log", [b"one", b"two"])
    with (disk.root / "run/log").open("ab") as log:
        log.write(b'{"iteration": 3, "sca')


def test_a_torn_last_line_is_left_out(disk: DirectoryStore) -> None:
    torn_log(disk)
    assert disk.lines("run/log") == [b"one", b"two"]


def test_a_line_after_a_torn_one_is_a_line_of_its_own(disk: DirectoryStore) -> None:
    torn_log(disk)
    disk.append("run/log", [b"four"])
    assert disk.lines("run/log")[-1] == b"four"


def test_the_lines_before_a_torn_one_stay(disk: DirectoryStore) -> None:
    torn_log(disk)
    disk.append("run/log", [b"four"])
    assert disk.lines("run/log")[:2] == [b"one", b"two"]


# a disk that says no


@pytest.fixture
def small(tmp_path: Path) -> Iterator[DirectoryStore]:
    with small_disk(tmp_path / "small", "64k") as disk:
        yield DirectoryStore(disk.folder)


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[DirectoryStore]:
    with small_disk(tmp_path / "small", "64k") as disk:
        store = DirectoryStore(disk.folder)
        store.write(NAME, CODEC.encode(VECTOR))
        store.append("run/log", [b"one"])
        store.touch("run/0001.beat")
        disk.remount("ro")
        yield store


TOO_LARGE = {
    "value": Document(b'"' + b"x" * 100_000 + b'"'),
    "arrays": CODEC.encode(Vector(values=np.random.default_rng(0).random(20_000))),
    "value beside fitting arrays": Document(
        b'"' + b"x" * 100_000 + b'"', {"a0": np.full(200, 2.0)}
    ),
}
too_large = pytest.mark.parametrize("document", TOO_LARGE.values(), ids=TOO_LARGE.keys())


@too_large
def test_a_full_disk_is_a_store_error_with_the_reason(
    small: DirectoryStore, document: Document
) -> None:
    with pytest.raises(StoreError, match=r"^could not write .*: No space left on device\.") as told:
        small.write(NAME, document)
    assert "\n" not in str(told.value)


@too_large
def test_a_write_that_fails_leaves_no_temporary_file(
    small: DirectoryStore, document: Document
) -> None:
    with pytest.raises(StoreError):
        small.write(NAME, document)
    assert [name for name in files(small) if name.startswith(".")] == []


@too_large
def test_a_write_that_fails_leaves_no_document(small: DirectoryStore, document: Document) -> None:
    with pytest.raises(StoreError):
        small.write(NAME, document)
    with pytest.raises(KeyError):
        small.read(NAME)


@too_large
def test_a_write_that_fails_leaves_the_old_document_whole(
    small: DirectoryStore, document: Document
) -> None:
    small.write(NAME, CODEC.encode(VECTOR))
    with pytest.raises(StoreError):
        small.write(NAME, document)
    assert read_back(small) == VECTOR


@too_large
def test_a_creation_that_fails_leaves_the_name_free(
    small: DirectoryStore, document: Document
) -> None:
    with pytest.raises(StoreError, match="No space left on device"):
        small.create(NAME, document)
    assert small.create(NAME, Document(b"1"))


def test_an_append_to_a_full_disk_is_a_store_error(small: DirectoryStore) -> None:
    with pytest.raises(StoreError, match=r"^could not append to .*: No space left on device\."):
        small.append("run/log", [b"x" * 100_000])


def test_lines_written_before_the_disk_was_full_stay(small: DirectoryStore) -> None:
    small.append("run/log", [b"one"])
    with pytest.raises(StoreError):
        small.append("run/log", [b"x" * 100_000])
    assert small.lines("run/log") == [b"one"]


def test_a_full_disk_is_usable_again_after_a_removal(small: DirectoryStore) -> None:
    small.write("run/old", Document(b'"' + b"x" * 50_000 + b'"'))
    with pytest.raises(StoreError):
        small.write("run/new", Document(b'"' + b"y" * 30_000 + b'"'))
    small.remove("run/old")
    small.write("run/new", Document(b'"' + b"y" * 30_000 + b'"'))
    assert small.names("run") == ["new"]


CHANGES: dict[str, Callable[[DirectoryStore], object]] = {
    "write": lambda store: store.write(NAME, Document(b"1")),
    "write arrays": lambda store: store.write(NAME, CODEC.encode(VECTOR)),
    "create": lambda store: store.create("run/new", Document(b"1")),
    "make a folder": lambda store: store.write("new/run", Document(b"1")),
    "append": lambda store: store.append("run/log", [b"two"]),
    "append to a new log": lambda store: store.append("run/new", [b"two"]),
    "touch": lambda store: store.touch("run/0001.beat"),
    "touch a new name": lambda store: store.touch("run/0002.beat"),
    "remove": lambda store: store.remove(NAME),
    "remove a folder": lambda store: store.remove("run"),
    "folder": lambda store: store.folder("run/work"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_read_only_disk_is_a_store_error_with_the_reason(
    read_only: DirectoryStore, change: Callable[[DirectoryStore], object]
) -> None:
    with pytest.raises(StoreError, match=r"^could not .*: Read-only file system\.") as told:
        change(read_only)
    assert "\n" not in str(told.value)


def test_a_read_only_disk_can_be_read(read_only: DirectoryStore) -> None:
    assert read_back(read_only) == VECTOR
    assert read_only.lines("run/log") == [b"one"]
    assert read_only.names("run/checkpoints") == ["00000007.e0001"]
    age = read_only.age("run/0001.beat")  # by this host's clock: there is no other one to ask
    assert age is not None
    assert age >= 0


FILE_IN_THE_WAY: dict[str, Callable[[DirectoryStore], object]] = {
    "write": lambda store: store.write("run/state", Document(b"1")),
    "create": lambda store: store.create("run/state", Document(b"1")),
    "append": lambda store: store.append("run/log", [b"one"]),
    "touch": lambda store: store.touch("run/beat"),
    "folder": lambda store: store.folder("run"),
    "read": lambda store: store.read("run/state"),
}


@pytest.mark.parametrize("use", FILE_IN_THE_WAY.values(), ids=FILE_IN_THE_WAY.keys())
def test_a_file_where_a_folder_should_be_is_a_store_error(
    disk: DirectoryStore, use: Callable[[DirectoryStore], object]
) -> None:
    disk.root.mkdir()
    (disk.root / "run").write_text("in the way")
    with pytest.raises(StoreError):
        use(disk)


def test_a_folder_where_a_log_should_be_is_a_store_error(disk: DirectoryStore) -> None:
    disk.folder("run/log")
    with pytest.raises(StoreError):
        disk.lines("run/log")


@pytest.mark.parametrize("use", [DirectoryStore.names, DirectoryStore.sweep])
def test_a_folder_that_cannot_be_looked_into_is_a_store_error(
    disk: DirectoryStore, use: Callable[[DirectoryStore, str], object]
) -> None:
    disk.root.mkdir()
    with pytest.raises(StoreError, match="File name too long"):
        use(disk, "run" * 100)


def test_arrays_that_the_disk_does_not_give_are_not_called_damaged(
    written: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(BufferedReader):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(errno.EIO, "Input/output error")

    opened = Path.open

    def opening(path: Path, mode: str, **more: Any) -> IO[Any]:
        return Failing(FileIO(path)) if path.suffix == ".npz" else opened(path, mode, **more)

    monkeypatch.setattr(Path, "open", opening)
    with pytest.raises(StoreError, match="Input/output error") as raised:
        written.read(NAME)
    assert not isinstance(raised.value, DamagedDocument)


# a writer that dies

WRITER = """
import sys
import numpy as np
from qcsc_loop.values.codec import Codec, Document
from qcsc_loop.store.directory import DirectoryStore
store, same_name = DirectoryStore(sys.argv[1]), sys.argv[2] == "same"
for n in range(10**9):
    name = "run/steps/0" if same_name else f"run/steps/{n}"
    body = (f"[{n}," + '"' + "x" * 5000 + '"]').encode()
    arrays = {} if same_name else {"a0": np.full(5000, float(n))}
    store.write(name, Document(body, arrays))
    store.append("run/log", [str(n).encode()])
"""


def killed_writer(folder: Path, *, how: str, after: int) -> DirectoryStore:
    """A store of which the writer was killed while it wrote."""
    store = DirectoryStore(folder)
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(folder), how])
    try:
        until(lambda: len(store.lines("run/log")) >= after, f"{after} documents are written")
    finally:
        process.kill()
        assert process.wait(DEADLINE_SECONDS) == -signal.SIGKILL
    return store


kill_points = pytest.mark.parametrize("after", [1, 7, 20])


@kill_points
def test_every_document_of_a_killed_writer_is_whole(tmp_path: Path, after: int) -> None:
    store = killed_writer(tmp_path, how="many", after=after)
    names = store.names("run/steps")
    assert len(names) >= after
    for name in names:
        document = store.read(f"run/steps/{name}")
        assert json.loads(document.body)[0] == int(name)
        np.testing.assert_array_equal(document.arrays["a0"], np.full(5000, float(name)))


@kill_points
def test_every_document_that_a_killed_writer_got_done_is_there(tmp_path: Path, after: int) -> None:
    store = killed_writer(tmp_path, how="many", after=after)
    assert set(store.names("run/steps")) >= {line.decode() for line in store.lines("run/log")}


@kill_points
def test_a_document_that_a_killed_writer_replaced_is_an_old_or_a_new_one(
    tmp_path: Path, after: int
) -> None:
    store = killed_writer(tmp_path, how="same", after=after)
    last = int(store.lines("run/log")[-1])
    assert json.loads(store.read("run/steps/0").body)[0] in (last, last + 1)


def test_eight_writers_of_one_name_leave_one_whole_document(disk: DirectoryStore) -> None:
    bodies = [f'"{n}{str(n) * 50_000}"'.encode() for n in range(8)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda body: disk.write(NAME, Document(body)), bodies))
    assert disk.read(NAME).body in bodies
    assert files(disk) == {paths(disk)[0].name}
