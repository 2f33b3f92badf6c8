"""A run as one file: imported, it goes on with the same bits; what is damaged changes nothing."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from loop.toys import Counting
from qcsc_loop.catalog import recorded_algorithm
from qcsc_loop.errors import AlgorithmNotNamed, BadArchive, RunExists, RunIsDriven
from qcsc_loop.moving.archive import MANIFEST, export_run, import_run
from qcsc_loop.parameters.environment import environment
from qcsc_loop.rules.stop import MaxIterations
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal

RUN = "taken"


def drive(store: DirectoryStore, iterations: int, run_id: str = RUN) -> str:
    run, stop = Counting().run, MaxIterations(iterations)
    return anyio.run(lambda: run(store=store, run_id=run_id, stop=stop)).state_sha256


@pytest.fixture
def here(tmp_path: Path) -> DirectoryStore:
    store = DirectoryStore(tmp_path / "here")
    drive(store, 2)
    return store


@pytest.fixture
def there(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "there")


@pytest.fixture
def file(here: DirectoryStore, tmp_path: Path) -> Path:
    path = tmp_path / "run.tar.gz"
    export_run(Journal(here, RUN), here.root, path)
    return path


def left(store: DirectoryStore) -> list[str]:
    return [path.name for path in store.root.iterdir()] if store.root.exists() else []


@pytest.mark.guarantee("G28")
def test_an_imported_run_goes_on_with_the_same_bits(
    here: DirectoryStore, there: DirectoryStore, file: Path
) -> None:
    import_run(there, file)

    assert drive(there, 4) == drive(here, 4)


def test_under_another_id_it_is_the_same_run(there: DirectoryStore, file: Path) -> None:
    import_run(there, file, run_id="other")

    assert Journal(there, "other").record().run_id == "other"
    drive(there, 4, "other")


def test_a_run_that_is_there_stays(here: DirectoryStore, file: Path) -> None:
    before = Journal(here, RUN).history()

    with pytest.raises(RunExists, match="--run-id NEW"):
        import_run(here, file)

    assert Journal(here, RUN).history() == before
    assert left(here) == [RUN]


def test_a_run_that_is_driven_is_not_exported(here: DirectoryStore, tmp_path: Path) -> None:
    journal = Journal(here, RUN)
    lease = journal.claim(journal.settings(), {}, environment().lease_seconds)
    target = tmp_path / "driven.tar.gz"
    try:
        with pytest.raises(RunIsDriven, match="--snapshot"):
            export_run(journal, here.root, target)
        assert not target.exists()
        assert export_run(journal, here.root, target, snapshot=True).files > 5
    finally:
        lease.release(None)


def test_signs_of_life_and_half_files_stay_behind(here: DirectoryStore, file: Path) -> None:
    with tarfile.open(file) as archive:
        names = archive.getnames()

    assert names[0] == MANIFEST
    assert not [n for n in names if n.endswith((".beat", ".tmp")) or n == "run/live.json"]


@pytest.mark.guarantee("S11")
def test_code_is_not_taken_from_an_imported_run(there: DirectoryStore, file: Path) -> None:
    journal = import_run(there, file)

    with pytest.raises(AlgorithmNotNamed, match="was imported, and names the code"):
        recorded_algorithm(journal)


def repacked(file: Path, change: Callable[[str, bytes], tuple[str, bytes] | None]) -> None:
    """The archive with each file as `change` gives it; without it where that is None."""
    with tarfile.open(file) as archive:
        found = [(e.name, (archive.extractfile(e) or io.BytesIO()).read()) for e in archive]
    with tarfile.open(file, "w:gz") as archive:
        for name, content in found:
            if (new := change(name, content)) is not None:
                entry = tarfile.TarInfo(new[0])
                entry.size = len(new[1])
                archive.addfile(entry, io.BytesIO(new[1]))


@pytest.mark.guarantee("S12")
@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda n, c: (n, c + b" ") if n.endswith("run.json") else (n, c), "'run.json' is damaged"),
        (lambda n, c: None if n.endswith("run.json") else (n, c), "'run.json' is missing"),
        (lambda n, c: None if n == MANIFEST else (n, c), "does not begin with manifest.json"),
        (lambda n, c: (n, b"{") if n == MANIFEST else (n, c), "cannot be read"),
        (
            lambda n, c: ("run/../../evil", c) if n.endswith("run.json") else (n, c),
            "does not belong there",
        ),
        (
            lambda n, c: (n, c.replace(b'"format":1', b'"format":9')) if n == MANIFEST else (n, c),
            "which is newer than this one",
        ),
        (
            lambda n, c: (n, c.replace(b'"taken"', b'"../x"')) if n == MANIFEST else (n, c),
            "is no id of a run",
        ),
    ],
)
def test_what_is_not_whole_changes_nothing(
    there: DirectoryStore,
    file: Path,
    change: Callable[[str, bytes], tuple[str, bytes] | None],
    why: str,
) -> None:
    repacked(file, change)

    with pytest.raises(BadArchive, match=why):
        import_run(there, file)

    assert left(there) == []
    assert not (there.root.parent / "evil").exists()


@pytest.mark.guarantee("S12")
@pytest.mark.parametrize(
    "content", [b"", b"text", gzip.compress(b"no tar", mtime=0)], ids=["empty", "text", "gzip"]
)
def test_another_programs_file_is_refused(
    there: DirectoryStore, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "other.tar.gz"
    path.write_bytes(content)

    with pytest.raises(BadArchive):
        import_run(there, path)


def test_a_file_that_was_cut_off_is_refused(there: DirectoryStore, file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-200])

    with pytest.raises(BadArchive):
        import_run(there, file)
    assert left(there) == []
