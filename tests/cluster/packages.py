"""The Debian packages of a real Slurm, its database and the compiler for its plugin."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from cluster.failure import ClusterFailed

PACKAGES = (
    "munge",
    "slurmctld",
    "slurmd",
    "slurmdbd",
    "slurm-client",
    "slurm-wlm-basic-plugins",
    "slurm-wlm-mysql-plugin",
    # the server's programs without the service that mariadb-server brings
    "mariadb-server-core",
    # its script that makes an empty database needs one of these
    "mariadb-client-core",
    "libslurm-dev",
    "gcc",
    "libc6-dev",
)
POLICY = Path("/usr/sbin/policy-rc.d")  # asked by Debian before a package starts its service


def missing() -> list[str]:
    """The packages that are not installed, in the order of PACKAGES."""
    return [name for name in PACKAGES if not _is_installed(name)]


def install() -> list[str]:
    """Installs what is missing, as root, and says what that was. No service is started.

    Raises:
        ClusterFailed: apt-get failed; its own words are on the terminal.
    """
    names = missing()
    if names:
        with _services_kept_off():
            _apt("update")
            _apt("install", "--yes", "--no-install-recommends", *names)
    return names


def _is_installed(name: str) -> bool:
    query = ["dpkg-query", "--show", "--showformat=${db:Status-Status}", name]
    found = subprocess.run(query, capture_output=True, text=True, check=False)
    return found.stdout == "installed"


def _apt(*arguments: str) -> None:
    # another apt may run: wait for its lock rather than fail
    command = ["apt-get", "--quiet=2", "--option=DPkg::Lock::Timeout=300", *arguments]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        subprocess.run(command, env=environment, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ClusterFailed(f"needs Debian and root: {error}") from error


@contextmanager
def _services_kept_off() -> Generator[None]:
    """A system munged or slurmd is of no use here, and would listen on all addresses."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")  # 101: forbidden by policy
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()
