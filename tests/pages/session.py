"""A reader who types all of a page, in its order: `python -m pages.session PAGE [--go-on]`, in an
empty folder.

Python blocks see what those before them have defined, and may `await`; commands are typed into a
shell. What goes on until it is ended is ended when the page is.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import os
import re
import signal
import subprocess
import sys
import tomllib
import traceback
from contextlib import redirect_stderr, redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from types import CodeType
from typing import Any

from pages.blocks import COMMANDS, Block, blocks_of

ENDLESS = re.compile(
    r"qcsc-loop (?:serve|supervise|emit (?:files|backend)|track .*--follow|ui|watch)\b"
    r"(?!.*--once)"
)
DETACHED = re.compile(r"driven by process (\d+)")
PID = re.compile(r"\bPID\b")
OPEN = ". ./.reader 2> /dev/null || true"  # what the blocks before have exported
CLOSE = "export -p > .reader; env -0 > .exported"
LONGEST_SECONDS = 600


class Session:
    """What the reader has open."""

    def __init__(self) -> None:
        self._names: dict[str, Any] = {"__name__": "__page__"}  # Any: whatever the page defines
        self._loop = asyncio.Runner()
        self._going: list[subprocess.Popen[str]] = []
        self._said = ""
        self._drivers: list[str] = []

    def read(self, block: Block) -> None:
        """Does what a block asks for.

        Raises:
            AssertionError: it does not do what the page says.
        """
        self._run(block.notes.get("before", "").splitlines(), fails=False)
        if "not run" in block.notes or "of" in block.notes:
            return
        if "file" in block.notes:
            file = Path(block.notes["file"])
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.code)
        elif "said" in block.notes:
            assert _plain(block.code) in _plain(self._said), f"it said:\n{self._said}"
        elif block.language == "python":
            self._execute(block)
        elif block.language == "toml":
            tomllib.loads(block.code)
        elif block.language in COMMANDS:
            self._type(block.commands, fails="fails" in block.notes)

    def end(self) -> None:
        """Ends what goes on."""
        for process in self._going:
            # `watch` ends by itself where the reader kills what it shows, and says so
            fine = (None, 0, 1) if "qcsc-loop watch" in str(process.args) else (None, 0)
            assert process.poll() in fine, f"{process.args!r} ended with {process.returncode}"
            process.send_signal(signal.SIGINT)
            process.wait(60)
        for driver in self._drivers:
            with suppress(ProcessLookupError):
                os.kill(int(driver), signal.SIGTERM)
        self._run(["qcsc-loop server stop"], fails=False)
        self._loop.close()

    def _execute(self, block: Block) -> None:
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        code: CodeType = compile("\n" * (block.line - 1) + block.code, "page", "exec", flags)
        said = StringIO()
        failed = ""
        with redirect_stdout(said), redirect_stderr(said):
            try:
                done = eval(code, self._names)
                if inspect.isawaitable(done):
                    self._loop.run(_awaited(done))
            except Exception as error:
                failed = f"{type(error).__name__}: {error}"
                if "fails" not in block.notes:
                    raise
        assert bool(failed) == ("fails" in block.notes), f"it did not fail: {said.getvalue()}"
        self._said = said.getvalue() + failed

    def _type(self, words: str, *, fails: bool) -> None:
        script = re.sub(r"\s+#.*$", "", words, flags=re.MULTILINE)
        now: list[str] = []
        for line in script.splitlines():
            if ENDLESS.match(line.strip()):
                self._run(now, fails=False)
                now = []
                self._start(line.rstrip("& "))
                continue
            if PID.search(line):  # of a driver that the lines before start
                self._run(now, fails=False)
                now = []
            now.append(line)
        self._run(now, fails=fails)

    def _run(self, lines: list[str], *, fails: bool) -> None:
        if not any(line.strip() for line in lines):
            return
        script = "\n".join([OPEN, *lines, CLOSE])
        if self._drivers:
            script = PID.sub(self._drivers[-1], script)
        shell = ["bash", "-euo", "pipefail", "-c", script]
        done = subprocess.run(
            shell,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LONGEST_SECONDS,
            check=False,
        )
        self._said = done.stdout
        if not done.returncode:
            exported = Path(".exported").read_text().strip("\0").split("\0")
            os.environ.update({n: v for n, _, v in (line.partition("=") for line in exported)})
        self._drivers += DETACHED.findall(done.stdout)
        assert bool(done.returncode) == fails, f"exit code {done.returncode}:\n{done.stdout}"

    def _start(self, line: str) -> None:
        with Path(f"endless-{len(self._going)}.log").open("w") as log:
            self._going.append(
                subprocess.Popen(
                    ["bash", "-c", f"{OPEN}\nexec {line.strip()}"],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    text=True,
                )
            )


async def _awaited(done: Any) -> None:
    await done


def _plain(text: str) -> str:
    return " ".join(text.split())


def main(page: Path, *, go_on: bool = False) -> int:
    """The exit code; what is wrong is said with its line.

    Args:
        go_on: with the blocks after one that failed, for whoever writes the page.
    """
    session, wrong = Session(), 0
    for block in blocks_of(page):
        try:
            session.read(block)
        except Exception:
            print(f"{page.name}, line {block.line}:\n{block.code}\n{traceback.format_exc()}")
            wrong += 1
            if not go_on:
                break
    session.end()
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), go_on="--go-on" in sys.argv))
