"""What all commands and jobs of one fake machine share: an SQLite file, and how to change it."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from types import TracebackType

from qcsc_hpc.testing.executables.job import COLUMNS, Job
from qcsc_hpc.testing.executables.processes import birth
from qcsc_hpc.testing.fault import Fault

FILE = "state.sqlite"
WAIT_SECONDS = 60.0

_TABLES = f"""
CREATE TABLE jobs ({", ".join(COLUMNS)}, PRIMARY KEY (number));
CREATE TABLE faults (fault, times, seconds, reason, command);
CREATE TABLE commands (time, argv, rc);
CREATE TABLE processes (pid, birth);
CREATE TABLE settings (name PRIMARY KEY, value);
"""


class NoMachine(Exception):
    """The folder has no machine, or no longer."""


# Many short methods: one for each thing that a command asks of the one file.
class State:
    """A transaction on the machine's state, alone on the machine until the `with` block ends.

    Raises:
        NoMachine: there is none in the folder.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.now = time.time()

    def __enter__(self) -> State:
        file = os.path.join(self.folder, FILE)
        if not os.path.exists(file):  # connecting would make one, in a folder being deleted
            raise NoMachine(self.folder)
        self._rows = sqlite3.connect(file, timeout=WAIT_SECONDS, isolation_level=None)
        self._rows.row_factory = sqlite3.Row
        # a killed process loses nothing by it, only a machine without power does
        self._rows.execute("PRAGMA synchronous = OFF")
        self._rows.execute("BEGIN IMMEDIATE")
        self.now = time.time()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._rows.execute("COMMIT" if kind is None else "ROLLBACK")
        self._rows.close()

    @staticmethod
    def create(folder: str, settings: dict[str, object]) -> None:
        """Makes the file; if there is one, it stays, with new settings."""
        file = os.path.join(folder, FILE)
        if not os.path.exists(file):
            unfinished = f"{file}.new"
            rows = sqlite3.connect(unfinished)
            rows.executescript(_TABLES)
            rows.close()
            os.rename(unfinished, file)
        with State(folder) as state:
            for name, value in settings.items():
                state.set(name, value)

    def setting(self, name: str) -> object:
        """What was set; None if nothing was."""
        row = self._rows.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return None if row is None else json.loads(row["value"])

    def number_setting(self, name: str) -> float:
        """What was set, which is a number."""
        value = self.setting(name)
        assert isinstance(value, int | float)
        return value

    def text_setting(self, name: str) -> str:
        """What was set, which is a text."""
        return str(self.setting(name))

    def limits(self, name: str) -> dict[str, float | None]:
        """What was set, which are limits by name."""
        value = self.setting(name)
        assert isinstance(value, dict)
        return value

    def set(self, name: str, value: object) -> None:
        """Keeps a setting."""
        replace = "INSERT OR REPLACE INTO settings VALUES (?, ?)"
        self._rows.execute(replace, (name, json.dumps(value)))

    def every_job(self) -> list[Job]:
        """All there ever were, oldest first."""
        return [Job(dict(row)) for row in self._rows.execute("SELECT * FROM jobs ORDER BY number")]

    def known_jobs(self) -> list[Job]:
        """Those that a command may know of, oldest first."""
        return [job for job in self.every_job() if not job.hidden and job.submitted <= self.now]

    def job(self, id: str) -> Job | None:
        """The one that a command may know by this id."""
        return next((job for job in self.known_jobs() if job.id == id), None)

    def any_job(self, id: str) -> Job | None:
        """The one with this id, though no command may know it."""
        row = self._rows.execute("SELECT * FROM jobs WHERE id = ?", (id,)).fetchone()
        return None if row is None else Job(dict(row))

    def save(self, job: Job) -> None:
        """Keeps a job."""
        marks = ", ".join("?" for _ in COLUMNS)
        values = [getattr(job, name) for name in COLUMNS]
        self._rows.execute(f"INSERT OR REPLACE INTO jobs VALUES ({marks})", values)

    def next_number(self) -> int:
        """For the next job."""
        (last,) = self._rows.execute("SELECT MAX(number) FROM jobs").fetchone()
        return int(last or 0) + 1

    def inject(
        self, fault: str, times: int, seconds: float | None, reason: str, command: str
    ) -> None:
        """Has a fault strike."""
        values = (fault, times, seconds, reason, command)
        self._rows.execute("INSERT INTO faults VALUES (?, ?, ?, ?, ?)", values)

    def forget_faults(self) -> None:
        """None is due any more."""
        self._rows.execute("DELETE FROM faults")

    def take(self, fault: Fault, command: str = "") -> sqlite3.Row | None:
        """Uses up one strike of a fault; None if none is due for this command."""
        found: sqlite3.Row | None = self._rows.execute(
            "SELECT rowid, * FROM faults WHERE fault = ? AND times > 0 AND command IN ('', ?)"
            " ORDER BY rowid",
            (fault.value, command),
        ).fetchone()
        if found is not None:
            less = "UPDATE faults SET times = times - 1 WHERE rowid = ?"
            self._rows.execute(less, (found["rowid"],))
        return found

    def note_command(self, command: str, arguments: list[str]) -> int:
        """Records that a command was called; its entry, for `note_end`."""
        values = (self.now, json.dumps([command, *arguments]))
        cursor = self._rows.execute("INSERT INTO commands VALUES (?, ?, NULL)", values)
        return cursor.lastrowid or 0

    def note_end(self, entry: int, rc: int) -> None:
        """Records with which exit code it ended."""
        self._rows.execute("UPDATE commands SET rc = ? WHERE rowid = ?", (rc, entry))

    def noted_commands(self) -> list[tuple[float, list[str], int | None]]:
        """Time, argv and exit code of all commands, in the order of their calls."""
        rows = self._rows.execute("SELECT * FROM commands ORDER BY rowid")
        return [(row["time"], json.loads(row["argv"]), row["rc"]) for row in rows]

    def note_process(self) -> None:
        """Records this process, for `stop()`."""
        pid = os.getpid()
        self._rows.execute("INSERT INTO processes VALUES (?, ?)", (pid, birth(pid)))

    def noted_processes(self) -> list[tuple[int, int]]:
        """Process ids, each with when it began: ids come again."""
        return [(row["pid"], row["birth"]) for row in self._rows.execute("SELECT * FROM processes")]

    def forget_processes(self) -> None:
        """They are gone."""
        self._rows.execute("DELETE FROM processes")
