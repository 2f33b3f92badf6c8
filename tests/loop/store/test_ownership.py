"""A store that others can write to, or that is somebody else's, is not obeyed."""

from __future__ import annotations

import json
import os
import struct
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest

from loop.toys import Counting
from other_user import NOBODY, printed_by_nobody
from qcsc_algorithms.bitcount.bitcount import BitCount
from qcsc_loop.catalog import recorded_algorithm
from qcsc_loop.errors import AlgorithmNotNamed, StoreNotPrivate
from qcsc_loop.exactly_once.reap import reap
from qcsc_loop.rules.stop import MaxIterations
from qcsc_loop.sampling.random_bits import RandomSampler
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal

RUN = "toy-1"

ATTACK = """
folder = pathlib.Path(sys.argv[1])
wrong = []
for path in [folder, *folder.rglob("*")]:
    if path.is_dir():
        attempts = [lambda: (path / "planted.json").write_text("{}")]
    else:
        attempts = [lambda: path.open("r+b").close(), path.unlink]
    for attempt in attempts:
        try:
            attempt()
            wrong.append(str(path))
        except PermissionError:
            pass
print(json.dumps(wrong))
"""


@pytest.fixture(autouse=True)
def _root() -> None:
    if os.geteuid() != 0:
        pytest.skip("to act as another user needs root")


@pytest.fixture
def root() -> Iterator[Path]:
    """A store's folder that other users can get to."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder, "store")


def run_to(root: Path, last: int, toy: Counting | BitCount | None = None) -> Journal:
    store, algorithm = DirectoryStore(root), toy or Counting()
    anyio.run(lambda: algorithm.run(store=store, run_id=RUN, stop=MaxIterations(last)))
    return Journal(store, RUN)


@pytest.mark.guarantee("S6")
@pytest.mark.parametrize("umask", [0, 0o002, 0o077])
def test_what_a_run_leaves_nobody_else_can_write_whatever_the_umask(root: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        run_to(root, 2)
        run_to(root, 3)  # which believes what the first driver left
    finally:
        os.umask(before)
    assert json.loads(printed_by_nobody(ATTACK, str(root))) == []


def with_acl(path: Path) -> None:
    """Lets that user write, as `setfacl -m u:nobody:rwx` does."""
    entries = [
        (0x01, 7, 0xFFFFFFFF),
        (0x02, 7, NOBODY),
        (0x04, 5, 0xFFFFFFFF),
        (0x10, 7, 0xFFFFFFFF),
        (0x20, 5, 0xFFFFFFFF),
    ]
    content = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    try:
        os.setxattr(path, "system.posix_acl_access", content)
    except OSError as error:
        pytest.skip(f"this file system has no access control lists: {error}")


def grouped(path: Path, mode: int) -> None:
    os.chown(path, 0, NOBODY)
    path.chmod(mode)


OPEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "the store": (lambda root: root.chmod(0o777), "everybody can write to it, "),
    "the run": (lambda root: (root / RUN).chmod(0o757), "everybody can write to it, "),
    "the run, where all may add": (lambda root: (root / RUN).chmod(0o1777), "everybody can write"),
    "its drivers, by a group": (lambda root: grouped(root / RUN / "epochs", 0o775), "the group no"),
    "its record": (lambda root: (root / RUN / "run.json").chmod(0o666), "everybody can write"),
    "its jobs": (lambda root: (root / RUN / "history.jsonl").chmod(0o646), "everybody can write"),
    "by a list": (lambda root: with_acl(root / RUN / "epochs"), "the group root can write to it"),
    "the store is another's": (lambda root: os.chown(root, NOBODY, 0), "belongs to nobody, not to"),
    "the run is another's": (lambda root: os.chown(root / RUN, NOBODY, 0), "it belongs to nobody"),
    "a record is another's": (
        lambda root: os.chown(root / RUN / "run.json", NOBODY, 0),
        "it belongs to nobody",
    ),
}


@pytest.mark.guarantee("S7")
@pytest.mark.parametrize("case", OPEN)
def test_a_store_that_is_not_ones_own_alone_is_refused_with_a_sentence(
    root: Path, case: str
) -> None:
    journal = run_to(root, 1)
    spoil, said = OPEN[case]
    spoil(root)
    for act in (
        lambda: run_to(root, 2),
        lambda: recorded_algorithm(journal),
        lambda: anyio.run(reap, journal, lambda _job, _trouble: None),
    ):
        with pytest.raises(StoreNotPrivate, match=said):
            act()
    assert journal.newest_epoch() == 1


@pytest.mark.guarantee("S7")
def test_a_planted_run_in_a_folder_where_all_may_add_is_refused(root: Path) -> None:
    root.mkdir()
    root.chmod(0o1777)
    run_to(root, 1)  # in /tmp, say
    printed_by_nobody("pathlib.Path(sys.argv[1]).mkdir()", str(root / "toy-2"))
    with pytest.raises(StoreNotPrivate, match="toy-2 cannot be trusted with a run: it belongs to"):
        anyio.run(lambda: Counting().run(store=DirectoryStore(root), run_id="toy-2"))


def test_the_group_that_is_its_owners_alone_may_write(root: Path) -> None:
    """As Debian and Red Hat have it, with a umask of 002."""
    run_to(root, 1)
    for path in (root, root / RUN, root / RUN / "epochs"):
        path.chmod(0o775)  # root's group is root
    assert run_to(root, 2).newest_epoch() == 2


@pytest.mark.guarantee("S8")
class TestAGroupsStore:
    @pytest.fixture(autouse=True)
    def _shared(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("QCSC_LOOP_SHARED_STORE", "1")

    @pytest.fixture
    def theirs(self, root: Path) -> Journal:
        """A run that another member of the group began."""
        journal = run_to(root, 1, Counting(factor=2.0, trace=str(root / "trace")))
        for path in [root, root / RUN, *(root / RUN).rglob("*")]:
            os.chown(path, NOBODY, NOBODY)
            if path.is_dir():
                path.chmod(0o2775)
        return journal

    def test_code_is_not_taken_from_what_others_wrote(self, theirs: Journal) -> None:
        with pytest.raises(
            AlgorithmNotNamed, match=r"was written by nobody, with the code loop\.toys"
        ):
            recorded_algorithm(theirs)

    def test_with_the_code_named_only_what_it_computes_is_theirs(self, theirs: Journal) -> None:
        named = recorded_algorithm(theirs, named="loop.toys:Counting")
        assert named == Counting(factor=2.0)

    def test_a_run_of_others_is_gone_on_with(self, theirs: Journal, root: Path) -> None:
        assert run_to(root, 2, Counting(factor=2.0)).history()[-1].iteration == 2

    def test_a_file_that_others_can_change_is_taken_for_theirs(self, root: Path) -> None:
        journal = run_to(root, 1)
        grouped(root / RUN / "epochs" / "0001.json", 0o664)
        with pytest.raises(AlgorithmNotNamed, match="was written by the group no"):
            recorded_algorithm(journal)

    def test_an_installed_algorithm_is_nobody_elses_code(self, root: Path) -> None:
        bits = BitCount(num_qubits=3, shots=20, sampler=RandomSampler())
        journal = run_to(root, 1, bits)
        os.chown(root / RUN / "run.json", NOBODY, NOBODY)
        assert recorded_algorithm(journal) == bits

    def test_everybody_is_no_group(self, theirs: Journal, root: Path) -> None:
        root.chmod(0o777)
        with pytest.raises(StoreNotPrivate, match="everybody can write to it"):
            recorded_algorithm(theirs, named="loop.toys:Counting")
