"""What every store has to keep, whatever it is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest

from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.memory import MemoryStore
from qcsc_loop.store.store import Store
from qcsc_loop.values.arrays import Array, freeze
from qcsc_loop.values.document import Document
from thorough import first

BACKENDS: dict[str, Callable[[Path], Store]] = {
    "memory": lambda folder: MemoryStore(),
    "directory": lambda folder: DirectoryStore(folder / "store"),
}


@pytest.fixture(params=BACKENDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made = BACKENDS[request.param](tmp_path)
    yield made
    if isinstance(made, MemoryStore):
        made.close()


def document(text: str, **arrays: object) -> Document:
    held = {name: freeze(array) for name, array in arrays.items()}
    return Document(f'"{text}"'.encode(), held, f'{{"note":"{text}"}}'.encode())


def assert_same(one: Document, other: Document) -> None:
    assert (one.body, one.meta) == (other.body, other.meta)
    assert one.arrays.keys() == other.arrays.keys()
    for name, array in one.arrays.items():
        assert array.dtype == other.arrays[name].dtype
        assert array.shape == other.arrays[name].shape
        assert array.tobytes() == other.arrays[name].tobytes()


# documents


@pytest.mark.parametrize(
    "body",
    [
        b"null",
        b'"\xc3\xa4 \xe2\x86\x92 \xf0\x9f\x9a\x80"',
        b'{"meta":{"value":1},"value":"\\"}\\n"}',
        b'"' + b"x" * 1_000_000 + b'"',
    ],
    ids=["null", "not ascii", "looks like the envelope", "a megabyte"],
)
def test_a_document_comes_back_as_it_was_written(store: Store, body: bytes) -> None:
    written = Document(body, {}, b'{"a":[1,2.5,"\\u00e4"]}')
    store.write("run/steps/one", written)
    assert_same(store.read("run/steps/one"), written)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(1000.0),
        np.array([np.nan, np.inf, -np.inf, -0.0, np.nextafter(0, 1)]),
        np.array([1 + 2j, complex(np.nan, -0.0)]),
        np.zeros((0, 3), np.int8),
        np.array(5.0),
        np.arange(24, dtype=">u2").reshape(2, 3, 4),
        np.array([True, False]),
        np.array(["a", "äöü"]),
        np.array([b"a", b"\xff\x00b"]),
        np.array(["2026-01-01", "NaT"], "M8[s]"),
        np.array([(1, 2.5)], [("a", "i4"), ("b", "f8")]),
        np.array([(1,)], [("ψ", "f8")]),
    ],
    ids=lambda array: f"{array.dtype} {array.shape}",
)
def test_an_array_comes_back_bit_for_bit(store: Store, array: Array) -> None:
    written = document("arrays", a0=array)
    store.write("run/state", written)
    assert_same(store.read("run/state"), written)


def test_an_array_in_column_order_comes_back_with_its_values(store: Store) -> None:
    array = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    store.write("run/state", Document(b"{}", {"a0": array}))
    np.testing.assert_array_equal(store.read("run/state").arrays["a0"], array)


def test_many_arrays_come_back_under_their_names(store: Store) -> None:
    written = document("many", **{f"a{i}": np.full(i, i) for i in range(20)})
    store.write("run/state", written)
    assert_same(store.read("run/state"), written)


def test_an_array_that_was_read_cannot_be_written_to(store: Store) -> None:
    store.write("run/state", document("one", a0=np.zeros(3)))
    array = store.read("run/state").arrays["a0"]
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        array.setflags(write=True)


def test_a_document_is_replaced_by_the_next_one_of_its_name(store: Store) -> None:
    store.write("run/state", document("old", a0=np.zeros(3)))
    store.write("run/state", document("new", a0=np.ones(4)))
    assert_same(store.read("run/state"), document("new", a0=np.ones(4)))


def test_a_document_without_arrays_replaces_one_with_arrays(store: Store) -> None:
    store.write("run/state", document("old", a0=np.zeros(3)))
    store.write("run/state", document("new"))
    assert_same(store.read("run/state"), document("new"))


def test_documents_of_similar_names_are_told_apart(store: Store) -> None:
    names = ["run/a", "run/a.b", "run/a.c", "run/a.json", "run/a.npz", "run/ab"]
    for name in names:
        store.write(name, document(name, a0=np.frombuffer(name.encode(), np.uint8)))
    for name in names:
        expected = document(name, a0=np.frombuffer(name.encode(), np.uint8))
        assert_same(store.read(name), expected)


@pytest.mark.parametrize("name", ["run/none", "no-run/none", "none"])
def test_reading_a_name_that_is_not_there_is_a_key_error(store: Store, name: str) -> None:
    store.write("run/state", document("one"))
    with pytest.raises(KeyError):
        store.read(name)


def test_a_folder_is_not_a_document(store: Store) -> None:
    store.write("run/steps/one", document("one"))
    with pytest.raises(KeyError):
        store.read("run/steps")


# created once


def test_creating_a_new_name_succeeds(store: Store) -> None:
    assert store.create("run/run", document("first"))
    assert_same(store.read("run/run"), document("first"))


def test_creating_a_taken_name_does_not(store: Store) -> None:
    store.create("run/run", document("first"))
    assert not store.create("run/run", document("second"))


def test_creating_the_same_again_does_not_succeed_either(store: Store) -> None:
    same = document("first")
    store.create("run/run", same)
    assert not store.create("run/run", same)


def test_creating_a_name_that_was_written_does_not_succeed(store: Store) -> None:
    store.write("run/run", document("first"))
    assert not store.create("run/run", document("second"))


def test_creating_a_taken_name_leaves_the_first_document(store: Store) -> None:
    store.create("run/run", document("first"))
    store.create("run/run", document("second"))
    assert_same(store.read("run/run"), document("first"))


def test_creating_a_taken_name_leaves_the_arrays_of_the_first_document(store: Store) -> None:
    store.create("run/run", document("first", a0=np.zeros(3)))
    store.create("run/run", document("second", a0=np.ones(4)))
    assert_same(store.read("run/run"), document("first", a0=np.zeros(3)))


def test_creating_a_taken_name_adds_no_arrays_to_the_first_document(store: Store) -> None:
    store.create("run/run", document("first"))
    store.create("run/run", document("second", a0=np.ones(4)))
    assert_same(store.read("run/run"), document("first"))


@pytest.mark.parametrize("repetition", first(2, range(5)))
def test_of_eight_that_create_at_once_one_wins(store: Store, repetition: int) -> None:
    barrier = Barrier(8)

    def create(number: int) -> bool:
        barrier.wait()
        return store.create("run/run", document(f"by {number}"))

    with ThreadPoolExecutor(8) as threads:
        won = list(threads.map(create, range(8)))
    assert won.count(True) == 1
    assert_same(store.read("run/run"), document(f"by {won.index(True)}"))


def test_a_removed_name_can_be_created_again(store: Store) -> None:
    store.create("run/run", document("first"))
    store.remove("run/run")
    assert store.create("run/run", document("second"))


# names


def test_names_are_those_directly_below_in_order(store: Store) -> None:
    for name in ("b/run", "a/steps/2", "a/steps/10", "a/steps/1", "a/run"):
        store.write(name, document(name))
    assert store.names("") == ["a", "b"]
    assert store.names("a") == ["run", "steps"]
    assert store.names("a/steps") == ["1", "10", "2"]


def test_names_leave_out_what_is_beside_the_documents(store: Store) -> None:
    store.write("run/state", document("one", a0=np.zeros(3)))
    store.append("run/history.jsonl", [b"{}"])
    store.touch("run/0001.beat")
    assert store.age("run/0001.beat") is not None
    assert store.names("run") == ["state"]


def test_names_with_dots_are_shown_whole(store: Store) -> None:
    store.write("run/00000007.sample.e0002", document("one"))
    assert store.names("run") == ["00000007.sample.e0002"]


def test_names_show_a_folder_of_files(store: Store) -> None:
    (store.folder("run/work/00000001-sample") / "file.txt").write_text("")
    assert store.names("run/work") == ["00000001-sample"]


def test_a_document_and_a_folder_of_the_same_name_are_one_name(store: Store) -> None:
    store.write("run/one", document("one"))
    store.write("run/one/below", document("below"))
    assert store.names("run") == ["one"]


@pytest.mark.parametrize("folder", ["", "none", "run/none", "run/state"])
def test_there_are_no_names_where_there_is_no_folder(store: Store, folder: str) -> None:
    if folder == "run/state":
        store.write("run/state", document("one"))
    assert store.names(folder) == []


# removing


def test_a_removed_document_is_gone(store: Store) -> None:
    store.write("run/one", document("one", a0=np.zeros(3)))
    store.write("run/two", document("two"))
    store.remove("run/one")
    assert store.names("run") == ["two"]
    with pytest.raises(KeyError):
        store.read("run/one")


def test_a_document_written_after_a_removal_has_only_its_own_arrays(store: Store) -> None:
    store.write("run/one", document("one", a0=np.zeros(3)))
    store.remove("run/one")
    store.write("run/one", document("two"))
    assert_same(store.read("run/one"), document("two"))


def test_a_removed_folder_takes_all_documents_below_with_it(store: Store) -> None:
    store.write("run/steps/one", document("one"))
    store.write("run/deep/er/two", document("two"))
    store.write("running/three", document("three"))
    store.remove("run")
    assert store.names("") == ["running"]
    for name in ("run/steps/one", "run/deep/er/two"):
        with pytest.raises(KeyError):
            store.read(name)


def test_a_removed_folder_takes_its_logs_with_it(store: Store) -> None:
    store.append("run/history.jsonl", [b"{}"])
    store.remove("run")
    assert store.lines("run/history.jsonl") == []


def test_a_removed_folder_takes_its_signs_of_life_with_it(store: Store) -> None:
    store.touch("run/epochs/0001.beat")
    store.remove("run")
    assert store.age("run/epochs/0001.beat") is None


def test_a_removed_folder_takes_its_files_with_it(store: Store) -> None:
    path = store.folder("run/work/one") / "file.txt"
    path.write_text("content")
    store.remove("run/work/one")
    assert not path.exists()


def test_removing_what_is_not_there_does_nothing(store: Store) -> None:
    store.write("run/one", document("one"))
    store.remove("run/none")
    store.remove("none")
    assert store.names("run") == ["one"]


# logs


def test_lines_come_back_in_order(store: Store) -> None:
    store.append("run/log", [b"one", b"two"])
    store.append("run/log", [b"three"])
    assert store.lines("run/log") == [b"one", b"two", b"three"]


def test_a_log_that_is_not_there_has_no_lines(store: Store) -> None:
    assert store.lines("run/log") == []


def test_lines_that_were_read_are_not_the_log_itself(store: Store) -> None:
    store.append("run/log", [b"one"])
    store.lines("run/log").clear()
    assert store.lines("run/log") == [b"one"]


def test_lines_appended_by_many_threads_are_all_there_and_whole(store: Store) -> None:
    lines = [f'{{"number":{n},"padding":"{"x" * 500}"}}'.encode() for n in range(80)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda line: store.append("run/log", [line]), lines))
    assert sorted(store.lines("run/log")) == sorted(lines)


# signs of life


def test_there_is_no_age_before_the_first_sign_of_life(store: Store) -> None:
    assert store.age("run/0001.beat") is None


def test_the_age_is_small_after_a_sign_of_life(store: Store) -> None:
    store.touch("run/0001.beat")
    age = store.age("run/0001.beat")
    assert age is not None
    assert 0 <= age < 30


def test_a_sign_of_life_is_of_its_name_alone(store: Store) -> None:
    store.touch("run/0001.beat")
    assert store.age("run/0002.beat") is None


# folders


def test_a_folder_is_there_and_takes_files(store: Store) -> None:
    folder = store.folder("run/work/one")
    (folder / "file.txt").write_text("content")
    assert (store.folder("run/work/one") / "file.txt").read_text() == "content"


def test_two_folders_are_two(store: Store) -> None:
    assert store.folder("run/work/one") != store.folder("run/work/two")


def test_a_store_says_where_it_is(store: Store) -> None:
    assert store.place
