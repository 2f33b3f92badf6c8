"""A real Slurm on one machine, for tests: `python tests/cluster/slurm.py install|up|down|env`."""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import secrets
import shlex
import shutil
import socket
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

if __name__ == "__main__":  # a script finds the modules beside it, but not their folder
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cluster import packages
from cluster.configuration import (
    ACCOUNT,
    CLUSTER,
    DRAINED_NODE,
    NODES,
    WORKING_NODES,
    Configuration,
)
from cluster.daemons import Daemons
from cluster.failure import ClusterFailed
from cluster.processes import end, is_reached, run, stop, tree

DEFAULT_ROOT = Path("/tmp/qcsc-cluster")
FOLDERS = ("log", "run", "state", "tmp", *(f"spool/{node}" for node in NODES))
QPU_OPTION = Path(__file__).with_name("qpu_option.c")

START_SECONDS = 60.0
EMPTY_SECONDS = 10.0  # for cancelled jobs to leave the queue


class SlurmCluster:
    """slurmctld, slurmdbd with its database, and a slurmd for each virtual node.

    All files are below `root` and outlive `stop()`: the next start's sacct knows the jobs of the
    last. Starts and stops of one root wait for each other, in whatever process.

    Example:
        A session's fixture::

            @pytest.fixture(scope="session")
            def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
                cluster = SlurmCluster(tmp_path_factory.mktemp("slurm"))
                cluster.start()
                yield cluster
                cluster.stop()
    """

    def __init__(self, root: Path = DEFAULT_ROOT) -> None:
        self.root = root.resolve()
        self._daemons = Daemons(self.root)

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs on top of its own environment to use this cluster."""
        folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
        added = [folder for folder in ("/usr/bin",) if folder not in folders]
        return {
            "SLURM_CONF": self._daemons.environment["SLURM_CONF"],
            "PATH": os.pathsep.join([*folders, *added]),
        }

    def start(self) -> bool:
        """Returns once jobs can run: False if it was up already, True if this call did it.

        What runs goes on, so a slurmctld that a test has ended comes back to its jobs.

        Raises:
            ClusterFailed: it does not come up, and is stopped; the sentence holds a log's end.
        """
        if os.geteuid() != 0:
            raise ClusterFailed("a slurmd that starts jobs has to be root's, so run this as root")
        with self._locked():
            if self._is_up():
                return False
            try:
                self._start()
            except BaseException:
                self._stop()
                raise
            return True

    def stop(self) -> None:
        """Cancels all jobs and ends every process of this cluster. The files stay.

        Raises:
            ClusterFailed: a process survives even SIGKILL.
        """
        if self.root.exists():
            with self._locked():
                self._stop()

    def stop_controller(self) -> None:
        """An outage: jobs run on, but each Slurm command fails, and only after about 9 s.

        `start()` ends it.
        """
        with self._locked():
            stop([self._daemons.slurmctld])

    @contextmanager
    def _locked(self) -> Generator[None]:
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _is_up(self) -> bool:
        if any(daemon.pid is None for daemon in self._daemons):
            return False
        return self._succeeds("sinfo", "--noheader")

    def _start(self) -> None:
        if not any(daemon.pid for daemon in self._daemons):
            self._prepare()
        self._start_accounting()
        self._daemons.slurmctld.start(lambda: self._succeeds("sinfo", "--noheader"), START_SECONDS)
        for slurmd in self._daemons.slurmds:
            slurmd.start(lambda: True, START_SECONDS)
        if not is_reached(self._nodes_are_brought_up, START_SECONDS):
            nodes = self._run("sinfo", "--Node", "--long")
            raise ClusterFailed(f"not all nodes serve after {START_SECONDS:g} s:\n{nodes}")

    def _prepare(self) -> None:
        for folder in FOLDERS:
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        configuration = Configuration.of_this_machine(self.root)
        configuration.write()
        library = configuration.qpu_plugin
        self._run("gcc", "-shared", "-fPIC", "-O1", "-Wall", "-o", library, QPU_OPTION)
        self._make_key()
        self._make_database()

    def _make_key(self) -> None:
        key = self.root / "munge.key"
        if not key.exists():
            key.touch(mode=0o600)
            key.write_bytes(secrets.token_bytes(128))

    def _make_database(self) -> None:
        database = self.root / "database"
        if database.exists():
            return
        unfinished = self.root / "database.new"  # renamed when whole: a killed start begins anew
        shutil.rmtree(unfinished, ignore_errors=True)
        self._run(
            "mariadb-install-db",
            *self._daemons.database_options(unfinished),
            "--skip-test-db",
            "--auth-root-authentication-method=socket",
        )
        unfinished.rename(database)

    def _start_accounting(self) -> None:
        """Before slurmctld, which reads the accounts when it starts."""
        daemons = self._daemons
        daemons.munged.start(lambda: self._listens("munge.socket"), START_SECONDS)
        daemons.mariadbd.start(lambda: self._listens("mariadb.socket"), START_SECONDS)
        daemons.slurmdbd.start(lambda: self._succeeds("sacctmgr", "show", "stats"), START_SECONDS)
        self._add_accounts()

    def _add_accounts(self) -> None:
        add = ("sacctmgr", "--immediate", "--quiet", "add")
        query = ("show", "associations", f"account={ACCOUNT}", "user=root", "format=user")
        if self._run("sacctmgr", "--noheader", *query).strip():
            return
        for what in (
            ("cluster", CLUSTER),
            ("account", ACCOUNT, f"cluster={CLUSTER}"),
            ("user", "root", f"account={ACCOUNT}"),
        ):
            # "exists already" is a failure for sacctmgr, and what a killed start leaves
            with suppress(ClusterFailed):
                self._run(*add, *what)
        default = ("set", f"defaultaccount={ACCOUNT}")
        self._run("sacctmgr", "--immediate", "modify", "user", "root", *default)

    def _nodes_are_brought_up(self) -> bool:
        """Repairs, too, what tests did to the nodes before the last stop."""
        lines = self._run("sinfo", "--noheader", "--Node", "--format=%N %T").splitlines()
        states = {line.split()[0]: line.split()[1] for line in lines}
        lame = [node for node in WORKING_NODES if states[node].startswith(("down", "drain"))]
        for node in lame:
            self._succeeds("scontrol", "update", f"nodename={node}", "state=resume")
        if states[DRAINED_NODE] != "drained":
            drain = (f"nodename={DRAINED_NODE}", "state=drain", "reason=for tests")
            self._succeeds("scontrol", "update", *drain)
            return False
        return all(states[node] in ("idle", "mixed", "allocated") for node in WORKING_NODES)

    def _stop(self) -> None:
        self._cancel_jobs()
        stop([self._daemons.slurmctld])
        stop(self._daemons.slurmds)
        end(self._steps(), kindly=False)
        # slurmctld has handed over its last records by now
        stop([self._daemons.slurmdbd])
        stop([self._daemons.mariadbd])
        stop([self._daemons.munged])

    def _cancel_jobs(self) -> None:
        """While there is somebody to do it: a slurmd's end does not end its jobs."""
        if self._daemons.slurmctld.pid is None:
            return
        if self._succeeds("scancel", "--me"):
            is_reached(self._queue_is_empty, EMPTY_SECONDS)

    def _queue_is_empty(self) -> bool:
        try:
            return not self._run("squeue", "--noheader").strip()
        except ClusterFailed:
            return True  # nobody left to ask

    def _steps(self) -> list[int]:
        """What outlived a slurmd: its slurmstepds, which live in its folder, and their tasks."""
        log = self.root / "log"
        steps = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                program = (process / "exe").readlink().name
                if program.startswith("slurmstepd") and (process / "cwd").readlink() == log:
                    steps += tree(int(process.name))
        return steps

    def _run(self, *command: str | Path) -> str:
        return run(command, self._daemons.environment)

    def _succeeds(self, *command: str | Path) -> bool:
        try:
            self._run(*command)
        except ClusterFailed:
            return False
        return True

    def _listens(self, name: str) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.root / "run" / name)) == 0


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=["install", "up", "down", "env"])
    parser.add_argument("--root", type=Path, default=DEFAULT_ROOT, help="default: %(default)s")
    parser.add_argument("--json", action="store_true", help="env: JSON, not shell exports")
    given = parser.parse_args()
    try:
        _act(given.action, SlurmCluster(given.root), as_json=given.json)
    except ClusterFailed as error:
        sys.exit(f"slurm.py {given.action}: {error}")


def _act(action: str, cluster: SlurmCluster, *, as_json: bool) -> None:
    began = time.monotonic()
    match action:
        case "install":
            print("installed:", *(packages.install() or ["nothing was missing"]))
        case "up":
            how = "up" if cluster.start() else "was up already"
            print(f"{how} after {time.monotonic() - began:.1f} s: {cluster.root}")
        case "down":
            cluster.stop()
            print(f"down after {time.monotonic() - began:.1f} s: {cluster.root}")
        case "env" if as_json:
            print(json.dumps(cluster.environment))
        case _:
            for name, value in cluster.environment.items():
                print(f"export {name}={shlex.quote(value)}")


if __name__ == "__main__":
    main()
