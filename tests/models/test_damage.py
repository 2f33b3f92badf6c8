"""Whatever happens to a run's files: it goes on to the same bits, or says in a sentence why not."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loop.toys import Counting, Tally
from models.exact import same
from models.stores import Killed, MortalStore, QuietStore
from qcsc_loop.errors import DamagedDocument, QcscLoopError
from qcsc_loop.events import Event, Trouble
from qcsc_loop.loop.outcome import Outcome
from qcsc_loop.rules.stop import MaxIterations, Plateau
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal
from qcsc_loop.store.records import Commit
from qcsc_loop.store.recovery import last_good
from qcsc_loop.values.codec import Codec

RUN, SEED, LENGTH = "counted", 5, 6
Kind = Literal["truncate", "zero", "flip", "remove", "swap", "copy", "append", "empty"]


@dataclass(frozen=True)
class Damage:
    """What happens to a file, by its number among all of the run's.

    Attributes:
        other: the file that it is swapped with, or copied over.
        at: where in it, in thousandths; `bit` of that byte.
    """

    kind: Kind
    file: int
    other: int = 0
    at: int = 0
    bit: int = 0

    def do(self, folder: Path) -> None:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        path, other = files[self.file % len(files)], files[self.other % len(files)]
        content = bytearray(path.read_bytes())
        at = self.at * len(content) // 1000
        match self.kind:
            case "remove":
                path.unlink()
                return
            case "swap":
                content, theirs = bytearray(other.read_bytes()), content
                other.write_bytes(theirs)
            case "copy":
                content = bytearray(other.read_bytes())
            case "truncate":
                del content[at:]
            case "empty":
                content.clear()
            case "append":
                content += b"garbage\n"
            case "zero":
                content[at:] = bytes(len(content) - at)
            case "flip":
                if content:
                    content[min(at, len(content) - 1)] ^= 1 << self.bit
        path.write_bytes(content)


damages = st.lists(
    st.builds(
        Damage,
        st.sampled_from(Kind.__args__),  # type: ignore[attr-defined]
        st.integers(0, 60),
        st.integers(0, 60),
        st.integers(0, 999),
        st.integers(0, 7),
    ),
    min_size=1,
    max_size=4,
)


@pytest.mark.guarantee("G22")
@given(damages)
def test_a_damaged_run_goes_on_to_the_same_bits_or_says_why_not(hurt: list[Damage]) -> None:
    told: list[Event] = []
    with damaged_copy(hurt) as store:
        try:
            outcome = drive(store, told.append)
        except QcscLoopError as error:
            refused = str(error)
            assert refused and "\n\n" not in refused
            return
    troubles = [event.message for event in told if isinstance(event, Trouble)]
    if any("what iterations" in trouble for trouble in troubles):
        return  # it says that its stop rule cannot see all
    assert (outcome.iteration, outcome.because) == (whole().iteration, whole().because)
    assert same(outcome.state, whole().state)


@pytest.mark.guarantee("G22")
@given(damages)
def test_what_is_read_of_a_damaged_run_was_written(hurt: list[Damage]) -> None:
    with damaged_copy(hurt) as store:
        journal = Journal(store, RUN)
        assert_committed(journal)
        for iteration in range(1, LENGTH):
            for step in ("sample", "evaluate"):
                try:
                    found = journal.step(iteration, step)
                    if found is None:
                        continue
                    found[1].verify()
                except DamagedDocument:
                    continue
                assert found[1].body == written_step(iteration, step)


def assert_committed(journal: Journal) -> None:
    """What is read as committed is what was committed."""
    written = written_commits()
    for commit in journal.history():
        assert commit == written[commit.iteration]
    try:
        found = last_good(journal, Codec[Tally](Tally))
    except QcscLoopError:
        return
    if found is not None:
        assert found.commit.state_sha256 == written[found.commit.iteration].state_sha256


@contextmanager
def damaged_copy(hurt: list[Damage]) -> Iterator[DirectoryStore]:
    """A run whose driver was killed, with damages."""
    with tempfile.TemporaryDirectory() as folder:
        store = QuietStore(Path(folder, "store"))
        shutil.copytree(killed_run().root, store.root)
        for damage in hurt:
            damage.do(store.root / RUN)
        yield store


def drive(
    store: DirectoryStore, observe: Callable[[Event], None] = lambda _event: None
) -> Outcome[Tally]:
    # it sees a plateau in what all iterations say: far behind the checkpoints that are kept
    rule = Plateau(LENGTH, LENGTH, scalar="count") | MaxIterations(2 * LENGTH)
    options: dict[str, Any] = {"store": store, "run_id": RUN, "seed": SEED, "keep": 3}
    options |= {"stop": rule, "observers": [observe]}
    return anyio.run(partial(Counting(width=140).run, **options))


@cache
def killed_run() -> DirectoryStore:
    """A run whose second driver was killed in the middle of iteration 5."""
    root = Path(tempfile.mkdtemp(), "store")
    for dies_at in (25, 36):
        with suppress(Killed):
            drive(MortalStore(root, dies_at))
    return QuietStore(root)


@cache
def whole() -> Outcome[Tally]:
    """What comes of the run when nothing happens to it."""
    return drive(QuietStore(Path(tempfile.mkdtemp(), "store")))


@cache
def written_commits() -> dict[int, Commit]:
    """What the run has committed before anything happens to it; the last line may be cut off."""
    journal = Journal(killed_run(), RUN)
    kept = (journal.checkpoint(name)[0] for name in reversed(journal.checkpoints()))
    return {commit.iteration: commit for commit in (*kept, *journal.history())}


@cache
def written_step(iteration: int, step: str) -> bytes | None:
    """What it has recorded of a step."""
    found = Journal(killed_run(), RUN).step(iteration, step)
    return None if found is None else found[1].body
