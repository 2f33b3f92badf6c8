"""A PostgreSQL server on 127.0.0.1 with a database of its own, from Debian's package."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

from waiting import DEADLINE_SECONDS, until

USER = "postgres"  # neither initdb nor the server runs as root
START_SECONDS = 60.0


def binaries() -> Path | None:
    """Where Debian keeps the newest version's programs; None if it is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


class PostgreSQL:
    """A server without passwords: whoever reaches the port may do everything."""

    def __init__(self) -> None:
        programs = binaries()
        assert programs is not None, "apt-get install postgresql"
        self._programs = programs
        self._folder = Path(tempfile.mkdtemp(prefix="postgresql-"))  # where its user may look
        if os.geteuid() == 0:
            shutil.chown(self._folder, USER, USER)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = int(probe.getsockname()[1])
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """As SQLAlchemy takes it."""
        return f"postgresql+asyncpg://{USER}@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        self._run("initdb", "-D", str(self._data), "-A", "trust", "-U", USER, "--no-sync")
        command = [
            *(str(self._programs / "postgres"), "-D", str(self._data), "-p", str(self._port)),
            *("-k", str(self._folder), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"),
        ]
        self._process = subprocess.Popen(
            [*self._as_user("--pdeathsig", "KILL"), *command],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(self._answers, "PostgreSQL answers", START_SECONDS)

    def skew(self, seconds: float) -> None:
        """Its clock is so far ahead of this machine's from now on, before anything is made in it."""
        later = f"pg_catalog.now() + interval '{seconds} seconds'"
        for words in (
            f"CREATE FUNCTION public.now() RETURNS timestamptz LANGUAGE sql AS $$SELECT {later}$$",
            "ALTER DATABASE postgres SET search_path = public, pg_catalog",
        ):
            self._run("psql", "-h", "127.0.0.1", "-p", str(self._port), "-U", USER, "-c", words)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(DEADLINE_SECONDS)
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _answers(self) -> bool:
        assert self._process is not None and self._process.poll() is None, "PostgreSQL ended"
        words = [str(self._programs / "pg_isready"), "-h", "127.0.0.1", "-p", str(self._port)]
        return subprocess.run(words, capture_output=True, check=False).returncode == 0

    def _run(self, program: str, *words: str) -> None:
        command = [*self._as_user(), str(self._programs / program), *words]
        subprocess.run(command, cwd="/", check=True, capture_output=True)

    def _as_user(self, *options: str) -> list[str]:
        """util-linux's setpriv(1): Python cannot be the wrapper, which that user may not read."""
        if os.geteuid() != 0:
            return ["setpriv", *options] if options else []
        who = ("--reuid", USER, "--regid", USER, "--clear-groups")
        return ["setpriv", *options, *who]
