"""How tests are dealt out to processes: a file's to one, the longest first, or these in parts."""

from __future__ import annotations

from typing import Any
from zlib import crc32

# in how many: each class, or test, of such a file may run beside any other
PARTS = {
    "tests/hpc/test_machine.py": 3,
    "tests/loop/sampling/ibm/test_sampler.py": 2,
    "tests/ordeals/test_hurt_files.py": 3,
    "tests/system/test_jobs_command_line.py": 2,
    "tests/system/test_prefect_server.py": 2,
}
LONGEST = (
    "tests/hpc/test_machine.py",
    "tests/ordeals/test_killed_chains.py",
    "tests/ordeals/test_killed_sqd.py",
    "tests/ordeals/test_hurt_files.py",
)


def scheduler(config: Any, log: Any) -> object:
    """xdist's `loadfile`, but for these files: the last of them would end long after the others."""
    from xdist.scheduler import LoadFileScheduling

    class Parts(LoadFileScheduling):  # type: ignore[misc]  # it has no types
        def _split_scope(self, nodeid: str) -> str:
            return part_of(nodeid)

    return Parts(config, log)


def part_of(nodeid: str) -> str:
    """What a test is dealt out with: its file, or its part of the file."""
    file, _, test = nodeid.partition("::")
    name = test.partition("::")[0]  # a class, else a test with its parameters
    return f"{file} {crc32(name.encode()) % PARTS[file]}" if file in PARTS else file
