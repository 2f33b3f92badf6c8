"""Where a result comes from: versions, threads, host and code."""

from __future__ import annotations

import getpass
import hashlib
import inspect
import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from qcsc_loop.plain import Json

PACKAGES = (
    "qcsc-loop",
    "numpy",
    "scipy",
    "pydantic",
    "qiskit",
    "qiskit-aer",
    "qiskit-ibm-runtime",
    "prefect",
    "mpi4py",
    "mpich",
)
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def describe_driver(algorithm: type) -> Json:
    """What a driver was made of when it started, as plain JSON."""
    source = source_file(algorithm)
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "user": user_name(),
        "versions": {name: v for name in PACKAGES if (v := installed_version(name))},
        "threads": {name: os.environ[name] for name in THREADS if name in os.environ},
        "cpus": os.cpu_count(),
        "source": str(source) if source else None,
        "source_sha256": hashlib.sha256(source.read_bytes()).hexdigest() if source else None,
        "git_revision": git_revision(source.parent) if source else None,
    }


@cache
def user_name() -> str:
    """Who this process runs as; a number where the user has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


@cache
def installed_version(package: str) -> str | None:
    """A package's version when it was first asked for; None if it is not there."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def source_file(algorithm: type) -> Path | None:
    """The file a class was written in; None in a notebook."""
    try:
        path = Path(inspect.getfile(algorithm))
    except (TypeError, OSError):
        return None
    return path if path.is_file() else None


def git_revision(folder: Path) -> str | None:
    """The commit of the folder's checkout, `-dirty` if it was changed; None if there is none."""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
