"""What a check asks of a life of a run, and what that life says."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

RUN_ID = "checked"
When = Literal["before", "after"]


@dataclass(frozen=True)
class Life:
    """One driver's life, in a process of its own.

    Attributes:
        store: the folder of the run's store.
        iterations: it ends after so many.
        start: what Python's and numpy's global generators are seeded with.
        folder: where it is started; empty: a new one.
        variables: what is in its environment beside what everybody has; None: taken out.
        reverse: parts of a step are begun in the reverse order.
        elsewhere: on what looks like another machine; see elsewhere.py.
        earlier: at what looks like another time; see clock.py.
        twice: the same run is driven before, elsewhere, in the same process.
        watch: notes what the algorithm's own files ask of clock, environment and chance.
        die_at: dies at this write of its store; 0: it lives.
        when: it dies there.
        boundary: dies at this write boundary, by its name; empty: it lives.
        keep: as of a run; None: everything.
        submissions: a file that gets a line for each submission that was accepted; empty: none does.
    """

    store: str
    iterations: int
    seed: int
    start: int = 1
    folder: str = ""
    variables: dict[str, str | None] = field(default_factory=dict[str, str | None])
    reverse: bool = False
    elsewhere: bool = False
    earlier: bool = False
    twice: bool = False
    watch: bool = False
    die_at: int = 0
    when: When = "before"
    boundary: str = ""
    keep: int | None = None
    submissions: str = ""

    def to_json(self) -> str:
        """As a line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Life:
        """From a line."""
        return cls(**json.loads(line))


@dataclass(frozen=True)
class Asked:
    """Something of the world that the algorithm's own code asked for.

    Attributes:
        what: "the clock", "the environment", "global randomness", "the process", "the machine",
            "unwritten memory".
        name: the function, or the environment's variable.
        hook, iteration: in which call; no hook: when its file was imported.
        where: `file.py:12`.
    """

    what: str
    name: str
    hook: str
    iteration: int
    where: str

    def __str__(self) -> str:
        return f"{self.name} at {self.where}"


@dataclass(frozen=True)
class Lived:
    """What became of a life.

    Attributes:
        writes: how many writes its store saw.
        error: what ended it, as a sentence; empty: nothing.
        hook, iteration: of a hook's error.
        part: what that hook has changed, by dotted name.
        said: of one that an error ended, the last lines of its output.
        boundaries: the write boundaries that it came by, by name, in their order.
    """

    writes: int = 0
    error: str = ""
    hook: str = ""
    iteration: int = 0
    part: str = ""
    said: str = ""
    asked: tuple[Asked, ...] = ()
    boundaries: tuple[str, ...] = ()

    def to_json(self) -> str:
        """As a line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Lived:
        """From a line."""
        facts: dict[str, Any] = json.loads(line)
        facts["asked"] = tuple(Asked(**each) for each in facts["asked"])
        facts["boundaries"] = tuple(facts["boundaries"])
        return cls(**facts)
