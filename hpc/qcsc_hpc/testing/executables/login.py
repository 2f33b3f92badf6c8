"""The environment of a job before a batch system adds to it: nothing of its submitter's."""

from __future__ import annotations

import os

from qcsc_hpc.testing.executables.state import State


def login_environment(state: State) -> dict[str, str]:
    """A login's, with the fake commands before the machine's own."""
    return {
        "HOME": home(state),
        "LANG": "C.UTF-8",
        "LOGNAME": "root",
        "PATH": f"{os.path.join(state.folder, 'bin')}:/usr/local/bin:/usr/bin:/bin",
        "SHELL": "/bin/bash",
        "TMPDIR": "/tmp",
        "USER": "root",
    }


def home(state: State) -> str:
    """Of all jobs: a login in the real one could leave its locks behind when its job is killed."""
    return os.path.join(state.folder, "home")
