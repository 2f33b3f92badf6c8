"""The peer, qcsc-prefect, in an environment of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

VERSION = "0.3.0"
REQUIREMENTS = (f"qcsc-prefect=={VERSION}", "fastapi<0.151")  # older Prefects need the second
INSTALL_SECONDS = 900
END_SECONDS = 30  # from the end of its input to its own end

WORKER = Path(__file__).with_name("qcsc_prefect_worker.py")
QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "DO_NOT_TRACK": "1",
}


class Peer:
    """A running worker."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process, self._log = process, log

    def count(self, folder: Path, poll_seconds: float) -> None:
        """Has the folder's shots counted."""
        self.ask(f"{poll_seconds:g} {folder}", expected="0")

    def ask(self, line: str, *, expected: str) -> None:
        """Raises RuntimeError unless the worker says what is expected."""
        assert self._process.stdin is not None and self._process.stdout is not None
        if line:
            print(line, file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline().strip()
        if answer != expected:
            said = self._log.read_text()[-2000:]
            raise RuntimeError(f"qcsc-prefect: {answer or 'no answer'}, not {expected}\n{said}")


@contextmanager
def qcsc_prefect(folder: Path, *words: str) -> Iterator[Peer | None]:
    """The peer with a Prefect server of its own; None if it cannot be installed, which is said."""
    python = _installed(folder / "environment")
    if python is None:
        yield None
        return
    theirs = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
    log = folder / "peer.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [str(python), str(WORKER), *words],
            env={**theirs, **QUIET, "PREFECT_HOME": str(folder / "home")},
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    try:
        peer = Peer(process, log)
        peer.ask("", expected="ready")
        yield peer
    finally:
        _end(process)


def _installed(environment: Path) -> Path | None:
    python = environment / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    try:
        subprocess.run(
            [str(python), "-m", "pip", "install", "--quiet", *REQUIREMENTS],
            check=True,
            timeout=INSTALL_SECONDS,
            capture_output=True,
            text=True,
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        why = str(error.stderr or error).strip().splitlines()[-1:]
        print(f"SKIPPED, NO COMPARISON WITH THE PEER: no qcsc-prefect: {why}", file=sys.stderr)
        return None
    return python


def _end(process: subprocess.Popen[str]) -> None:
    """With the server that Prefect started for it."""
    family = psutil.Process(process.pid).children(recursive=True)
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    _, alive = psutil.wait_procs(family, timeout=3)
    for child in alive:
        child.kill()
