"""The end of a history, without its beginning."""

from __future__ import annotations

import builtins
import io
import random
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from qcsc_loop.store import directory
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.history import History
from qcsc_loop.store.memory import MemoryStore
from qcsc_loop.store.records import Commit
from qcsc_loop.store.store import Store

LOG = "run/history.jsonl"


def commit(iteration: int, epoch: int = 1, **facts: Any) -> Commit:
    return Commit(iteration=iteration, epoch=epoch, state_sha256=f"{iteration}.{epoch}", **facts)


@pytest.fixture(params=["memory", "directory"])
def history(request: pytest.FixtureRequest, tmp_path: Path) -> History:
    store: Store = MemoryStore() if request.param == "memory" else DirectoryStore(tmp_path)
    return History(store, LOG)


def chaos(seed: int) -> Iterator[Commit]:
    """Drivers one after the other that go on from where the last one was, or from a little before;
    now and then a line of one that stood still comes late."""
    rng = random.Random(seed)
    iteration, late = 0, list[Commit]()
    for epoch in range(1, 20):
        for _ in range(rng.randrange(12)):
            yield commit(iteration, epoch)
            iteration += 1
            if late and rng.random() < 0.2:
                yield late.pop()
        if rng.random() < 0.3:
            late.append(commit(iteration, epoch))
        iteration = max(0, iteration - rng.choice([0, 0, 0, 1, 2, 5]))


@pytest.mark.parametrize("seed", range(20))
def test_its_end_is_that_of_the_whole(history: History, seed: int) -> None:
    lines = list(chaos(seed))
    history.add(lines)
    newest = max(lines, key=lambda line: (line.epoch, lines.index(line)))
    assert history.newest() == newest
    whole = [known for known in history.whole() if known.iteration <= newest.iteration]
    for count in (1, 2, 3, 7, 50, 1000):
        for through in (
            -1,
            0,
            whole[-1].iteration // 2,
            whole[-1].iteration - 1,
            whole[-1].iteration,
        ):
            before = [known for known in whole if known.iteration <= through]
            assert history.last(count, through) == before[-count:]
    for after in (-1, 0, whole[-1].iteration // 2, whole[-1].iteration - 2):
        assert history.after(after) == [known for known in whole if known.iteration > after]


def test_there_is_none(history: History) -> None:
    assert (history.last(3, 9), history.after(-1), history.whole()) == ([], [], [])
    assert history.newest() is None
    assert history.spent(9) == {}


def test_a_damaged_line_is_passed_over(tmp_path: Path) -> None:
    history = History(DirectoryStore(tmp_path), LOG)
    history.add(map(commit, range(3)))
    with (tmp_path / LOG).open("ab") as log:
        log.write(b'{"iteration": 3\n\n\xff\xfe\n')
    history.add([commit(4)])
    with (tmp_path / LOG).open("ab") as log:
        log.write(commit(5).model_dump_json().encode()[:30])  # torn
    assert [known.iteration for known in history.last(3, 9)] == [1, 2, 4]


@pytest.mark.parametrize("block", [1, 7, 100, 1 << 16])
def test_lines_from_the_end_are_the_lines(
    tmp_path: Path, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory, "TAIL_BYTES", block)
    store, log = DirectoryStore(tmp_path), tmp_path / "log"
    for content in (
        b"",
        b"\n",
        b"a",
        b"a\n",
        b"\na\n",
        b"one\ntwo\n\nthree\nfo",
        b"x" * 300 + b"\ny\n",
    ):
        log.write_bytes(content)
        assert list(store.lines_from_end("log")) == store.lines("log")[::-1], content
    assert list(store.lines_from_end("nothing")) == []


class Counted:
    """How many bytes were read of files."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.read = 0
        opened = open

        def spied(name: Any, *words: Any, **options: Any) -> IO[Any]:
            file = opened(name, *words, **options)
            is_it = str(name).endswith("history.jsonl")
            return Spied(file, self) if is_it else file  # type: ignore[return-value]

        for module in (builtins, io):  # the same one, which pathlib asks the other for
            monkeypatch.setattr(module, "open", spied)


class Spied:
    """A file whose reads are counted."""

    def __init__(self, file: IO[Any], counted: Counted) -> None:
        self._file, self._counted = file, counted

    def read(self, size: int = -1) -> Any:
        content = self._file.read(size)
        self._counted.read += len(content)
        return content

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> Spied:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def test_what_is_read_does_not_grow_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    for length in (2_000, 20_000):
        history = History(DirectoryStore(tmp_path / str(length)), LOG)
        history.add(map(commit, range(length)))
        counted = Counted(monkeypatch)
        history.newest()
        history.last(3, length)
        history.last(50, length - 2)
        history.after(length - 10)
        read.append(counted.read)
        monkeypatch.undo()
    assert 0 < read[1] <= 1.2 * read[0]
