"""The name of a remote job: the same in every driver that comes to the same step."""

from __future__ import annotations

import hashlib

from pydantic import BaseModel, ConfigDict

NAME_LENGTH = 60  # PJM takes 63 characters, all others more
DIGEST_LENGTH = 20
Work = tuple[str, int, str, str, str]


def checked_name(name: str) -> str:
    """The name, if it can be a part of a folder's.

    Raises:
        ValueError: it cannot.
    """
    if not name or name.startswith(".") or "/" in name or "\0" in name:
        raise ValueError(f"a job's name is part of a folder's: {name!r} cannot be one")
    return name


class JobKey(BaseModel):
    """Which job of which step of which run.

    Attributes:
        run_uid: tells this run from one of the same id in another store.
        label: the step's part, as in `labelled`.
        name: which of the part's jobs.
        attempt: how many jobs of this name ended badly before.
    """

    model_config = ConfigDict(frozen=True)

    run_id: str
    run_uid: str
    iteration: int
    step: str
    label: str = ""
    name: str
    attempt: int = 0

    def __str__(self) -> str:
        parts = [self.run_id, str(self.iteration), self.step, self.label, self.name]
        return "/".join(part for part in parts if part) + f".{self.attempt}"

    @property
    def digest(self) -> str:
        """A hash over all of it."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    @property
    def job_name(self) -> str:
        """What the job is called where it runs: readable, unique, good for every scheduler."""
        room = NAME_LENGTH - DIGEST_LENGTH - 1
        shown = f"{self.name[:16]}-{self.iteration}-{self.run_id}"[:room].rstrip("-")
        plain = "".join(c if c.isascii() and (c.isalnum() or c == "-") else "-" for c in shown)
        name = f"{plain}-{self.digest[:DIGEST_LENGTH]}"
        return name if name[0].isalpha() else f"q{name}"

    @property
    def work(self) -> Work:
        """What all attempts of one run at the same thing have in common."""
        return self.run_uid, self.iteration, self.step, self.label, self.name
