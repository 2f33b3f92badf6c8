"""The console script as a person starts it: in a process and an environment of its own."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal
from system.documented import require_documented
from system.interpreter import SCRIPT, interpreter
from waiting import DEADLINE_SECONDS, alive, until

TOYS = Path(__file__).with_name("toys.py")
WANDER = f"{TOYS}:Wander"
LONGEST_SECONDS = 120.0
BOUND_SECONDS = 30.0  # on a busy machine, from a signal to the end of driver and children


@dataclass(frozen=True)
class Result:
    """How a command ended, and what it said."""

    words: tuple[str, ...]
    code: int
    out: str
    err: str

    @property
    def answer(self) -> Any:
        """The JSON in the last line of stdout, which has to be as docs/json.schema.json has it."""
        return self._read(self.out.splitlines()[-1])

    @property
    def answers(self) -> list[Any]:
        """The same of every line, of a command that goes on."""
        return [self._read(line) for line in self.out.splitlines()]

    def _read(self, line: str) -> Any:
        answer = json.loads(line)
        if "--json" in self.words:
            require_documented(self.words, answer)
        return answer

    @property
    def refusal(self) -> str:
        """The one sentence of a command that failed."""
        assert self.code != 0, self
        assert "Traceback" not in self.out + self.err, self
        sentences = [line for line in self.err.splitlines() if line.startswith("qcsc-loop: ")]
        assert len(sentences) == 1, self
        return sentences[0].removeprefix("qcsc-loop: ")

    def well(self) -> Result:
        """Itself, if the command did what it was asked for."""
        assert self.code == 0, self
        assert "Traceback" not in self.out + self.err, self
        return self


class Background:
    """A command that is running."""

    def __init__(
        self, words: tuple[str, ...], process: subprocess.Popen[str], out: Path, err: Path
    ) -> None:
        self.process, self.pid, self._out, self._err = process, process.pid, out, err
        self._words = words

    @property
    def said(self) -> str:
        """Both streams so far."""
        return self._out.read_text() + self._err.read_text()

    def children(self) -> list[psutil.Process]:
        """Every process below it."""
        try:
            return psutil.Process(self.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def child(self, words: str) -> list[psutil.Process]:
        """Processes below it with these words in their command line."""
        found = []
        for child in self.children():
            try:
                if words in " ".join(child.cmdline()):
                    found.append(child)
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                continue
        return found

    def until_there_is(self, path: Path) -> None:
        """Waits for a file that the command's hooks write."""
        until(lambda: path.exists() or self.process.poll() is not None, f"there is {path.name}")
        assert path.exists(), self.result()

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def result(self, seconds: float = LONGEST_SECONDS) -> Result:
        """Waits for its end, at most so long."""
        code = self.process.wait(seconds)
        return Result(self._words, code, self._out.read_text(), self._err.read_text())

    def kill(self) -> list[psutil.Process]:
        """Kills the process alone; returns those that were below it."""
        below = self.children()
        self.process.kill()
        self.process.wait(DEADLINE_SECONDS)
        return below

    def end(self) -> None:
        """Ends it with all below it."""
        for child in self.children():
            child.kill()
        self.process.kill()
        self.process.wait(DEADLINE_SECONDS)


def ended_by(driver: Background, *signals: signal.Signals) -> int:
    """Sends the signals; the exit code, once driver and children are gone within the bound."""
    below = driver.children()
    began = time.monotonic()
    for number in signals:
        driver.send(number)
    code = driver.process.wait(BOUND_SECONDS)
    until(lambda: not any(alive(child.pid) for child in below), "its children are gone")
    assert time.monotonic() - began < BOUND_SECONDS, driver.said
    return code


def until_gone(processes: list[psutil.Process]) -> None:
    """Waits for the end of processes that nobody ends here, and ends what is left after that."""
    try:
        until(lambda: not any(alive(process.pid) for process in processes), f"{processes} are gone")
    finally:
        for process in processes:
            with suppress(psutil.NoSuchProcess):  # it knows itself from one with its number
                process.kill()


