"""What the cluster looks like: nodes, partitions, accounting, and the files that say so."""

from __future__ import annotations

import socket
import zlib
from dataclasses import dataclass
from pathlib import Path

from cluster.failure import ClusterFailed

CLUSTER = "qcsc"
ACCOUNT = "qcsc"  # the one account that jobs may be charged to, and the default one
WORKING_NODES = ("c1", "c2", "c3", "c4")
DRAINED_NODE = "c5"
NODES = (*WORKING_NODES, DRAINED_NODE)

ADDRESS = "127.0.0.1"
PORTS = range(20000, 32000)  # below those that Linux gives to outgoing connections
PORTS_NEEDED = 2 + len(NODES)
LONGEST_SOCKET = 107  # bytes, sun_path in unix(7)


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """One cluster below one folder.

    Attributes:
        root: holds all that the cluster writes.
        host: this machine's name, which slurmctld compares with its own configuration.
        first_port: slurmctld's; slurmdbd's and the nodes' follow.
    """

    root: Path
    host: str
    first_port: int

    @classmethod
    def of_this_machine(cls, root: Path) -> Configuration:
        """A configuration with ports that are free now.

        Raises:
            ClusterFailed: the machine's name does not mean 127.0.0.1, or the root's path is too long.
        """
        longest = len(bytes(root / "run" / "munge.socket.lock"))
        if longest > LONGEST_SOCKET:
            raise ClusterFailed(f"{root} is {longest - LONGEST_SOCKET} bytes too long for a socket")
        return cls(root=root, host=_own_name(), first_port=_free_ports(root))

    @property
    def slurm_conf(self) -> Path:
        return self.root / "slurm.conf"

    @property
    def munge_socket(self) -> Path:
        return self.root / "run" / "munge.socket"

    @property
    def qpu_plugin(self) -> Path:
        return self.root / "qpu_option.so"

    def write(self) -> None:
        """Writes the three files; slurmctld, slurmd and all commands find the rest from the first."""
        self.slurm_conf.write_text(_slurm_conf(self))
        (self.root / "plugstack.conf").write_text(f"required {self.qpu_plugin}\n")
        slurmdbd_conf = self.root / "slurmdbd.conf"
        slurmdbd_conf.write_text(_slurmdbd_conf(self))
        slurmdbd_conf.chmod(0o600)  # slurmdbd refuses anything wider


def _own_name() -> str:
    """This machine's name, once it is certain that Slurm's NoInAddrAny binds to loopback by it."""
    name = socket.gethostname()
    try:
        address = socket.gethostbyname(name)
    except OSError:
        address = "nothing"
    if address != ADDRESS:
        # another loopback address is not enough: slurmd answers srun at 127.0.0.1 whatever it is
        cure = f"put '{ADDRESS} {name}' at the head of /etc/hosts"
        raise ClusterFailed(f"this machine's name {name} means {address}: {cure}")
    return name.partition(".")[0]


def _free_ports(root: Path) -> int:
    """The first of enough free ports in a row, sought from a place of the root's own."""
    blocks = range(PORTS.start, PORTS.stop - PORTS_NEEDED, PORTS_NEEDED)
    start = zlib.crc32(bytes(root)) % len(blocks)
    from_there: list[int] = [*blocks[start:], *blocks[:start]]
    for block in from_there:
        if all(_is_free(port) for port in range(block, block + PORTS_NEEDED)):
            return block
    raise ClusterFailed(f"no {PORTS_NEEDED} free ports in a row in {PORTS}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # as Slurm does: connections that a stopped cluster left behind do not count
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, port))
        except OSError:
            return False
    return True


def _slurm_conf(cluster: Configuration) -> str:
    root, port = cluster.root, cluster.first_port
    nodes = "\n".join(
        f"NodeName={name} NodeHostname={cluster.host} NodeAddr={ADDRESS} Port={node_port}"
        for node_port, name in enumerate(NODES, start=port + 2)
    )
    return f"""\
ClusterName={CLUSTER}
SlurmctldHost={cluster.host}({ADDRESS})
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny

AuthType=auth/munge
AuthInfo=socket={cluster.munge_socket}
CredType=cred/munge

StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool/%n
SlurmctldPidFile={root}/run/slurmctld.pid
SlurmdPidFile={root}/run/slurmd-%n.pid
SlurmctldLogFile={root}/log/slurmctld.log
SlurmdLogFile={root}/log/slurmd-%n.log
PlugStackConfig={root}/plugstack.conf
MailProg=/bin/true

# no cgroups: containers often have none that root may write to
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
MpiDefault=pmi2

SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
# seconds and microseconds between two looks at the queue: short, so that tests are
SchedulerParameters=batch_sched_delay=0,bf_interval=2,sched_interval=2,sched_min_interval=10000
Licenses=qpu:1

# a node that was down serves again as soon as it answers
ReturnToService=2
# generous, because other work on a busy machine is no failed node
SlurmctldTimeout=60
SlurmdTimeout=60
# seconds: from SIGTERM to SIGKILL, and until squeue forgets a job that only sacct then knows
KillWait=2
MinJobAge=60

AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost={ADDRESS}
AccountingStoragePort={port + 1}
# the name misleads: it is where slurmdbd's munge listens, and without it sacctmgr hangs
AccountingStoragePass={cluster.munge_socket}
AccountingStorageEnforce=associations
AccountingStoreFlags=job_comment

# nodes that claim more than this machine has: they share its cores and memory
SlurmdParameters=config_overrides
NodeName=DEFAULT CPUs=4 Sockets=1 CoresPerSocket=4 ThreadsPerCore=1 RealMemory=8192
{nodes}
PartitionName=DEFAULT Nodes={",".join(WORKING_NODES)} DefMemPerCPU=1024 DefaultTime=10
PartitionName=normal Default=YES MaxTime=60
PartitionName=short MaxTime=1 DefaultTime=1
PartitionName=drained Nodes={DRAINED_NODE} MaxTime=60
"""


def _slurmdbd_conf(cluster: Configuration) -> str:
    root = cluster.root
    return f"""\
AuthType=auth/munge
AuthInfo=socket={cluster.munge_socket}
DbdHost={cluster.host}
DbdAddr={ADDRESS}
DbdPort={cluster.first_port + 1}
SlurmUser=root
CommunicationParameters=NoInAddrAny
LogFile={root}/log/slurmdbd.log
PidFile={root}/run/slurmdbd.pid
StorageType=accounting_storage/mysql
# by name and not by address, or the client would not use the private socket
StorageHost=localhost
StorageUser=root
StorageLoc=slurm
"""
