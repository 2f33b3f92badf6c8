"""A child process that never outlives its driver: the program it is started through.

Run as `python -I -S child.py PARENT_PID COMMAND …`: asks the kernel for SIGKILL when the parent
dies, makes sure that it has not died already, and becomes the command. A `preexec_fn` would do the
same in fewer lines, and can deadlock in a process with threads (Python's subprocess documentation).
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # prctl(2), Linux only


def main() -> None:
    """Becomes the command in `sys.argv`, tied to its parent's life (Linux)."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    die_with(parent)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        sys.exit(127)


def die_with(parent: int) -> None:
    """Has the kernel kill this process when its parent dies (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before prctl took effect
            os.kill(os.getpid(), signal.SIGKILL)


def tie_to_this_process(command: list[str]) -> list[str]:
    """The argument vector that runs `command` as a child which dies with this process.

    Start it from the main thread: the kernel ties it to the thread that forks.
    """
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *command]


if __name__ == "__main__":
    main()
