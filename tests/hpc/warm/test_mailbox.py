"""Requests and outcomes as files: who comes first, who comes too late, and what is damaged."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from qcsc_hpc.warm.mailbox import (
    OUTCOME,
    REQUEST,
    ROOM,
    Ended,
    Mailbox,
    Request,
    Superseded,
    outcome_in,
    request_in,
    set_aside,
    tries,
)
from qcsc_loop.errors import DamagedDocument, JobInputChanged

NAME = "work"
DONE = Ended("COMPLETED", exit_code=0)


@pytest.fixture
def box(tmp_path: Path) -> Mailbox:
    mailbox = Mailbox(tmp_path / "mailbox")
    mailbox.make()
    return mailbox


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "work.0.job"
    path.mkdir()
    return path


def a_request(given: str = "a", **more: object) -> Request:
    asked = Request(key="run/1/evaluate/work.0", input_sha256=given, ranks=2)
    return replace(asked, **more)  # type: ignore[arg-type]


# asking


def test_what_is_posted_waits_with_its_folder(box: Mailbox, folder: Path) -> None:
    asked = a_request(arguments=["--name", "ünï\udcff\n"], environment={"A": "b c"}, seconds=3.5)
    box.post(NAME, folder, asked)
    assert box.waiting() == [(NAME, folder)]
    assert request_in(folder) == asked


def test_requests_wait_in_the_order_of_their_posting(box: Mailbox, tmp_path: Path) -> None:
    names = ["z", "a", "m"]
    for number, name in enumerate(names):
        (tmp_path / name).mkdir()
        box.post(name, tmp_path / name, a_request())
        os.utime(box.root / "new" / name, ns=(number, number), follow_symlinks=False)
    assert [name for name, _ in box.waiting()] == names


def test_asking_again_changes_nothing(box: Mailbox, folder: Path) -> None:
    box.post(NAME, folder, a_request(asked=1.0))
    box.post(NAME, folder, a_request(asked=2.0))
    assert request_in(folder).asked == 1.0
    assert len(box.waiting()) == 1


def test_the_same_key_with_other_input_is_refused(box: Mailbox, folder: Path) -> None:
    box.post(NAME, folder, a_request("a"))
    with pytest.raises(JobInputChanged, match=r"run/1/evaluate/work\.0 was submitted before"):
        box.post(NAME, folder, a_request("b"))
    assert request_in(folder).input_sha256 == "a"


def test_what_has_an_outcome_is_not_asked_for_again(box: Mailbox, folder: Path) -> None:
    box.post(NAME, folder, a_request())
    box.withdraw(NAME, folder, Ended("CANCELLED"))
    box.post(NAME, folder, a_request())
    assert box.waiting() == []


# claiming and committing


def claimed(box: Mailbox, folder: Path, epoch: int | None = None) -> Path:
    own = box.claim(folder, epoch or box.begin_epoch())
    assert own is not None
    return own.path


def test_a_commit_is_the_outcome_and_ends_the_waiting(box: Mailbox, folder: Path) -> None:
    box.post(NAME, folder, a_request())
    own = box.claim(folder, box.begin_epoch())
    assert own is not None
    assert outcome_in(folder) is None
    assert box.commit(NAME, own, replace(DONE, job="7", began=1.0, ended=2.0))
    assert outcome_in(folder) == replace(DONE, job="7", began=1.0, ended=2.0, place="try.1.1")
    assert box.waiting() == []


def test_a_try_has_what_was_put_into_the_folder(box: Mailbox, folder: Path) -> None:
    (folder / "integrals").write_text("1 2 3")
    box.post(NAME, folder, a_request())
    place = claimed(box, folder)
    assert (place / "integrals").read_text() == "1 2 3"
    assert not (place / REQUEST).exists()


def test_each_try_begins_in_a_folder_of_its_own(box: Mailbox, folder: Path) -> None:
    box.post(NAME, folder, a_request())
    epoch = box.begin_epoch()
    first = claimed(box, folder, epoch)
    (first / "half").touch()
    second = claimed(box, folder, epoch)
    assert not (second / "half").exists()
    assert [own.void for own in sorted(tries(folder), key=lambda own: own.number)] == [True, False]


def test_an_older_supervisors_commit_is_refused(box: Mailbox, folder: Path) -> None:
    box.post(NAME, folder, a_request())
    old = box.claim(folder, box.begin_epoch())
    new = box.claim(folder, box.begin_epoch())
    assert old is not None and new is not None
    assert not box.commit(NAME, old, Ended("FAILED", reason="late"))
    assert outcome_in(folder) is None
    assert box.waiting() == [(NAME, folder)]
    assert box.commit(NAME, new, DONE)


def test_an_older_supervisor_claims_nothing_that_a_newer_one_has(
    box: Mailbox, folder: Path
) -> None:
    box.post(NAME, folder, a_request())
    old, new = box.begin_epoch(), box.begin_epoch()
    own = box.claim(folder, new)
    assert own is not None
    with pytest.raises(Superseded):
        box.claim(folder, old)
    assert box.commit(NAME, own, DONE)


def test_what_an_older_supervisor_has_committed_stands(box: Mailbox, folder: Path) -> None:
    box.post(NAME, folder, a_request())
    old = box.claim(folder, box.begin_epoch())
    assert old is not None
    assert box.commit(NAME, old, DONE)
    assert box.claim(folder, box.begin_epoch()) is None
    ended = outcome_in(folder)
    assert ended is not None and ended.state == "COMPLETED"


def test_of_a_withdrawal_and_a_commit_the_first_wins(box: Mailbox, folder: Path) -> None:
    box.post(NAME, folder, a_request())
    own = box.claim(folder, box.begin_epoch())
    assert own is not None
    assert box.withdraw(NAME, folder, Ended("CANCELLED")).state == "CANCELLED"
    assert not box.commit(NAME, own, DONE)
    assert box.withdraw(NAME, folder, Ended("PREEMPTED")).state == "CANCELLED"


def test_the_number_of_each_epoch_is_its_own(box: Mailbox) -> None:
    with ThreadPoolExecutor(8) as threads:
        numbers = [*threads.map(lambda _: box.begin_epoch(), range(40))]
    assert sorted(numbers) == list(range(1, 41))


def test_of_supervisors_that_race_one_commits(box: Mailbox, tmp_path: Path) -> None:
    """Each claims and commits as fast as it can, on the same requests."""
    folders = [tmp_path / str(number) for number in range(60)]
    for number, place in enumerate(folders):
        place.mkdir()
        box.post(str(number), place, a_request())

    def supervise(_: int) -> int:
        epoch, done = box.begin_epoch(), 0
        for name, place in box.waiting():
            try:
                own = box.claim(place, epoch)
            except Superseded:
                continue
            if own is not None:
                done += box.commit(name, own, replace(DONE, job=str(epoch)))
        return done

    with ThreadPoolExecutor(4) as threads:
        done = sum(threads.map(supervise, range(4)))
    assert done == len(folders) == sum(outcome_in(place) is not None for place in folders)
    assert box.waiting() == []


def test_four_drivers_on_one_key_get_one_outcome(box: Mailbox, folder: Path) -> None:
    script = Path(__file__).with_name("mailbox_toys.py")
    words = [sys.executable, str(script), str(box.root), str(folder), NAME, "a"]
    drivers = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    commits = 0
    while commits == 0:
        epoch = box.begin_epoch()
        for name, place in box.waiting():
            own = box.claim(place, epoch)
            commits += own is not None and box.commit(name, own, DONE)
    said = [driver.communicate(timeout=30)[0] for driver in drivers]
    assert len(set(said)) == 1 and said[0].startswith("COMPLETED try.")
    assert box.waiting() == []


# damage and a full disk


def cut(content: bytes) -> bytes:
    return content[: len(content.rstrip()) // 2]


def flip(content: bytes) -> bytes:
    place = content.index(b"\n") + 5
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


@pytest.mark.parametrize("damage", [cut, flip, lambda _: b"", lambda _: b"\0" * 4096])
@pytest.mark.parametrize("name", [REQUEST, OUTCOME])
def test_a_damaged_file_is_known_to_be(
    box: Mailbox, folder: Path, name: str, damage: Callable[[bytes], bytes]
) -> None:
    box.post(NAME, folder, a_request())
    own = box.claim(folder, box.begin_epoch())
    assert own is not None and box.commit(NAME, own, DONE)
    path = folder / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DamagedDocument, match=f"{name} is damaged"):
        request_in(folder) if name == REQUEST else outcome_in(folder)


def test_a_damaged_outcome_is_set_aside_and_the_work_is_done_again(
    box: Mailbox, folder: Path
) -> None:
    box.post(NAME, folder, a_request())
    own = box.claim(folder, box.begin_epoch())
    assert own is not None and box.commit(NAME, own, DONE)
    (folder / OUTCOME).write_bytes(b"?")
    set_aside(folder)
    box.mark(NAME, folder)
    assert box.waiting() == [(NAME, folder)]
    again = box.claim(folder, box.begin_epoch())
    assert again is not None and box.commit(NAME, again, DONE)
    assert outcome_in(folder) == replace(DONE, place="try.2.2")


def test_a_withdrawal_takes_the_place_of_a_damaged_outcome(box: Mailbox, folder: Path) -> None:
    (folder / OUTCOME).write_bytes(b"?")
    assert box.withdraw(NAME, folder, Ended("CANCELLED")) == Ended("CANCELLED")


def test_an_outcome_is_written_where_there_was_room_before(box: Mailbox, folder: Path) -> None:
    box.post(NAME, folder, a_request())
    own = box.claim(folder, box.begin_epoch())
    assert own is not None
    before = (own.path / ROOM).stat()
    assert box.commit(NAME, own, replace(DONE, state="FAILED", reason="\U0001f701" * 4000))
    after = (own.path / ROOM).stat()
    assert (before.st_ino, before.st_blocks) == (after.st_ino, after.st_blocks)
    ended = outcome_in(folder)
    assert ended is not None and ended.state == "FAILED"
