"""How each driver of a run ended, in words."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from loop.toys import Counting, Draw, Tally
from qcsc_loop.errors import LeaseLost
from qcsc_loop.reports.view import driver_ends
from qcsc_loop.rules.stop import MaxIterations
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal, Lease

RUN = "run"


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(DirectoryStore(tmp_path), RUN)


def drive(journal: Journal, last: int, toy: Counting | None = None) -> None:
    call = (toy or Counting()).run
    anyio.run(lambda: call(store=journal.store, run_id=RUN, stop=MaxIterations(last)))


def ends(journal: Journal) -> list[str]:
    return [how for _, how in driver_ends(journal)]


def taken(journal: Journal) -> Lease:
    """By another driver, while whoever has it lives."""
    return journal.claim(journal.settings(), {}, 30.0, take_over=True)


def test_a_driver_that_was_superseded_is_called_so(journal: Journal) -> None:
    class Overtaken(Counting):
        async def sample(self, state: Tally) -> Draw:
            if not leases:
                leases.append(taken(journal))
            return await super().sample(state)

    leases: list[Lease] = []
    with pytest.raises(LeaseLost):
        drive(journal, 1, Overtaken())
    assert ends(journal) == ["superseded by driver 2", "at work"]
    leases[0].release(None)
    assert ends(journal) == ["superseded by driver 2", "gone without a word"]
    drive(journal, 1, Overtaken())
    gone = "gone without a word; driver 3 went on"
    assert ends(journal) == ["superseded by driver 2", gone, "max_iterations"]
    assert journal.end(1) is None  # it has no say in how the run stands


def test_a_driver_that_was_killed_is_not_called_superseded(journal: Journal) -> None:
    code = f"""
import os, signal
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal
journal = Journal(DirectoryStore({journal.store.place!r}), {RUN!r})
journal.claim(journal.settings(), {{}}, 30.0)
os.kill(os.getpid(), signal.SIGKILL)
"""
    drive(journal, 0)
    subprocess.run([sys.executable, "-c", code], check=False)
    assert ends(journal) == ["max_iterations", "gone without a word"]
    drive(journal, 1)
    assert ends(journal)[1] == "gone without a word; driver 3 went on"


@pytest.mark.parametrize("content", ["", "no JSON", '{"by": "two"}', "[]"])
def test_a_note_that_is_damaged_says_nothing(
    journal: Journal, content: str, tmp_path: Path
) -> None:
    drive(journal, 0)
    (tmp_path / RUN / "epochs" / "0001-superseded.json").write_text(content)
    assert ends(journal) == ["max_iterations"]
