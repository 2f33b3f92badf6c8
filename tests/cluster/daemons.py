"""The five programs that are the cluster, each with the way to start it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cluster.configuration import NODES
from cluster.processes import Daemon

MARK = "QCSC_TEST_CLUSTER"


class Daemons:
    """Those of the cluster below one root. Each is made anew when asked for; files are the state.

    Attributes:
        environment: all that they, and the commands that manage them, are given: nothing of the
            caller's, who may be inside a job of another Slurm.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._run = root / "run"
        self.environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "SLURM_CONF": str(root / "slurm.conf"),
            "MYSQL_UNIX_PORT": str(self._run / "mariadb.socket"),  # read by slurmdbd's client
            MARK: str(root),
        }

    def __iter__(self) -> Iterator[Daemon]:
        """In the order in which they need each other."""
        yield from (self.munged, self.mariadbd, self.slurmdbd, self.slurmctld, *self.slurmds)

    @property
    def munged(self) -> Daemon:
        return self._daemon(
            "munged",
            "munged",
            "--force",  # it would refuse folders that others can write to, as /tmp is
            f"--key-file={self._root}/munge.key",
            f"--socket={self._run}/munge.socket",
            f"--pid-file={self._run}/munged.pid",
            f"--log-file={self._root}/log/munged.log",
            f"--seed-file={self._run}/munge.seed",
        )

    @property
    def mariadbd(self) -> Daemon:
        return self._daemon(
            "mariadbd",
            *("start-stop-daemon", "--start", "--background"),  # it cannot do so by itself
            *("--pidfile", self._run / "mariadbd.pid", "--startas", "/usr/sbin/mariadbd", "--"),
            *self.database_options(self._root / "database"),
            "--skip-networking",
            f"--socket={self._run}/mariadb.socket",
            f"--pid-file={self._run}/mariadbd.pid",
            f"--log-error={self._root}/log/mariadbd.log",
            "--innodb-flush-log-at-trx-commit=0",  # no test needs the last second after a crash
        )

    @property
    def slurmdbd(self) -> Daemon:
        return self._daemon("slurmdbd", "slurmdbd")

    @property
    def slurmctld(self) -> Daemon:
        return self._daemon("slurmctld", "slurmctld")

    @property
    def slurmds(self) -> list[Daemon]:
        return [self._daemon(f"slurmd-{node}", "slurmd", "-N", node) for node in NODES]

    def database_options(self, folder: Path) -> list[str]:
        """What the database server needs to be told both when it is made and when it runs."""
        return [
            "--no-defaults",  # first, says its manual
            "--user=root",  # another user could not reach a root inside a private folder
            f"--datadir={folder}",
            f"--tmpdir={self._root}/tmp",  # two of them at once collide in /tmp
            "--innodb-log-file-size=8M",  # not 96 MB for each cluster
        ]

    def _daemon(self, name: str, *command: str | Path) -> Daemon:
        return Daemon(
            command=command,
            pid_file=self._run / f"{name}.pid",
            log=self._root / "log" / f"{name}.log",
            environment=self.environment,
            mark=MARK,
        )
