"""A process that outlives its driver for a moment, and ends what that one's local jobs left behind.

Run as `python -I -S guardian.py DRIVER_PID`, with a pipe from the driver as its input. The kernel kills
a job's script with its driver, and the launcher with the script; but what a program has started itself
is found by nobody then, and MPICH leaves the memory that killed ranks had shared. All that belongs to
a job has the job's token in its environment.

A line is "+TOKEN" when a job begins, "-TOKEN" when it is over. It ends with the driver.
"""

import os
import select
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing it takes longer than all else here
    from collections.abc import Callable

VARIABLE = "QCSC_LOCAL_JOB"  # holds the token
SHARED = "/dev/shm"
PREFIX = "mpich_shm_"
LOOK_SECONDS = 0.5  # between looks whether the driver is there: others may hold its end of the pipe
AGAIN_SECONDS = 0.05  # between two rounds of killing: what is killed may just have started another
ROUNDS = 200
SETTLE_SECONDS = 1.0  # in which whoever made a piece of memory opens it


def main() -> None:
    """Watches until the driver is gone, and leaves nothing of its jobs."""
    driver = int(sys.argv[1])
    if os.fork():  # nobody's child: the driver has not to wait for it
        os._exit(0)
    os.setsid()
    jobs = watch(driver, birth(driver))
    for token, began in jobs.items():
        clean_up(token, began)


def watch(driver: int, born: str) -> dict[str, float]:
    """Until the driver is gone; the tokens of the jobs that it has then, and when they began."""
    jobs: dict[str, float] = {}
    rest = b""
    while True:
        ready, _, _ = select.select([0], [], [], LOOK_SECONDS)
        if not ready:
            if birth(driver) != born:
                return jobs
            continue
        said = os.read(0, 1 << 16)
        if not said:
            return jobs
        *lines, rest = (rest + said).split(b"\n")
        for line in lines:
            token = line[1:].decode()
            if line[:1] == b"+":
                jobs[token] = time.time()
            elif token in jobs:
                clean_up(token, jobs.pop(token))


def clean_up(token: str, began: float) -> None:
    """Ends what a job has left, and frees what it shared."""
    for _ in range(ROUNDS):
        left = [pid for pid in pids() if has(pid, token)]
        for pid in left:
            attempt(os.kill, pid, signal.SIGKILL)
        if not left:
            break
        time.sleep(AGAIN_SECONDS)
    forsaken = unmapped(began)
    if forsaken:
        time.sleep(SETTLE_SECONDS)
        for path in forsaken & unmapped(began):
            attempt(os.unlink, path)


def attempt(act: "Callable[..., None]", *words: object) -> None:
    """Does something that another process may have done already."""
    try:
        act(*words)
    except OSError:
        return


def unmapped(since: float) -> set[str]:
    """Memory that MPICH's ranks of ours have made since then, and that nobody has any more."""
    try:
        found = [entry for entry in os.scandir(SHARED) if entry.name.startswith(PREFIX)]
        ours = {entry.path for entry in found if is_ours(entry, since)}
    except OSError:
        return set()
    for pid in pids() if ours else []:
        maps = read(f"/proc/{pid}/maps").decode(errors="replace")
        ours -= {path for path in ours if path in maps}
    return ours


def is_ours(entry: "os.DirEntry[str]", since: float) -> bool:
    """Whether this user has made it since then."""
    try:
        facts = entry.stat(follow_symlinks=False)
    except OSError:
        return False
    return facts.st_uid == os.getuid() and facts.st_mtime >= since - 1


def pids() -> list[int]:
    """Of all processes but this one."""
    return [
        int(name) for name in os.listdir("/proc") if name.isdecimal() and int(name) != os.getpid()
    ]


def has(pid: int, token: str) -> bool:
    """Whether a process belongs to a job, and is not over."""
    wanted = f"{VARIABLE}={token}".encode()
    return wanted in read(f"/proc/{pid}/environ").split(b"\0")


def birth(pid: int) -> str:
    """When a process began, in ticks; empty if there is none of this number."""
    fields = read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    return fields[19].decode() if len(fields) > 19 and fields[0] not in (b"Z", b"X") else ""


def read(path: str) -> bytes:
    """A file's content; nothing where it is gone, or another user's."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


if __name__ == "__main__":
    main()