@dataclass
class CommandLine:
    """Runs `qcsc-loop` with a store of its own.

    Attributes:
        folder: where its output and the toys' files go.
        environment: what the process sees.
    """

    folder: Path
    environment: dict[str, str]
    _started: list[Background] = field(default_factory=list[Background])
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def store(self) -> Path:
        return Path(self.environment["QCSC_LOOP_STORE"])

    def journal(self, run_id: str, store: Path | None = None) -> Journal:
        """A run's journal, read without the command line."""
        return Journal(DirectoryStore(store or self.store), run_id)

    def __call__(
        self, *words: str | Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> Result:
        """A command, to its end."""
        environment, place = {**self.environment, **(env or {})}, cwd or self.folder
        if (ready := interpreter(environment)) is None:
            return self.start(*words, env=env, cwd=cwd).result()
        out, err = self._streams()
        code = ready.run(
            [*map(str, words)],
            environment=environment,
            folder=place,
            out=out,
            err=err,
            seconds=LONGEST_SECONDS,
        )
        return Result(tuple(map(str, words)), code, out.read_text(), err.read_text())

    def start(
        self,
        *words: str | Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        program: Path = SCRIPT,
    ) -> Background:
        """The same in the background, as a person starts it; or another program."""
        out, err = self._streams()
        with out.open("w") as stdout, err.open("w") as stderr:
            process = subprocess.Popen(
                [str(program), *map(str, words)],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env={**self.environment, **(env or {})},
                cwd=cwd or self.folder,
                text=True,
            )
        self._started.append(Background(tuple(map(str, words)), process, out, err))
        return self._started[-1]

    def _streams(self) -> tuple[Path, Path]:
        """Two files that are empty, for what the next command says."""
        out = self.folder / f"{next(self._numbers)}.out"
        err = out.with_suffix(".err")
        out.touch()
        err.touch()
        return out, err

    def close(self) -> None:
        for background in self._started:
            background.end()

    def status(self, run_id: str) -> str:
        """What `show` says of a run."""
        return str(self("show", run_id, "--json").well().answer["status"])


def environment(store: Path, prefect_home: Path) -> dict[str, str]:
    """This process's environment, without what would lead to a person's Prefect or store."""
    own = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PREFECT_", "QCSC_LOOP_", "COLUMNS", "LINES"))
    }
    # nothing here shall ever cost a person's settings or their database
    return own | {
        "QCSC_LOOP_STORE": str(store),
        "QCSC_LOOP_KEY_FILE": os.environ["QCSC_LOOP_KEY_FILE"],
        "QCSC_LOOP_SERVER": os.environ["QCSC_LOOP_SERVER"],
        "PREFECT_HOME": str(prefect_home),
    }


@contextmanager
def command_line(folder: Path, prefect_home: Path, **more: str) -> Iterator[CommandLine]:
    """A command line whose processes end with the block."""
    folder.mkdir(parents=True, exist_ok=True)
    line = CommandLine(folder, environment(folder / "store", prefect_home) | more)
    try:
        yield line
    finally:
        line.close()


def setting(**parameters: Any) -> list[str]:
    """Parameters as `--set` words."""
    words = ((name, v if isinstance(v, str) else json.dumps(v)) for name, v in parameters.items())
    return [word for name, value in words for word in ("--set", f"{name}={value}")]


def files_below(folder: Path) -> list[str]:
    """Every file below a folder, relative to it; without signs of life."""
    names = (str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in names if not name.endswith(".beat"))


class Executions:
    """How often the toy's hooks were executed, and which of them may not be executed again."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace
        self.final: dict[tuple[str, int], int] = {}

    def counts(self) -> Counter[tuple[str, int]]:
        lines = self.trace.read_text().splitlines() if self.trace.exists() else []
        return Counter((line.split()[0], int(line.split()[1])) for line in lines)

    def note_records(self, journal: Journal) -> None:
        """Takes down what the store has now: those steps are paid for."""
        counts = self.counts()
        names = journal.store.names(f"{journal.run_id}/steps")
        recorded = [(name.split(".")[1], int(name.split(".")[0])) for name in names]
        committed = [("update", commit.iteration) for commit in journal.history()]
        for step in (*recorded, *committed):
            self.final.setdefault(step, counts[step])

    def repeated(self) -> dict[tuple[str, int], int]:
        """Steps that were executed again after their record was on disk."""
        counts = self.counts()
        return {step: counts[step] for step, before in self.final.items() if counts[step] > before}
